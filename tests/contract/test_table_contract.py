"""What every ``Table`` does, judged by a dict: the one in memory and the one on disk."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from dfs.namenode.lmdb_table import LmdbTable
from dfs.namenode.table import MemoryTable, Table, scan_prefix

NAMES = ("first", "second")
names = st.sampled_from(NAMES)
keys = st.one_of(
    st.sampled_from([b"\0", b"a", b"a\0", b"ab", b"b", b"\xff", b"\xff" * 511]),
    st.binary(min_size=1, max_size=3),
)
values = st.binary(max_size=20)
Rows = dict[str, dict[bytes, bytes]]


def copy(rows: Rows) -> Rows:
    return {name: dict(table) for name, table in rows.items()}


class TableMachine(RuleBasedStateMachine):
    """The same calls on a table and on a dict. Subclasses say which table."""

    table: Any

    def __init__(self) -> None:
        super().__init__()
        self.rows: Rows = {name: {} for name in NAMES}
        self.committed = copy(self.rows)

    @rule(name=names, key=keys, value=values)
    def put(self, name: str, key: bytes, value: bytes) -> None:
        self.table.put(name, key, value)
        self.rows[name][key] = value

    @rule(name=names, key=keys)
    def delete(self, name: str, key: bytes) -> None:
        assert self.table.delete(name, key) is (key in self.rows[name])
        self.rows[name].pop(key, None)

    @rule(name=names, key=keys)
    def get(self, name: str, key: bytes) -> None:
        assert self.table.get(name, key) == self.rows[name].get(key)

    @rule(name=names, start=st.just(b"") | keys, limit=st.integers(0, 5))
    def scan(self, name: str, start: bytes, limit: int) -> None:
        expected = [row for row in sorted(self.rows[name].items()) if row[0] >= start]
        assert self.table.scan(name, start, limit) == expected[:limit]

    @rule(name=names, below=st.just(b"") | keys)
    def last(self, name: str, below: bytes) -> None:
        expected = [row for row in sorted(self.rows[name].items()) if row[0] < below]
        assert self.table.last(name, below) == (expected[-1] if expected else None)

    @rule(name=names, prefix=st.sampled_from([b"", b"a", b"\xff"]), batch=st.integers(1, 3))
    def prefix(self, name: str, prefix: bytes, batch: int) -> None:
        expected = [row for row in sorted(self.rows[name].items()) if row[0].startswith(prefix)]
        assert list(scan_prefix(self.table, name, prefix, batch=batch)) == expected

    @rule()
    def commit(self) -> None:
        self.table.commit()
        self.committed = copy(self.rows)

    @rule()
    def abort(self) -> None:
        self.table.abort()
        self.rows = copy(self.committed)

    @invariant()
    def holds_the_rows(self) -> None:
        for name in NAMES:
            rows = self.table.scan(name, b"", 1000)
            assert rows == sorted(self.rows[name].items())
            assert all(type(key) is bytes and type(value) is bytes for key, value in rows)


class MemoryMachine(TableMachine):
    def __init__(self) -> None:
        super().__init__()
        self.table = MemoryTable(NAMES)


class LmdbMachine(TableMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.table = LmdbTable.open(Path(self.folder.name), NAMES)

    @rule()
    def reopen(self) -> None:
        """Closing gives up what was not committed."""
        self.table.close()
        self.table = LmdbTable.open(Path(self.folder.name), NAMES)
        self.rows = copy(self.committed)

    def teardown(self) -> None:
        self.table.close()
        self.folder.cleanup()


TestMemoryTable = MemoryMachine.TestCase
TestMemoryTable.settings = settings(max_examples=60, deadline=None)
TestLmdbTable = LmdbMachine.TestCase
TestLmdbTable.settings = settings(max_examples=40, deadline=None)


@pytest.fixture(params=["memory", "lmdb"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Table]:
    if request.param == "memory":
        yield MemoryTable(NAMES)
    else:
        on_disk = LmdbTable.open(tmp_path, NAMES)
        yield on_disk
        on_disk.close()


def test_a_scan_may_go_on_while_the_rows_behind_it_change(table: Table) -> None:
    for number in range(10):
        table.put("first", b"%d" % number, b"")
    seen = []
    for key, _ in scan_prefix(table, "first", b"", batch=3):
        seen.append(key)
        table.delete("first", key)
        table.put("second", key, b"moved")
    assert seen == [b"%d" % number for number in range(10)]
    assert table.scan("first", b"", 10) == []
    assert len(table.scan("second", b"", 99)) == 10


def test_values_outlive_later_changes(table: Table) -> None:
    table.put("first", b"key", b"old" * 100)
    value = table.get("first", b"key")
    table.put("first", b"key", b"new" * 100)
    table.commit()
    assert value == b"old" * 100


def test_there_is_room_on_this_disk(table: Table) -> None:
    assert table.make_room()


def test_an_unknown_table_is_a_mistake_of_the_program(table: Table) -> None:
    with pytest.raises(KeyError):
        table.get("third", b"key")
