"""Reads: each is one piece of disk work, a bounded number at a time, the rest wait."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from dfs.datanode.chunkfile import ReplicaKey
from dfs.datanode.replicas import Inventory
from dfs.datanode.tasks import Chore, QuarantineFile, ReadSlices
from dfs.errors import BadArgument, Corrupt, DfsError, NotFound, ReplicaFault, Unavailable
from dfs.events import Action, LinkLost, Note, Origin, Reply, Work, WorkDone
from dfs.limits import FRAME_BYTES, READS_RUNNING_MAX, READS_WAITING_MAX, SLICE_BYTES
from dfs.wire.common import Failed
from dfs.wire.data import ChunkSlices, ReadChunk


class ReadToken(NamedTuple):
    """Names a read: who asked, and for what."""

    origin: Origin
    request: ReadChunk


class Reads:
    """Answers ``ReadChunk``. A bad replica is quarantined, reported and never served."""

    def __init__(self, node: str, inventory: Inventory) -> None:
        self._node = node
        self._inventory = inventory
        self._running = 0
        self._waiting: deque[ReadToken] = deque()

    def read(self, origin: Origin, request: ReadChunk) -> list[Action]:
        """Serve a request, now or when others are done."""
        fault = self._fault(request)
        if fault is not None:
            return [Reply(origin, Failed.of(fault))]
        self._waiting.append(ReadToken(origin, request))
        return self._start()

    def work_done(self, token: ReadToken, event: WorkDone) -> list[Action]:
        """A read ended: answer it and start the next one."""
        self._running -= 1
        origin, request = token
        key = ReplicaKey(request.chunk, request.generation)
        if event.error is None:
            hashes = event.result.hashes if request.with_hashes else b""
            reply = ChunkSlices(request.offset, hashes)
            return [Reply(origin, reply, event.result.data), *self._start()]
        fault = ReplicaFault(f"{key} on {self._node}: {event.error}")
        return [
            Reply(origin, Failed.of(fault)),
            *bad_replica(self._inventory, key, event.error),
            *self._start(),
        ]

    def link_lost(self, event: LinkLost) -> None:
        """Nobody waits for the requests of a lost connection."""
        self._waiting = deque(t for t in self._waiting if t.origin.link != event.link)

    def _start(self) -> list[Action]:
        actions: list[Action] = []
        while self._waiting and self._running < READS_RUNNING_MAX:
            token = self._waiting.popleft()
            request = token.request
            key = ReplicaKey(request.chunk, request.generation)
            held = self._inventory.replicas.length(key)
            if held is None:  # deleted while the request waited
                actions.append(Reply(token.origin, Failed.of(self._not_here(key))))
                continue
            self._running += 1
            length = min(request.length, held - request.offset)
            task = ReadSlices(key, request.offset, length)
            actions.append(Work(token, task, lane=request.chunk))
        return actions

    def _fault(self, request: ReadChunk) -> DfsError | None:
        key = ReplicaKey(request.chunk, request.generation)
        held = self._inventory.replicas.length(key) if min(key) >= 0 else None
        if held is None:
            return self._not_here(key)
        offset, length = request.offset, request.length
        if offset >= held:  # its reader reports it, and it will be checked
            return ReplicaFault(f"{key} ends at {held} bytes on {self._node}")
        whole = offset % SLICE_BYTES == 0 and (length % SLICE_BYTES == 0 or offset + length >= held)
        if not (offset >= 0 and 0 < length <= FRAME_BYTES and whole):
            return BadArgument(
                f"{length} bytes at {offset} of {key} ({held} bytes) are not whole slices"
            )
        if len(self._waiting) >= READS_WAITING_MAX:
            return Unavailable(f"{self._node} has too many reads waiting: try another node")
        return None

    def _not_here(self, key: ReplicaKey) -> DfsError:
        return ReplicaFault(f"{self._node} does not hold {key}")


def bad_replica(inventory: Inventory, key: ReplicaKey, error: Exception) -> list[Action]:
    """What follows when a replica could not be read. Only what is proven is given up."""
    if isinstance(error, Corrupt):
        inventory.set_aside(key, "corrupt")
        aside = Work(Chore("quarantine", key), QuarantineFile(key), lane=key.chunk)
        return [Note(f"quarantined {key}: {error}"), aside]
    if isinstance(error, NotFound):
        inventory.missing(key)
    return [Note(f"cannot read {key}: {error}")]
