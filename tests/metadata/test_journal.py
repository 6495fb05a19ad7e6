"""The log and the view agree: after any replay, and after a crash at any call of the disk."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfs.errors import Corrupt, NotSupported, StorageFault
from dfs.events import Now
from dfs.limits import COMMIT_EVERY_NS, COMMIT_MAX_COMMANDS, SECOND_NS
from dfs.namenode.journal import get_applied_index, open_journal, table_names
from dfs.namenode.lmdb_table import LmdbTable
from dfs.namenode.module import Command
from dfs.namenode.table import MemoryTable
from dfs.testing.disk import ANY_CALL, MemoryDisk
from tests.metadata.counting import (
    CLUSTER,
    MODULES,
    NOW,
    SAID,
    SEGMENT_BYTES,
    WORDS,
    Said,
    Set,
    ask,
    boot,
    new_table,
    rows,
    write_records,
)

commands = st.one_of(
    st.builds(Set, st.binary(min_size=1, max_size=2), st.integers(0, 2**63)),
    st.builds(Said, st.text(max_size=30), st.booleans()),
)
decisions = st.lists(st.lists(commands, max_size=4), max_size=30)


def test_a_view_has_the_tables_of_all_modules() -> None:
    assert table_names(MODULES) == ("meta", "words", "said")
    with pytest.raises(AssertionError, match="table words belongs to words and to said"):
        table_names((WORDS, replace(SAID, tables=("words",))))


@settings(deadline=None)
@given(decisions=decisions, per_step=st.integers(1, 8))
def test_a_replay_makes_the_same_view(decisions: list[list[Command]], per_step: int) -> None:
    disk, table = MemoryDisk(), new_table()
    step = boot(disk, table)
    for at in range(0, len(decisions), per_step):
        step.run([ask(*d) for d in decisions[at : at + per_step]], NOW)
    step.close()
    again = new_table()
    boot(disk, again)
    assert rows(again) == rows(table)


def test_a_replay_begins_behind_what_the_view_has() -> None:
    disk, table = MemoryDisk(), new_table()
    write_records(disk, 9)
    boot(disk, table)
    assert get_applied_index(table) == 9
    before = rows(table)
    applied = []

    def apply(*arguments: object) -> None:
        applied.append(arguments)

    modules = (replace(WORDS, apply=apply), SAID)
    open_journal(disk, table, modules, CLUSTER, SEGMENT_BYTES)
    assert (applied, rows(table)) == ([], before)


def test_a_long_replay_is_committed_in_parts() -> None:
    class CountingTable(MemoryTable):
        commits = 0

        def commit(self) -> None:
            self.commits += 1
            super().commit()

    disk, table = MemoryDisk(), CountingTable(table_names(MODULES))
    write_records(disk, COMMIT_MAX_COMMANDS * 2 + 10, per_sync=500)
    boot(disk, table)
    assert table.commits == 3
    assert get_applied_index(table) == COMMIT_MAX_COMMANDS * 2 + 10


def test_a_log_with_a_module_that_is_not_started_stops_the_start() -> None:
    disk, table = MemoryDisk(), new_table()
    step = boot(disk, table)
    step.run([ask(Set(b"a", 1))], NOW)
    step.run([ask(Said("one"))], NOW)
    table = new_table()
    with pytest.raises(NotSupported, match=r"record 2 in .* module 'said'"):
        open_journal(disk, table, (WORDS,), CLUSTER, SEGMENT_BYTES)
    table.abort()
    assert get_applied_index(table) == 0


def test_a_view_ahead_of_the_log_stops_the_start() -> None:
    disk, table = MemoryDisk(), new_table()
    boot(disk, table).run([ask(Set(b"a", 1))], NOW)
    step = boot(disk, table)
    step.close()
    with pytest.raises(Corrupt, match="view is of record 1"):
        boot(MemoryDisk(), table)


@settings(deadline=None, max_examples=200)
@given(
    crash_in=st.integers(1, 60),
    seed=st.integers(0, 2**32),
    torn=st.booleans(),
    per_step=st.integers(1, 9),
)
def test_a_crash_at_any_call_keeps_what_was_released_and_a_prefix_of_the_rest(
    crash_in: int, seed: int, torn: bool, per_step: int
) -> None:
    disk, table, rng = MemoryDisk(), new_table(), Random(seed)
    asked, released = 0, 0
    for life in range(3):
        disk.fail(ANY_CALL, crash_in * (life + 1))
        with suppress(StorageFault):
            step = boot(disk, table)
            for turn in range(12):
                now = Now(SECOND_NS + turn * COMMIT_EVERY_NS // 3, 0)
                events = [ask(Set(b"%d" % (asked + n), n)) for n in range(per_step)]
                asked += per_step
                released += len(step.run(events, now))
        disk.crash(rng if torn else None)
        table.abort()
        committed = get_applied_index(table)
        boot(disk, table)
        words = len(table.scan("words", b"", 10_000))
        assert get_applied_index(table) == words >= committed
        assert released <= words <= asked
        have = {int(key) for key, _ in table.scan("words", b"", 10_000)}
        assert have == set(range(words))
        asked = released = words


def test_a_view_on_disk_comes_back_after_a_kill_and_after_a_clean_end(tmp_path: Path) -> None:
    disk = MemoryDisk()
    table = LmdbTable.open(tmp_path, table_names(MODULES))
    step = boot(disk, table)
    step.run([ask(Set(b"a", 1), Said("one")), ask(Set(b"b", 2))], NOW)
    expected = rows(table)["words"]
    table.close()
    table = LmdbTable.open(tmp_path, table_names(MODULES))
    assert rows(table)["words"] == []
    step = boot(disk, table)
    assert rows(table)["words"] == expected
    step.close()
    table.close()
    table = LmdbTable.open(tmp_path, table_names(MODULES))
    assert get_applied_index(table) == 2
    assert rows(table)["words"] == expected
    table.close()
