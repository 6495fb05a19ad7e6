"""How the chunks of files stand, a page of bounded work at a time."""

from __future__ import annotations

from dfs.errors import NotADirectory, NotFound
from dfs.limits import FILES_CHECK_MAX_ROWS
from dfs.namenode.keys import ChunkRow, InodeRow
from dfs.namenode.namespace import file_chunks, find_entry, inode_row, lease_row
from dfs.namenode.nodes import Nodes
from dfs.namenode.standing import replica_states, writing_states
from dfs.namenode.table import Table
from dfs.namenode.walking import walk
from dfs.wire.admin import CheckFiles, ChunkStanding, FilesChecked, ReplicaStanding

GOOD = "good"


class FilesPage:
    """One page of ``CheckFiles``; ``run`` fills it."""

    def __init__(self, table: Table, nodes: Nodes, question: CheckFiles) -> None:
        self._table = table
        self._nodes = nodes
        self._question = question
        self._files = self._chunks = self._size = 0
        self._rows = 0
        self._found: list[ChunkStanding] = []
        self._at = (question.after, question.start)

    def run(self) -> FilesChecked:
        """Walk until the page is full. Raises ``NotFound``, ``NotADirectory``."""
        question = self._question
        if question.start and not self._go_on():
            return self._page(more=True)
        for path, inode, row in walk(self._table, question.path, question.after, with_system=True):
            if self._rows >= FILES_CHECK_MAX_ROWS:
                return self._page(more=True)
            self._rows += 1
            self._at = (path, 0)
            if row.is_dir:
                continue
            self._files += 1
            self._size += row.size
            if not self._check(path, inode, row, 0):
                return self._page(more=True)
        return self._page(more=False)

    def _go_on(self) -> bool:
        """The rest of the file in which the last page ended, if it is still there."""
        after, start = self._at
        try:
            place, entry = find_entry(self._table, after)
        except (NotFound, NotADirectory):
            return True
        row = inode_row(self._table, entry.inode)
        return row.is_dir or self._check(place.path, entry.inode, row, start)

    def _check(self, path: str, inode: int, row: InodeRow, start: int) -> bool:
        """Look at a file's chunks from ``start`` on; False when the page ends before its end."""
        room = FILES_CHECK_MAX_ROWS - self._rows
        if room <= 0:
            self._at = (path, start)
            return False
        chunks, more = file_chunks(self._table, inode, start, 1 << 62, room)
        for at, chunk in chunks:
            self._look(path, at, chunk, row)
        if more:
            last, chunk = chunks[-1]
            self._at = (path, last + chunk.length)
            return False
        lease = lease_row(self._table, inode)
        if lease is not None and lease.chunk and self._question.all_chunks:
            states = tuple(ReplicaStanding(*state) for state in writing_states(lease))
            self._found.append(
                ChunkStanding(
                    path, lease.start, lease.chunk, lease.generation, 0, row.replication, states
                )
            )
        self._at = (path, 0)
        return True

    def _look(self, path: str, at: int, chunk: ChunkRow, row: InodeRow) -> None:
        self._rows += 1
        self._chunks += 1
        states = tuple(ReplicaStanding(*s) for s in replica_states(self._nodes, chunk))
        good = sum(state.state == GOOD for state in states)
        if self._question.all_chunks or good < row.replication:
            self._found.append(
                ChunkStanding(
                    path,
                    at,
                    chunk.chunk,
                    chunk.generation,
                    chunk.length,
                    row.replication,
                    states,
                )
            )

    def _page(self, more: bool) -> FilesChecked:
        after, start = self._at if more else ("", 0)
        return FilesChecked(
            self._files, self._chunks, self._size, tuple(self._found), more, after, start
        )
