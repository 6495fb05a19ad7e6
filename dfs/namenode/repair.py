"""Finding chunks with too few replicas and having them copied.

A *sweep* walks all committed chunks in slices and compares what is wanted (the
file's replication, or as many as there are live nodes) with the replicas that are
known. It starts when nodes come, go or finish a report, and every minute for good
measure. A chunk that was just committed with fewer receipts than wanted is looked
at on its own. What is short goes into a queue, one live copy first; a bounded
number of copy orders is on its way at any time, to nodes that placement chooses.

Nothing here deletes. A chunk without any replica is *missing*: it is counted and
named in the status, and found again as soon as a node reports it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dfs.limits import (
    REPAIR_QUEUE_MAX_CHUNKS,
    SECOND_NS,
    SWEEP_EVERY_NS,
    SWEEP_MAX_ROWS,
    SWEEP_PAUSE_NS,
)
from dfs.namenode.keys import (
    ChunkRow,
    InodeRow,
    OwnerRow,
    get_row,
    load_row,
    number_key,
    number_of,
    pair_key,
    second_of,
)
from dfs.namenode.nodes import Nodes, NodeState
from dfs.namenode.placement import Wanted, choose_targets
from dfs.namenode.table import Table
from dfs.wire.node import CopyReplica


@dataclass(frozen=True, slots=True)
class Shortage:
    """A chunk with fewer good replicas than wanted."""

    inode: int
    start: int
    row: ChunkRow
    wanted: int
    have: int


class Repair:
    """The queue of shortages and the state of the sweep."""

    def __init__(self, now_ns: int) -> None:
        self._short: dict[int, Shortage] = {}
        self._copying: dict[int, str] = {}
        self._cursor: bytes | None = b"\0"
        self._sweep_again = False
        self._next_sweep_ns = now_ns
        self.missing: dict[int, int] = {}
        self.chunks = 0
        self._counted = 0

    def sweep_soon(self, now_ns: int) -> None:
        """Something changed: look at all chunks (once more, if a sweep is under way)."""
        if self._cursor is None:
            self._cursor, self._counted = b"\0", 0
            self._next_sweep_ns = min(self._next_sweep_ns, now_ns)
        else:
            self._sweep_again = True

    def sweep_by(self, at_ns: int) -> None:
        """Look at all chunks at that time at the latest: a grace time ends then."""
        if self._cursor is None:
            self._next_sweep_ns = min(self._next_sweep_ns, at_ns)
        else:
            self._sweep_again = True

    def sweep(self, table: Table, nodes: Nodes, now_ns: int) -> None:
        """The next slice of the sweep, if it is due."""
        if now_ns < self._next_sweep_ns:
            return
        if len(self._short) >= REPAIR_QUEUE_MAX_CHUNKS:
            self._next_sweep_ns = now_ns + SECOND_NS
            return
        if self._cursor is None:
            self._cursor, self._counted = b"\0", 0
        rows = table.scan("chunks", self._cursor, SWEEP_MAX_ROWS)
        inode, row = 0, None
        for key, value in rows:
            if number_of(key) != inode:
                inode = number_of(key)
                row = get_row(table, "inodes", number_key(inode), InodeRow)
            if row is not None:
                self._look(inode, second_of(key), load_row(ChunkRow, value), row, nodes, now_ns)
        self._counted += len(rows)
        if len(rows) == SWEEP_MAX_ROWS:
            self._cursor = rows[-1][0] + b"\0"
            self._next_sweep_ns = now_ns + SWEEP_PAUSE_NS
            return
        self.chunks = self._counted
        self._cursor = b"\0" if self._sweep_again else None
        self._next_sweep_ns = now_ns + (SWEEP_PAUSE_NS if self._sweep_again else SWEEP_EVERY_NS)
        self._sweep_again, self._counted = False, 0

    def look_at(self, table: Table, nodes: Nodes, chunk: int, now_ns: int) -> None:
        """Look at one chunk now."""
        owner = get_row(table, "owners", number_key(chunk), OwnerRow)
        if owner is None:
            self.forget(chunk)
            return
        row = get_row(table, "chunks", pair_key(owner.inode, owner.start), ChunkRow)
        inode = get_row(table, "inodes", number_key(owner.inode), InodeRow)
        assert row is not None and inode is not None, f"chunk {chunk} has an owner and no file"
        self._look(owner.inode, owner.start, row, inode, nodes, now_ns)

    def _look(
        self, inode: int, start: int, row: ChunkRow, file: InodeRow, nodes: Nodes, now_ns: int
    ) -> None:
        have = len(nodes.holders(row.chunk, row.generation, now_ns))
        expected = nodes.expected_copies(row.chunk, row.generation, now_ns)
        wanted = min(file.replication, max(1, len(nodes.live(now_ns))))
        self._short.pop(row.chunk, None)
        self.missing.pop(row.chunk, None)
        if have == 0:
            self.missing[row.chunk] = inode
        elif expected < wanted and row.chunk not in self._copying:
            self._short[row.chunk] = Shortage(inode, start, row, wanted, have)

    def forget(self, chunk: int) -> None:
        """The chunk belongs to no file any more."""
        self._short.pop(chunk, None)
        self.missing.pop(chunk, None)
        self._copying.pop(chunk, None)

    def copied(self, chunk: int) -> None:
        """A copy order ended, well or badly."""
        self._copying.pop(chunk, None)

    def orders(
        self, nodes: Nodes, able: list[NodeState], epoch: int, now_ns: int
    ) -> Iterator[tuple[str, CopyReplica]]:
        """Copy orders (target, order) for the most urgent shortages.

        ``able``: live nodes that may get an order now; the caller drops a node from it when
        the node has enough.
        """
        for short in sorted(self._short.values(), key=lambda s: (s.have, s.row.chunk)):
            if not able:
                return
            row = short.row
            holders = nodes.holders(row.chunk, row.generation, now_ns)
            held = {n.address.node for n in holders}
            wanted = Wanted(1, row.chunk, row.length)
            targets = choose_targets(able, wanted, avoid=held, used=holders)
            if not holders or not targets:
                continue
            del self._short[row.chunk]
            target = targets[0].address.node
            self._copying[row.chunk] = target
            sources = tuple(n.address for n in holders)
            yield (
                target,
                CopyReplica(
                    epoch,
                    row.chunk,
                    row.generation,
                    row.length,
                    row.digest,
                    short.inode,
                    short.start,
                    "",
                    sources,
                ),
            )

    @property
    def short(self) -> int:
        """How many chunks are known to have too few replicas, those being copied included."""
        return len(self._short) + len(self._copying)

    def next_deadline(self) -> int:
        """When the sweep goes on."""
        return self._next_sweep_ns
