"""Walking over chunks in slices, to find those that are not as they should be.

Nothing is walked while nothing happens. A *walk* goes over the replicas in which two
states of one node differ: it died (all of them), it came or came back (all), it reported
anew (what was lost and found). The *sweep* goes over every committed chunk: once after the
start, when a node joins while copies are owed for lack of nodes, when news were too many
to be kept, and every hour for good measure. A slice is at most ``SWEEP_MAX_ROWS`` chunks. Few of
them have to be judged, as a rule; those that are more than a step may judge are *left* for the
next slices. ``SWEEP_PAUSE_NS`` lies between two, which leaves most of a core to everything else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
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


@dataclass(slots=True, eq=False)
class Walk:
    """From one state of a node's replicas to another, not before ``begin_ns``."""

    node: str
    before: HeldReplicas
    after: HeldReplicas
    begin_ns: int
    next_chunk: int = 0
    is_done: bool = False

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
        self._walk_ns = begin_ns
        self._cursor: bytes | None = None
        self._again = False
        self._next_ns = begin_ns
        self._counted = 0
        self.chunks = 0
        self.has_finished = False

    def request(self, at_ns: int) -> None:
        """Look at all chunks at that time at the latest; once more, if that is under way."""
        if self._cursor is None:
            self._next_ns = min(self._next_ns, at_ns)
        else:
            self._again = True

    def restart(self, at_ns: int) -> None:
        """Look at all chunks from that time on; what is under way does not count."""
        self._cursor, self._again, self.has_finished = None, False, False
        self._left.clear()
        self._next_ns = at_ns

    def walk(self, node: str, before: HeldReplicas, after: HeldReplicas, begin_ns: int) -> None:
        """Look at the chunks in which two states of a node differ."""
        self._walks.append(Walk(node, before, after, begin_ns))

    def call_off(self, node: str) -> None:
        """The walk over that node's replicas that has not begun is not needed."""
        self._walks = deque(w for w in self._walks if w.node != node or w.next_chunk)

    def begins(self, now_ns: int) -> bool:
        """Is the sweep about to begin?"""
        return self._cursor is None and now_ns >= self._next_ns

    def pause(self, now_ns: int) -> None:
        """There is no room for what would be found."""
        self._walk_ns = max(self._walk_ns, now_ns + SECOND_NS)
        self._next_ns = max(self._next_ns, now_ns + SECOND_NS)

    def begun(self, now_ns: int) -> Iterable[str]:
        """The nodes whose walk is due or under way."""
        return [w.node for w in self._walks if w.begin_ns <= now_ns]

    def leave(self, chunks: Sequence[FileChunk], now_ns: int) -> None:
        """These chunks of this slice are to be looked at in the next ones."""
        if chunks:
            self._left.extend(chunk.row.chunk for chunk in chunks)
            self._walk_ns = now_ns + SWEEP_PAUSE_NS

    def step(self, table: Table, now_ns: int, limit: int) -> list[FileChunk]:
        """The chunks to look at now: some that were left or differ in a walk, or a slice of all.

        At most ``limit`` of the former.
        """
        walk = None if self._left else self._due_walk(now_ns)
        if walk is not None:
            self._left.extend(walk.step())
            if not walk.is_done:
                self._walks.append(walk)
        elif not self._left:
            return self._sweep(table, now_ns) if now_ns >= self._next_ns else []
        elif now_ns < self._walk_ns:
            return []
        else:
            self._next_ns = max(self._next_ns, now_ns + SWEEP_PAUSE_NS)
        self._walk_ns = now_ns + SWEEP_PAUSE_NS
        numbers = [self._left.popleft() for _ in range(min(limit, len(self._left)))]
        found = [find_chunk(table, number) for number in numbers]
        return [chunk for chunk in found if chunk is not None]

    def _due_walk(self, now_ns: int) -> Walk | None:
        """Take the walk whose turn it is."""
        for _ in range(len(self._walks)):
            walk = self._walks.popleft()
            if max(walk.begin_ns, self._walk_ns) <= now_ns:
                return walk
            self._walks.append(walk)
        return None

    def _sweep(self, table: Table, now_ns: int) -> list[FileChunk]:
        if self._cursor is None:
            self._cursor, self._counted = b"\0", 0
        rows = table.scan("chunks", self._cursor, SWEEP_MAX_ROWS)
        self._counted += len(rows)
        if len(rows) == SWEEP_MAX_ROWS:
            self._cursor = rows[-1][0] + b"\0"
            self._next_ns = now_ns + SWEEP_PAUSE_NS
        else:
            self._finish(now_ns)
        return _file_chunks(table, rows)

    def _finish(self, now_ns: int) -> None:
        self.chunks = self._counted
        self.has_finished = not self._again
        self._cursor = None
        self._next_ns = now_ns + (SWEEP_PAUSE_NS if self._again else SWEEP_EVERY_NS)
        self._again = False

    def next_deadline(self) -> int:
        """When the next slice is due."""
        if self._left:
            return self._walk_ns
        times = [max(w.begin_ns, self._walk_ns) for w in self._walks]
        return min([*times, self._next_ns])


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
