"""Walking over chunks in slices, to find those that are not as they should be.

Nothing is walked while nothing happens. A *walk* goes over the replicas in which two
states of one node differ: it died (all of them), it came or came back (all), it reported
anew (what was lost and found). The *sweep* goes over every committed chunk: once after the
start, when a node joins while copies are owed for lack of nodes, when news were too many
to be kept, and every hour for good measure. The chunks of a walk are looked up one by one, a
slice of the sweep is read and compared as a whole: where two states differ in so much that the
sweep takes fewer slices, the sweep is made instead, one for all nodes that came meanwhile. Not
so for a death: its walk begins when nobody waits for the node any more, and the sweep may be
over by then.

A slice is at most ``SWEEP_MAX_ROWS`` chunks. Few of them have to be judged, as a rule; those
that are more than a step may judge are *left* for the next slices. ``SWEEP_PAUSE_NS`` lies between
two, which leaves most of a core to everything else. Walks and the sweep take turns, so that none
waits for the end of another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from dfs.limits import SECOND_NS, SWEEP_EVERY_NS, SWEEP_MAX_ROWS, SWEEP_PAUSE_NS
from dfs.namenode.held import HeldReplicas
from dfs.namenode.keys import (
    ChunkRow,
    InodeRow,
    get_row,
    load_row,
    number_key,
    number_of,
    second_of,
)
from dfs.namenode.standing import FileChunk, find_chunk
from dfs.namenode.table import Table

_FIRST_KEY = b"\0"


@dataclass(slots=True, eq=False)
class Walk:
    """From one state of a node's replicas to another, not before ``begin_ns``."""

    node: str
    before: HeldReplicas
    after: HeldReplicas
    begin_ns: int
    next_chunk: int = 0
    is_done: bool = False

    @property
    def differs_by(self) -> int:
        """In so many replicas at least the two states differ: what is found without a walk."""
        return abs(len(self.after) - len(self.before))

    def step(self) -> list[int]:
        """The chunks that differ in the next slice."""
        old = self.before.page(self.next_chunk, SWEEP_MAX_ROWS)
        new = self.after.page(self.next_chunk, SWEEP_MAX_ROWS)
        ends = [page[-1].chunk for page in (old, new) if len(page) >= SWEEP_MAX_ROWS]
        self.is_done = not ends
        end = min(ends, default=0)
        if ends:
            self.next_chunk = end + 1
        if old == new:
            return []
        differing = set(old) ^ set(new)
        return sorted({held.chunk for held in differing if not ends or held.chunk <= end})


class Sweep:
    """The walks that wait and the sweep, which is under way or waits for its time."""

    def __init__(self, begin_ns: int) -> None:
        self._walks: deque[Walk] = deque()
        self._left: deque[int] = deque()
        self._slice_ns = begin_ns
        self._has_walked = False
        self._cursor: bytes | None = None
        self._until: bytes | None = None
        self._again_until: bytes | None = None
        self._next_ns = begin_ns
        self._counted = 0
        self.chunks = 0
        self.has_finished = False

    # -- what is to be looked at

    def request(self, at_ns: int) -> None:
        """Look at all chunks, from that time on at the latest.

        A sweep that is under way goes on to the end, and then up to where it is now.
        """
        if self._cursor is None:
            self._next_ns = min(self._next_ns, at_ns)
        else:
            self._until, self._again_until = None, self._cursor

    def restart(self, at_ns: int) -> None:
        """Look at all chunks from that time on; what is under way does not count."""
        self._cursor, self._again_until, self.has_finished = None, None, False
        self._left.clear()
        self._next_ns = at_ns

    def walk(self, walk: Walk) -> None:
        """Look at the chunks in which two states of a node differ."""
        self._walks.append(walk)

    def catch_up(self, node: str, walks: Sequence[Walk], per_slice: int, now_ns: int) -> None:
        """A node has said what it holds: make these walks, or a sweep where that is shorter.

        ``per_slice``: how many chunks of a walk a slice looks at.
        """
        differing = sum(walk.differs_by for walk in walks)
        if differing // per_slice > self.chunks // SWEEP_MAX_ROWS:
            self._walks = deque(w for w in self._walks if w.node != node)
            self.request(now_ns)
        else:
            self._walks.extend(walks)

    def call_off(self, node: str) -> None:
        """The walk over that node's replicas that has not begun is not needed."""
        self._walks = deque(w for w in self._walks if w.node != node or w.next_chunk)

    # -- when

    def begins(self, now_ns: int) -> bool:
        """Is the sweep about to begin?"""
        return self._cursor is None and self._is_sweeps_turn(now_ns)

    def begun(self, now_ns: int) -> list[str]:
        """The nodes whose walk is due or under way."""
        return [w.node for w in self._walks if w.begin_ns <= now_ns]

    def is_busy(self, now_ns: int) -> bool:
        """Is there something to look at already?"""
        return bool(self._cursor or self._left or self._next_ns <= now_ns or self.begun(now_ns))

    def pause(self, now_ns: int) -> None:
        """There is no room for what would be found."""
        self._slice_ns = max(self._slice_ns, now_ns + SECOND_NS)

    def next_deadline(self) -> int:
        """When the next slice is due."""
        if self._left:
            return self._slice_ns
        return max(self._slice_ns, min([self._next_ns, *(w.begin_ns for w in self._walks)]))

    def _is_sweeps_turn(self, now_ns: int) -> bool:
        if self._left or now_ns < max(self._slice_ns, self._next_ns):
            return False
        return self._has_walked or not self.begun(now_ns)

    # -- slices

    def step(self, table: Table, now_ns: int, limit: int) -> list[FileChunk]:
        """The chunks to look at now: some that were left or differ in a walk, or a slice of all.

        At most ``limit`` of the former.
        """
        if now_ns < self._slice_ns:
            return []
        if self._is_sweeps_turn(now_ns):
            self._has_walked, self._slice_ns = False, now_ns + SWEEP_PAUSE_NS
            return self._sweep(table, now_ns)
        if not self._left and not self._walk(now_ns):
            return []
        self._slice_ns = now_ns + SWEEP_PAUSE_NS
        numbers = [self._left.popleft() for _ in range(min(limit, len(self._left)))]
        found = [find_chunk(table, number) for number in numbers]
        return [chunk for chunk in found if chunk is not None]

    def leave(self, chunks: Sequence[FileChunk]) -> None:
        """These chunks of this slice are to be looked at in the next ones."""
        self._left.extend(chunk.row.chunk for chunk in chunks)

    def _walk(self, now_ns: int) -> bool:
        """Take a slice of the walk whose turn it is; False when none is due."""
        for _ in range(len(self._walks)):
            walk = self._walks.popleft()
            is_due = walk.begin_ns <= now_ns
            if is_due:
                self._left.extend(walk.step())
                self._has_walked = True
            if not walk.is_done:
                self._walks.append(walk)
            if is_due:
                return True
        return False

    def _sweep(self, table: Table, now_ns: int) -> list[FileChunk]:
        if self._cursor is None:
            self._begin_pass(until=None)
        assert self._cursor is not None
        rows = table.scan("chunks", self._cursor, SWEEP_MAX_ROWS)
        self._counted += len(rows)
        if len(rows) == SWEEP_MAX_ROWS:
            self._cursor = rows[-1][0] + b"\0"
            if self._until is not None and self._cursor >= self._until:
                self._end_pass(now_ns)
        else:
            self.chunks = self._counted if self._until is None else self.chunks
            self._end_pass(now_ns)
        return _file_chunks(table, rows)

    def _begin_pass(self, until: bytes | None) -> None:
        self._cursor, self._until, self._again_until = _FIRST_KEY, until, None
        self._counted = 0

    def _end_pass(self, now_ns: int) -> None:
        if self._again_until is not None:
            self._begin_pass(self._again_until)
        else:
            self._cursor, self.has_finished = None, True
            self._next_ns = now_ns + SWEEP_EVERY_NS


def _file_chunks(table: Table, rows: list[tuple[bytes, bytes]]) -> list[FileChunk]:
    """Rows of the table of chunks, with what their files want."""
    found: list[FileChunk] = []
    inode, file = 0, None
    for key, value in rows:
        if number_of(key) != inode:
            inode = number_of(key)
            file = get_row(table, "inodes", number_key(inode), InodeRow)
        if file is not None:
            row = load_row(ChunkRow, value)
            found.append(FileChunk(inode, second_of(key), row, file.replication))
    return found
