"""What the replicas of this node say of themselves, in pages: for a namenode that lost its own.

Volume by volume, and only the headers and footers are read. A replica whose file is damaged at
either end is left out.
"""

from __future__ import annotations

from typing import NamedTuple

from dfs.datanode.chunkfile import Footer, Header, ReplicaKey, are_u64
from dfs.datanode.replicas import Inventory
from dfs.datanode.tasks import NODE_LANE, Placed, ReadEnds
from dfs.errors import BadArgument, DfsError, PermissionDenied, StorageFault
from dfs.events import Action, Origin, Reply, Role, Work, WorkDone
from dfs.limits import CHUNK_LIST_MAX_ROWS
from dfs.wire.common import Failed
from dfs.wire.keeper import ChunkList, FoundChunk, ListChunks


class ListToken(NamedTuple):
    """Names a page: who asked, and with which question he goes on."""

    origin: Origin
    following: ListChunks | None


class Listing:
    """Answers ``ListChunks``."""

    def __init__(self, node: str, inventory: Inventory) -> None:
        self._node = node
        self._inventory = inventory

    def page(self, origin: Origin, request: ListChunks) -> list[Action]:
        """Look at the next replicas."""
        fault = self._fault(origin, request)
        if fault is not None:
            return [Reply(origin, Failed.of(fault))]
        volume = request.volume
        after = ReplicaKey(request.chunk, request.generation)
        keys, last = self._inventory.replicas.behind(after, volume, CHUNK_LIST_MAX_ROWS)
        following = None
        if last is not None:
            following = ListChunks(volume, *last)
        elif volume + 1 < len(self._inventory.volumes):
            following = ListChunks(volume + 1)
        task = Placed(volume, ReadEnds(tuple(keys)))
        return [Work(ListToken(origin, following), task, lane=NODE_LANE)]

    def work_done(self, token: ListToken, event: WorkDone) -> list[Action]:
        """The page was read, or the disk failed."""
        if event.error is not None:
            fault = StorageFault(f"{self._node} cannot read its chunks: {event.error}")
            return [Reply(token.origin, Failed.of(fault))]
        found = tuple(_found(header, footer) for header, footer in event.result)
        return [Reply(token.origin, ChunkList(found, token.following))]

    def _fault(self, origin: Origin, request: ListChunks) -> DfsError | None:
        if origin.peer.role is not Role.NAMENODE:
            return PermissionDenied("only whoever plays the namenode may list chunks")
        there = 0 <= request.volume < len(self._inventory.volumes)
        if not there or not are_u64(request.chunk, request.generation):
            return BadArgument(f"{request} names no place in the list of chunks")
        return None


def _found(header: Header, footer: Footer) -> FoundChunk:
    key = footer.key
    return FoundChunk(*key, footer.length, footer.digest, header.inode, header.start, header.path)
