"""What a check of the tables finds, and how it reads them.

Each invariant has a number, listed in ``docs/invariants.md``; a problem cites it. A check
looks at one row and at the rows that this one names, all at one moment, so the tables may
be checked in slices while they change.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from dfs.namenode.keys import ROOT, InodeRow, LeaseRow, R, load_row, number_key, number_of
from dfs.namenode.table import Table

NUMBER_BYTES = 8
UNREADABLE = 1
"""The invariant that every row can be read."""


class Problem(NamedTuple):
    """An invariant that does not hold: its number, the row that shows it, a sentence."""

    number: int
    place: str
    text: str

    def __str__(self) -> str:
        return f"invariant {self.number}: {self.text} ({self.place})"


class RowError(Exception):
    """A row, of whatever table, that is none. It is a problem of that row alone."""

    def __init__(self, table: str, key: bytes, text: str) -> None:
        super().__init__(text)
        self.table = table
        self.key = key


class Rows:
    """The tables as the checks of one slice read them."""

    def __init__(self, table: Table, next_index: int | None) -> None:
        self._table = table
        self.next_index = next_index
        self.attached = {ROOT}
        """Directories that are known to hang on the root."""

    def decode(self, cls: type[R], table: str, key: bytes, value: bytes) -> R:
        """The row in these bytes. Raises ``RowError``."""
        try:
            return load_row(cls, value)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RowError(table, key, str(error)) from error

    def get(self, table: str, key: bytes, cls: type[R]) -> R | None:
        """The row at a key. Raises ``RowError``."""
        value = self._table.get(table, key)
        return None if value is None else self.decode(cls, table, key, value)

    def raw(self, table: str, key: bytes) -> bytes | None:
        """The bytes at a key."""
        return self._table.get(table, key)

    def before(self, table: str, below: bytes) -> tuple[bytes, bytes] | None:
        """The row with the greatest key below."""
        return self._table.last(table, below)

    def inode(self, inode: int) -> InodeRow | None:
        """The row of an inode."""
        return self.get("inodes", number_key(inode), InodeRow)

    def lease(self, inode: int) -> LeaseRow | None:
        """The lease of a file."""
        return self.get("leases", number_key(inode), LeaseRow)

    def is_unlinked(self, inode: int) -> bool:
        """Does the inode wait to be reclaimed?"""
        return self._table.get("reap", number_key(inode)) is not None

    def counter(self, key: bytes) -> int:
        """A number of the table ``meta``; 0 when it is missing."""
        value = self._table.get("meta", key)
        return number_of(value) if value is not None and len(value) == NUMBER_BYTES else 0
