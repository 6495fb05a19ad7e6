"""All writes of a datanode: which message belongs to which write, and their bounds.

A write is found by its replica (an order to open it), by the connection and request
number of its upstream (frames, seal), or by our own request number (answers of the next
node). There are at most ``OPEN_WRITES_MAX``, so finding one is a scan of a small table.
A write whose upstream is lost stays for ``WRITE_IDLE_NS``, so that it can be re-opened.
"""

from __future__ import annotations

from collections.abc import Iterator

from dfs.datanode.chain import Identity
from dfs.datanode.chunkfile import ReplicaKey, are_u64, file_bytes, is_key
from dfs.datanode.pipeline import ChunkWrite, Phase, WriteToken
from dfs.datanode.reads import bad_replica
from dfs.datanode.replicas import Inventory
from dfs.datanode.tasks import Chore, DropFile, Placed
from dfs.errors import BadArgument, DfsError, ReplicaFault, StorageFault, Unavailable
from dfs.events import (
    Action,
    LinkLost,
    Note,
    Origin,
    Payload,
    Peer,
    Reply,
    Role,
    Send,
    Work,
    WorkDone,
)
from dfs.limits import CHUNK_MAX_BYTES, OPEN_WRITES_MAX, REPLICATION_MAX, WRITE_IDLE_NS
from dfs.wire.codec import Message
from dfs.wire.common import Failed
from dfs.wire.data import ChunkData, DropChunk, OpenChunk, SealChunk


class Writes:
    """The table of writes. ``numbers`` gives request numbers that the whole core shares."""

    def __init__(self, me: Identity, inventory: Inventory, numbers: Iterator[int]) -> None:
        self._me = me
        self._inventory = inventory
        self._numbers = numbers
        self._writes: dict[ReplicaKey, ChunkWrite] = {}

    def __contains__(self, key: ReplicaKey) -> bool:
        return key in self._writes

    def is_sealing(self, key: ReplicaKey) -> bool:
        """Is the disk about to make this replica durable?"""
        write = self._writes.get(key)
        return write is not None and write.phase is Phase.SEALING

    # Messages.

    def open(self, origin: Origin, order: OpenChunk, now_ns: int) -> list[Action]:
        """Begin a write, or attach to the one that is there."""
        key = ReplicaKey(order.chunk, order.generation)
        write = self._writes.get(key)
        if write is not None:
            if write.upstream == origin:  # the same message once more
                return []
            return self._settle(write, write.attach(origin, order, next(self._numbers), now_ns))
        fault = self._open_fault(order)
        if fault is not None:
            return [Reply(origin, Failed.of(fault))]
        volume = self._inventory.replicas.volume(key)
        held = volume is not None
        if volume is None:
            volume = self._inventory.volumes.place(file_bytes(order.size_hint))
        if volume is None:
            return [Reply(origin, Failed.of(full_node(self._me.node)))]
        write = ChunkWrite(self._me, next(self._numbers), volume, order, now_ns)
        self._writes[key] = write
        return [
            write.begin(order, held=held),
            *write.attach(origin, order, next(self._numbers), now_ns),
        ]

    def data(
        self, origin: Origin, message: ChunkData, payload: Payload, now_ns: int
    ) -> list[Action]:
        """A frame of the write that ``origin`` opened."""
        write = self._of_upstream(origin)
        if write is None:
            return [_no_such_write(origin)]
        return self._settle(write, write.data(message, payload, now_ns))

    def seal(self, origin: Origin, message: SealChunk, now_ns: int) -> list[Action]:
        """The end of the write that ``origin`` opened."""
        write = self._of_upstream(origin)
        if write is None:
            return [_no_such_write(origin)]
        return self._settle(write, write.seal(message, now_ns))

    def drop(self, message: DropChunk) -> list[Action]:
        """The writer gives the chunk up, here and on the nodes behind."""
        actions = self.discard(ReplicaKey(message.chunk, message.generation))
        if message.chain:
            behind = message.chain[0]
            passed_on = DropChunk(message.chunk, message.generation, message.chain[1:])
            endpoints = behind.reachable_from(self._me.host)
            to = Peer(Role.DATANODE, behind.node)
            actions.append(Send(to, passed_on, endpoints=endpoints))
        return actions

    def discard(self, key: ReplicaKey) -> list[Action]:
        """Remove the unfinished file of a write; one that is being sealed goes on."""
        write = self._writes.get(key)
        if write is None or write.phase not in (Phase.OPENING, Phase.OPEN):
            return []
        return self._remove(write, "the chunk was given up")

    def answered(self, origin: Origin, message: Message, now_ns: int) -> list[Action]:
        """A next node answered; late answers to chains that are gone are dropped."""
        write = self._of_next(origin.peer, origin.request)
        if write is None:
            return []
        return self._settle(write, write.answered(origin, message, now_ns))

    def link_lost(self, event: LinkLost) -> list[Action]:
        """A connection is gone: next nodes on it are broken, upstreams on it may come back."""
        actions: list[Action] = []
        for write in list(self._writes.values()):
            if write.upstream is not None and write.upstream.link == event.link:
                write.upstream = None
            behind = write.next
            if (
                behind is not None
                and behind.peer == event.peer
                and behind.link in (None, event.link)
            ):
                actions += self._settle(write, write.next_broken(event.reason))
        return actions

    # Disk work.

    def work_done(self, token: WriteToken, event: WorkDone) -> list[Action]:
        """A piece of disk work ended; work of writes that are gone is of no interest."""
        write = self._of_serial(token.serial)
        if write is None:
            return []
        if event.error is not None:
            return self._failed(write, event.error)
        match token.phase:
            case Phase.OPENING:
                return self._settle(write, write.opened(event.result))
            case Phase.OPEN:
                return self._settle(write, write.wrote(token.through))
            case _:
                held = (write.key, write.received, write.digest, write.volume)
                self._inventory.stored(*held)
                return self._settle(write, write.sealed())

    def _failed(self, write: ChunkWrite, error: Exception) -> list[Action]:
        actions: list[Action] = [Note(f"write of {write.key} failed: {error}")]
        if self._inventory.replicas.length(write.key) is not None:
            actions = bad_replica(self._inventory, write.key, error)
        fault = StorageFault(f"{self._me.node} cannot store {write.key}: {error}")
        return self._settle(write, actions + write.failed(fault))

    # Time.

    def next_deadline(self) -> int | None:
        """When the first next node or idle write is overdue."""
        return min((self._deadline_of(write) for write in self._writes.values()), default=None)

    def on_deadline(self, now_ns: int) -> list[Action]:
        """Break chains that stall and remove what nobody goes on writing."""
        actions: list[Action] = []
        for write in list(self._writes.values()):
            overdue_ns = None if write.next is None else write.next.deadline_ns()
            if overdue_ns is not None and now_ns >= overdue_ns:
                actions += self._settle(write, write.next_broken("it stopped answering"))
            if now_ns >= write.touched_ns + WRITE_IDLE_NS:
                actions += self._idle(write, now_ns)
        return actions

    def _deadline_of(self, write: ChunkWrite) -> int:
        idle_ns = write.touched_ns + WRITE_IDLE_NS
        overdue_ns = None if write.next is None else write.next.deadline_ns()
        return idle_ns if overdue_ns is None else min(idle_ns, overdue_ns)

    def _idle(self, write: ChunkWrite, now_ns: int) -> list[Action]:
        if write.phase in (Phase.OPENING, Phase.OPEN):
            return self._remove(write, "nothing came for too long")
        if write.phase is Phase.SEALING:  # the disk still owes us an end
            write.touched_ns = now_ns
            return []
        write.phase = Phase.GONE
        return self._settle(write, write.refuse(ReplicaFault(f"{write.key}: idle for too long")))

    # The table.

    def _remove(self, write: ChunkWrite, reason: str) -> list[Action]:
        held = self._inventory.replicas.length(write.key) is not None
        write.phase = Phase.GONE
        actions = write.refuse(ReplicaFault(f"{write.key} on {self._me.node}: {reason}"))
        if not held:
            drop = Placed(write.volume, DropFile(write.key))
            actions.append(Work(Chore("drop", write.key), drop, lane=write.key.chunk))
        return self._settle(write, actions)

    def _settle(self, write: ChunkWrite, actions: list[Action]) -> list[Action]:
        if write.phase is Phase.GONE:
            del self._writes[write.key]
        return actions

    def _of_upstream(self, origin: Origin) -> ChunkWrite | None:
        return next((w for w in self._writes.values() if w.upstream == origin), None)

    def _of_next(self, peer: Peer, request: int) -> ChunkWrite | None:
        for write in self._writes.values():
            if write.next is not None and (write.next.peer, write.next.request) == (peer, request):
                return write
        return None

    def _of_serial(self, serial: int) -> ChunkWrite | None:
        return next((w for w in self._writes.values() if w.serial == serial), None)

    def _open_fault(self, order: OpenChunk) -> DfsError | None:
        node = self._me.node
        if not is_key(order.chunk, order.generation) or not are_u64(order.inode, order.start):
            return BadArgument(f"chunk {order.chunk} of inode {order.inode} cannot be stored")
        if len(order.chain) >= REPLICATION_MAX:
            return BadArgument(f"a chain of {len(order.chain) + 1} nodes is over {REPLICATION_MAX}")
        if not 0 <= order.size_hint <= CHUNK_MAX_BYTES:
            return BadArgument(f"a chunk of {order.size_hint} bytes is over {CHUNK_MAX_BYTES}")
        if len(self._writes) >= OPEN_WRITES_MAX:
            return Unavailable(f"{node} has {OPEN_WRITES_MAX} open writes: try another node")
        return None


def full_node(node: str) -> DfsError:
    """Why a node takes no new replica."""
    return ReplicaFault(
        f"every disk of {node} is full up to its reserve, or failed: use another node"
    )


def _no_such_write(origin: Origin) -> Action:
    return Reply(origin, Failed.of(ReplicaFault("no write is open here: open the chunk again")))
