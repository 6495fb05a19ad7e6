"""Checking the tables: every row against the invariants, in slices.

Each module brings one check for each of its tables: a function of one row and of the rows
that this row names. Such a check needs nothing but the moment it runs at, so a slice can
be followed by changes and by the next slice, in another request or after a restart, and
nothing that was right the whole time is ever called a problem.

``docs/invariants.md`` lists what is checked, by number.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from dfs.errors import BadArgument
from dfs.limits import FSCK_MAX_PROBLEMS, FSCK_MAX_ROWS, KEY_MAX_BYTES
from dfs.namenode.module import Module
from dfs.namenode.problem import UNREADABLE, Problem, RowError, Rows
from dfs.namenode.table import Table

NEXT = b"\0"
"""The least key; behind a key: the least key above it."""


class Fsck:
    """A walk over all tables of these modules. ``cursor`` says where it stands, "" at its end."""

    def __init__(self, modules: Sequence[Module], cursor: str = "") -> None:
        self._checks = {t: check for module in modules for t, check in module.checks.items()}
        self._tables = list(self._checks)
        self.cursor = cursor
        self.rows = 0

    def step(
        self, table: Table, next_index: int | None = None, limit: int = FSCK_MAX_ROWS
    ) -> list[Problem]:
        """Check up to ``limit`` rows; ``next_index`` (if known) is that of the next record.

        Raises ``BadArgument`` for a cursor that no walk gave out.
        """
        at, start = self._place()
        rows = Rows(table, next_index)
        found: list[Problem] = []
        for position in range(at, len(self._tables)):
            name = self._tables[position]
            batch = table.scan(name, start, limit)
            for key, value in batch:
                found += self._check(rows, name, key, value)
                limit -= 1
                self.rows += 1
                if limit == 0 or len(found) >= FSCK_MAX_PROBLEMS:
                    self.cursor = f"{name} {(key + NEXT).hex()}"
                    return found
            start = NEXT
        self.cursor = ""
        return found

    def _place(self) -> tuple[int, bytes]:
        if not self.cursor:
            return 0, NEXT
        name, _, digits = self.cursor.partition(" ")
        try:
            at, start = self._tables.index(name), bytes.fromhex(digits)
        except ValueError:
            at, start = 0, b""
        if not 1 <= len(start) <= KEY_MAX_BYTES:
            raise BadArgument(f"{self.cursor[:80]!r} is no place in a check of the tables")
        return at, start

    def _check(self, rows: Rows, name: str, key: bytes, value: bytes) -> list[Problem]:
        place = f"{name}[{key.hex()}]"
        try:
            return [Problem(n, place, text) for n, text in self._checks[name](rows, key, value)]
        except RowError as bad:
            if (bad.table, bad.key) != (name, key):
                return []  # the other row tells of it itself
            return [Problem(UNREADABLE, place, f"the row cannot be read: {bad}")]
        except struct.error as error:
            return [Problem(UNREADABLE, place, f"the row names what cannot be: {error}")]


def find_problems(
    table: Table, modules: Sequence[Module], next_index: int | None = None
) -> list[Problem]:
    """Everything that is wrong in these tables, at once."""
    fsck = Fsck(modules)
    found = fsck.step(table, next_index)
    while fsck.cursor:
        found += fsck.step(table, next_index)
    return found
