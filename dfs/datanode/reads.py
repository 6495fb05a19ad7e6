"""Reads: each is one piece of disk work, a bounded number on each volume at a time."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from dfs.datanode.chunkfile import Header, ReplicaKey
from dfs.datanode.replicas import Inventory
from dfs.datanode.tasks import Chore, Placed, QuarantineFile, ReadSlices
from dfs.errors import BadArgument, Corrupt, DfsError, NotFound, ReplicaFault, Unavailable
from dfs.events import Action, LinkLost, Note, Origin, Reply, Role, Work, WorkDone
from dfs.limits import FRAME_BYTES, READS_RUNNING_MAX, READS_WAITING_MAX, SLICE_BYTES
from dfs.wire.common import Failed
from dfs.wire.data import ChunkSlices, ReadChunk


class ReadToken(NamedTuple):
    """Names a read: who asked, for what, and where it lies."""

    origin: Origin
    request: ReadChunk
    volume: int


@dataclass(slots=True)
class _Queue:
    """The reads of one volume, so that a disk that hangs holds up no other."""

    running: int = 0
    waiting: deque[ReadToken] = field(default_factory=deque)


class Reads:
    """Answers ``ReadChunk``. A bad replica is quarantined, reported and never served."""

    def __init__(self, node: str, inventory: Inventory) -> None:
        self._node = node
        self._inventory = inventory
        self._queues: dict[int, _Queue] = {}

    def read(self, origin: Origin, request: ReadChunk) -> list[Action]:
        """Serve a request, now or when others are done."""
        key = ReplicaKey(request.chunk, request.generation)
        volume = self._inventory.replicas.volume(key) if min(key) >= 0 else None
        if volume is None:
            return [Reply(origin, Failed.of(self._not_here(key)))]
        queue = self._queues.setdefault(volume, _Queue())
        fault = self._fault(key, request, queue)
        if fault is not None:
            return [Reply(origin, Failed.of(fault))]
        queue.waiting.append(ReadToken(origin, request, volume))
        return self._start(queue)

    def work_done(self, token: ReadToken, event: WorkDone) -> list[Action]:
        """A read ended: answer it and start the next one."""
        origin, request, volume = token
        queue = self._queues[volume]
        queue.running -= 1
        key = ReplicaKey(request.chunk, request.generation)
        if event.error is None:
            hashes = event.result.hashes if request.with_hashes else b""
            reply = ChunkSlices(request.offset, hashes, *_told_of(event.result.header))
            return [Reply(origin, reply, event.result.data), *self._start(queue)]
        fault = ReplicaFault(f"{key} on {self._node}: {event.error}")
        return [
            Reply(origin, Failed.of(fault)),
            *bad_replica(self._inventory, key, event.error),
            *self._start(queue),
        ]

    def link_lost(self, event: LinkLost) -> None:
        """Nobody waits for the requests of a lost connection."""
        for queue in self._queues.values():
            queue.waiting = deque(t for t in queue.waiting if t.origin.link != event.link)

    def _start(self, queue: _Queue) -> list[Action]:
        actions: list[Action] = []
        while queue.waiting and queue.running < READS_RUNNING_MAX:
            token = queue.waiting.popleft()
            request = token.request
            key = ReplicaKey(request.chunk, request.generation)
            held = self._inventory.replicas.length(key)
            if held is None:  # deleted while the request waited
                actions.append(Reply(token.origin, Failed.of(self._not_here(key))))
                continue
            queue.running += 1
            length = min(request.length, held - request.offset)
            copied = request.with_hashes and token.origin.peer.role is Role.DATANODE
            task = Placed(token.volume, ReadSlices(key, request.offset, length, copied))
            actions.append(Work(token, task, lane=request.chunk))
        return actions

    def _fault(self, key: ReplicaKey, request: ReadChunk, queue: _Queue) -> DfsError | None:
        held = self._inventory.replicas.length(key)
        assert held is not None, f"{key} has a volume and no length"
        offset, length = request.offset, request.length
        if offset >= held:  # its reader reports it, and it will be checked
            return ReplicaFault(f"{key} ends at {held} bytes on {self._node}")
        whole = offset % SLICE_BYTES == 0 and (length % SLICE_BYTES == 0 or offset + length >= held)
        if not (offset >= 0 and 0 < length <= FRAME_BYTES and whole):
            return BadArgument(
                f"{length} bytes at {offset} of {key} ({held} bytes) are not whole slices"
            )
        if len(queue.waiting) >= READS_WAITING_MAX:
            return Unavailable(f"{self._node} has too many reads waiting: try another node")
        return None

    def _not_here(self, key: ReplicaKey) -> DfsError:
        return ReplicaFault(f"{self._node} does not hold {key}")


def _told_of(header: Header | None) -> tuple[int, int, str]:
    return (0, 0, "") if header is None else (header.inode, header.start, header.path)


def bad_replica(inventory: Inventory, key: ReplicaKey, error: Exception) -> list[Action]:
    """What follows when a replica could not be read. Only what is proven is given up."""
    volume = inventory.replicas.volume(key)
    if isinstance(error, Corrupt) and volume is not None:
        inventory.set_aside(key, "corrupt")
        task = Placed(volume, QuarantineFile(key))
        aside = Work(Chore("quarantine", key), task, lane=key.chunk)
        return [Note(f"quarantined {key}: {error}"), aside]
    if isinstance(error, NotFound):
        inventory.missing(key)
    return [Note(f"cannot read {key}: {error}")]
