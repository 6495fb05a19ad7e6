"""Repair: fetch a replica from another node, on the namenode's order.

Sources are tried in order. The first answer brings all slice hashes, which must give the
digest in the order; from then on every frame is checked against them, whichever source
it comes from, so a change of source goes on where the last one failed. The bytes asked
for and not yet written are bounded by ``READS_IN_FLIGHT`` frames. The order is answered
once: Ok when the replica is durable, an error when no source is left, the disk fails or
``REPAIR_DEADLINE_NS`` is over. A copy that is being sealed is not given up: the disk owes it an
end, and a replica that it makes durable after all must not be forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from dfs.checksum import HASH_BYTES, chunk_digest, slice_count, slice_hashes
from dfs.datanode.chain import Identity
from dfs.datanode.chunkfile import Footer, ReplicaKey, are_u64, file_bytes, is_key
from dfs.datanode.replicas import Inventory
from dfs.datanode.tasks import Chore, DropFile, OpenFile, Placed, SealFile, WriteSlices
from dfs.datanode.writes import full_node
from dfs.errors import BadArgument, DfsError, ReplicaFault, StorageFault, Unavailable
from dfs.events import (
    NAMENODE,
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
from dfs.limits import (
    CHUNK_MAX_BYTES,
    FRAME_BYTES,
    FRAME_DEADLINE_NS,
    READS_IN_FLIGHT,
    REPAIR_DEADLINE_NS,
    REPAIRS_PER_NODE,
    SLICE_BYTES,
)
from dfs.wire.codec import Message
from dfs.wire.common import Failed, Ok
from dfs.wire.data import ChunkSlices, ReadChunk
from dfs.wire.namespace import BadReplica, NodeAddress
from dfs.wire.node import CopyReplica


class Stage(StrEnum):
    """Which disk work of a copy a token names."""

    OPEN = "open"
    WRITE = "write"
    SEAL = "seal"


class CopyToken(NamedTuple):
    """Names a piece of disk work of a copy."""

    serial: int
    stage: Stage


@dataclass(slots=True)
class _Copy:
    serial: int
    key: ReplicaKey
    volume: int
    origin: Origin
    order: CopyReplica
    give_up_ns: int
    sources: list[NodeAddress]
    waiting: dict[int, int] = field(default_factory=dict)  # request -> offset
    missing: list[int] = field(default_factory=list)  # offsets to ask for, the next one last
    unwritten: int = 0
    hashes: bytes = b""
    progress_ns: int = 0
    link: int | None = None  # the connection to the present source, once it answered
    sealing: bool = False

    def length_at(self, offset: int) -> int:
        return min(FRAME_BYTES, self.order.length - offset)


class Copies:
    """The copies that are under way, at most ``REPAIRS_PER_NODE``."""

    def __init__(self, me: Identity, inventory: Inventory, numbers: Iterator[int]) -> None:
        self._me = me
        self._inventory = inventory
        self._numbers = numbers
        self._copies: dict[ReplicaKey, _Copy] = {}

    def __contains__(self, key: ReplicaKey) -> bool:
        return key in self._copies

    def is_sealing(self, key: ReplicaKey) -> bool:
        """Is the disk about to make this replica durable?"""
        copy = self._copies.get(key)
        return copy is not None and copy.sealing

    def start(self, origin: Origin, order: CopyReplica, now_ns: int) -> list[Action]:
        """Obey an order. One that is repeated while it is obeyed is answered in its place."""
        key = ReplicaKey(order.chunk, order.generation)
        copy = self._copies.get(key)
        if copy is not None:
            copy.origin = origin
            return []
        fault = self._fault(order)
        if fault is not None:
            return [Reply(origin, Failed.of(fault))]
        if self._inventory.replicas.length(key) is not None:
            return [Reply(origin, Ok())]
        volume = self._inventory.volumes.place(file_bytes(order.length))
        if volume is None:
            return [Reply(origin, Failed.of(full_node(self._me.node)))]
        copy = _Copy(
            serial=next(self._numbers),
            key=key,
            volume=volume,
            origin=origin,
            order=order,
            give_up_ns=now_ns + REPAIR_DEADLINE_NS,
            sources=[n for n in order.sources if n.node != self._me.node],
            missing=list(range(0, order.length, FRAME_BYTES))[::-1],
            progress_ns=now_ns,
        )
        self._copies[key] = copy
        return self._ask(copy)

    def awaits(self, peer: Peer, request: int) -> bool:
        """Is this the number of a read that a copy asked this source for?"""
        return self._of_request(peer, request) is not None

    def answered(
        self, origin: Origin, message: Message, payload: Payload, now_ns: int
    ) -> list[Action]:
        """A source answered."""
        copy = self._of_request(origin.peer, origin.request)
        if copy is None:
            return []
        offset = copy.waiting.pop(origin.request)
        copy.progress_ns = now_ns
        copy.link = origin.link
        if not isinstance(message, ChunkSlices):
            copy.missing.append(offset)
            reason = message.text if isinstance(message, Failed) else "an unexpected answer"
            return self._next_source(copy, reason)
        actions: list[Action] = []
        if not copy.hashes:
            if not self._accept_hashes(copy, message.hashes):
                return self._distrust(copy, offset, "its slice hashes do not match the digest")
            actions.append(self._work(copy, Stage.OPEN, _file_of(copy.order, message)))
        first = HASH_BYTES * (offset // SLICE_BYTES)
        length = copy.length_at(offset)
        expected = copy.hashes[first : first + HASH_BYTES * slice_count(length)]
        if message.offset != offset or len(payload) != length or slice_hashes(payload) != expected:
            reason = f"the bytes at {offset} do not match their hashes"
            return actions + self._distrust(copy, offset, reason)
        copy.unwritten += 1
        write = WriteSlices(copy.key, offset, payload)
        return [*actions, self._work(copy, Stage.WRITE, write), *self._ask(copy)]

    def link_lost(self, event: LinkLost) -> list[Action]:
        """A connection is gone; a copy that reads from that node moves on."""
        actions: list[Action] = []
        for copy in list(self._copies.values()):
            here = copy.link in (None, event.link)
            if copy.waiting and here and event.peer == _peer(copy.sources[0]):
                actions += self._next_source(copy, event.reason)
        return actions

    def work_done(self, token: CopyToken, event: WorkDone, now_ns: int) -> list[Action]:
        """A piece of disk work of a copy ended."""
        copy = next((c for c in self._copies.values() if c.serial == token.serial), None)
        if copy is None:
            return []
        if event.error is not None:
            fault = StorageFault(f"{self._me.node} cannot store {copy.key}: {event.error}")
            return self._end(copy, fault)
        copy.progress_ns = now_ns
        if token.stage is Stage.SEAL:
            order = copy.order
            self._inventory.stored(copy.key, order.length, order.digest, copy.volume)
            del self._copies[copy.key]
            return [Reply(copy.origin, Ok()), Note(f"repaired {copy.key}")]
        if token.stage is Stage.WRITE:
            copy.unwritten -= 1
        if copy.missing or copy.waiting or copy.unwritten:
            return self._ask(copy)
        copy.sealing = True
        footer = Footer(copy.key, copy.order.length, copy.order.digest, copy.hashes)
        return [self._work(copy, Stage.SEAL, SealFile(footer))]

    def discard(self, key: ReplicaKey) -> list[Action]:
        """The replica is no longer wanted."""
        copy = self._copies.get(key)
        return [] if copy is None else self._stop(copy, "the replica is no longer wanted")

    def next_deadline(self) -> int | None:
        """When the first copy is overdue."""
        return min((_deadline_of(c) for c in self._copies.values() if not c.sealing), default=None)

    def on_deadline(self, now_ns: int) -> list[Action]:
        """Leave sources that stall and copies that take too long."""
        actions: list[Action] = []
        for copy in [c for c in self._copies.values() if not c.sealing]:
            if now_ns >= copy.give_up_ns:
                actions += self._stop(copy, "it took too long")
            elif now_ns >= _deadline_of(copy):
                copy.progress_ns = now_ns
                actions += self._next_source(copy, "it stopped answering")
        return actions

    def _ask(self, copy: _Copy) -> list[Action]:
        """Requests to the present source, as many as the bound allows."""
        if not copy.sources:
            return self._stop(copy, "the order names no source")
        actions: list[Action] = []
        source = copy.sources[0]
        limit = READS_IN_FLIGHT if copy.hashes else 1
        while copy.missing and len(copy.waiting) + copy.unwritten < limit:
            offset = copy.missing.pop()
            request = next(self._numbers)
            copy.waiting[request] = offset
            ask = ReadChunk(*copy.key, offset, copy.length_at(offset), not copy.hashes)
            endpoints = source.reachable_from(self._me.host)
            actions.append(Send(_peer(source), ask, request, endpoints=endpoints))
        return actions

    def _distrust(self, copy: _Copy, offset: int, reason: str) -> list[Action]:
        """The source sent what it must not: let the namenode have it looked at."""
        copy.missing.append(offset)
        accusation = BadReplica(*copy.key, copy.sources[0].node)
        told = Send(NAMENODE, accusation, next(self._numbers))
        return [told, *self._next_source(copy, reason)]

    def _next_source(self, copy: _Copy, reason: str) -> list[Action]:
        left = copy.sources.pop(0)
        note = Note(f"repair of {copy.key}: {left.node} failed: {reason}")
        copy.missing += copy.waiting.values()
        copy.waiting.clear()
        copy.link = None
        if not copy.sources:
            return [note, *self._stop(copy, f"no source is left; {left.node}: {reason}")]
        return [note, *self._ask(copy)]

    def _accept_hashes(self, copy: _Copy, hashes: bytes) -> bool:
        length = copy.order.length
        if chunk_digest(self._me.cluster, *copy.key, length, hashes) != copy.order.digest:
            return False
        copy.hashes = hashes
        return True

    def _stop(self, copy: _Copy, reason: str) -> list[Action]:
        task = Placed(copy.volume, DropFile(copy.key))
        drop = Work(Chore("drop", copy.key), task, lane=copy.key.chunk)
        fault = ReplicaFault(f"{self._me.node} cannot copy {copy.key}: {reason}")
        return [drop, *self._end(copy, fault)]

    def _end(self, copy: _Copy, fault: DfsError) -> list[Action]:
        del self._copies[copy.key]
        return [Reply(copy.origin, Failed.of(fault)), Note(fault.message)]

    def _fault(self, order: CopyReplica) -> DfsError | None:
        stored = is_key(order.chunk, order.generation) and are_u64(order.inode, order.start)
        if not stored or not 0 < order.length <= CHUNK_MAX_BYTES:
            return BadArgument(f"chunk {order.chunk} of {order.length} bytes cannot be stored")
        if len(self._copies) >= REPAIRS_PER_NODE:
            return Unavailable(f"{self._me.node} makes {REPAIRS_PER_NODE} copies already")
        return None

    def _of_request(self, peer: Peer, request: int) -> _Copy | None:
        for copy in self._copies.values():
            if request in copy.waiting and _peer(copy.sources[0]) == peer:
                return copy
        return None

    def _work(self, copy: _Copy, stage: Stage, task: OpenFile | WriteSlices | SealFile) -> Work:
        token = CopyToken(copy.serial, stage)
        return Work(token, Placed(copy.volume, task), lane=copy.key.chunk)


def _peer(source: NodeAddress) -> Peer:
    return Peer(Role.DATANODE, source.node)


def _file_of(order: CopyReplica, told: ChunkSlices) -> OpenFile:
    """The new file. Its header says what the source's says, if that is told and can be stored."""
    key = ReplicaKey(order.chunk, order.generation)
    if told.inode and are_u64(told.inode, told.start):
        return OpenFile(key, told.inode, told.start, told.path, order.length)
    return OpenFile(key, order.inode, order.start, order.path, order.length)


def _deadline_of(copy: _Copy) -> int:
    if not copy.waiting:
        return copy.give_up_ns
    return min(copy.give_up_ns, copy.progress_ns + FRAME_DEADLINE_NS)
