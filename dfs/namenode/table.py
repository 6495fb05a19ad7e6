"""The view of the metadata: ordered tables of bytes, changed in steps.

``Table`` is the seam. ``dfs.namenode.lmdb_table`` keeps it on disk; ``MemoryTable``
below keeps it in memory for tests and the simulation and can fall back to the last
commit, as LMDB does after a crash, or to the one before. Both pass the same contract tests.

Rules: one writer, no threads. Reads see every earlier write of the step. Nothing
that a read returned is a buffer of the table: values are copies. ``commit`` makes
all writes since the last one permanent together; ``abort`` undoes them.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Protocol


class Table(Protocol):
    """Named tables of byte keys (1-511 bytes, ordered) and byte values."""

    def get(self, table: str, key: bytes) -> bytes | None:
        """The value at a key."""

    def put(self, table: str, key: bytes, value: bytes) -> None:
        """Set a value."""

    def delete(self, table: str, key: bytes) -> bool:
        """Remove a key; False when it was not there."""

    def scan(self, table: str, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Up to ``limit`` rows with key >= ``start``, in order."""

    def last(self, table: str, below: bytes) -> tuple[bytes, bytes] | None:
        """The row with the greatest key < ``below``."""

    def commit(self) -> None:
        """Make everything since the last commit permanent; an error ends the process."""

    def abort(self) -> None:
        """Undo everything since the last commit."""

    def make_room(self) -> bool:
        """Reserve space on the disk for the next commits; False when the disk is full."""

    def check_usable(self) -> None:
        """Raise ``StorageFault`` again when a call did, whoever took it for an answer."""


def scan_prefix(
    table: Table, name: str, prefix: bytes, start: bytes = b"", batch: int = 256
) -> Iterator[tuple[bytes, bytes]]:
    """Rows whose key begins with ``prefix`` and is at least ``start``, read in batches.

    The table may be changed between the rows: each batch is a fresh look.
    """
    start = max(prefix, start)
    while True:
        rows = table.scan(name, start, batch)
        for key, value in rows:
            if not key.startswith(prefix):
                return
            yield key, value
        if len(rows) < batch:
            return
        start = rows[-1][0] + b"\0"


class MemoryTable:
    """A ``Table`` in memory, with an undo list back to the last commit."""

    def __init__(self, tables: tuple[str, ...]) -> None:
        self._rows: dict[str, dict[bytes, bytes]] = {name: {} for name in tables}
        self._keys: dict[str, list[bytes]] = {name: [] for name in tables}
        self._undo: list[tuple[str, bytes, bytes | None]] = []
        self._undo_commit: list[tuple[str, bytes, bytes | None]] = []

    @property
    def names(self) -> tuple[str, ...]:
        """The tables there are."""
        return tuple(self._rows)

    def get(self, table: str, key: bytes) -> bytes | None:
        return self._rows[table].get(key)

    def put(self, table: str, key: bytes, value: bytes) -> None:
        self._undo.append((table, key, self._rows[table].get(key)))
        self._set(table, key, value)

    def delete(self, table: str, key: bytes) -> bool:
        old = self._rows[table].get(key)
        if old is None:
            return False
        self._undo.append((table, key, old))
        self._set(table, key, None)
        return True

    def scan(self, table: str, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        keys, rows = self._keys[table], self._rows[table]
        at = bisect_left(keys, start)
        return [(key, rows[key]) for key in keys[at : at + limit]]

    def last(self, table: str, below: bytes) -> tuple[bytes, bytes] | None:
        at = bisect_left(self._keys[table], below)
        if at == 0:
            return None
        key = self._keys[table][at - 1]
        return key, self._rows[table][key]

    def commit(self) -> None:
        self._undo_commit, self._undo = self._undo, []

    def abort(self) -> None:
        for table, key, old in reversed(self._undo):
            self._set(table, key, old)
        self._undo.clear()

    def lose_commit(self) -> None:
        """Fall back to the commit before the last one, as LMDB may after a loss of power."""
        self.abort()
        self._undo, self._undo_commit = self._undo_commit, []
        self.abort()

    def committed_rows(self) -> dict[str, dict[bytes, bytes]]:
        """A copy of all rows as of the last commit."""
        rows = {name: dict(table) for name, table in self._rows.items()}
        for table, key, old in reversed(self._undo):
            if old is None:
                rows[table].pop(key, None)
            else:
                rows[table][key] = old
        return rows

    def make_room(self) -> bool:
        return True

    def check_usable(self) -> None:
        pass

    def _set(self, table: str, key: bytes, value: bytes | None) -> None:
        rows, keys = self._rows[table], self._keys[table]
        if value is None:
            del rows[key]
            del keys[bisect_left(keys, key)]
        else:
            if key not in rows:
                insort(keys, key)
            rows[key] = value
