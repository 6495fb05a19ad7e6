"""The step: what is decided against what, what is held, and when it is let go."""

from __future__ import annotations

import pytest

from dfs.errors import StorageFault
from dfs.events import Action, Decision, Event, Note, Now, WorkDone
from dfs.limits import (
    COMMIT_EVERY_NS,
    COMMIT_MAX_BYTES,
    COMMIT_MAX_COMMANDS,
    ROOM_RETRY_NS,
    SECOND_NS,
)
from dfs.namenode.journal import get_applied_index, open_journal, table_names
from dfs.namenode.module import NO_SNAPSHOT, Snapshot, View
from dfs.namenode.safemode import CheckView
from dfs.namenode.snapshots import Snapshots
from dfs.namenode.table import MemoryTable
from dfs.net.step import JournalStep, PlainStep
from dfs.testing.disk import MemoryDisk
from tests.metadata.counting import (
    CLUSTER,
    MODULES,
    NOW,
    SEGMENT_BYTES,
    Said,
    ScriptedCore,
    Set,
    Unset,
    ask,
    boot,
    new_table,
    texts,
)


class EchoCore:
    """Answers each event and each deadline with a note."""

    def __init__(self) -> None:
        self.deadline_ns: int | None = None

    def handle(self, event: Event, now: Now) -> list[Action]:
        assert isinstance(event, WorkDone)
        return [Note(f"{event.token} at {now.mono_ns}")]

    def on_deadline(self, now: Now) -> list[Action]:
        self.deadline_ns = None
        return [Note(f"due at {now.mono_ns}")]

    def next_deadline(self) -> int | None:
        return self.deadline_ns


def test_a_plain_step_passes_events_then_the_deadline() -> None:
    core = EchoCore()
    step = PlainStep(core)
    core.deadline_ns = 5
    assert step.next_deadline() == 5
    events: list[Event] = [WorkDone("a"), WorkDone("b")]
    assert texts(step.run(events, Now(4, 0))) == ["a at 4", "b at 4"]
    assert texts(step.run(events[:1], Now(5, 0))) == ["a at 5", "due at 5"]
    assert texts(step.run([], Now(6, 0))) == []
    assert step.next_deadline() is None


def test_each_event_sees_what_was_decided_before_it_in_the_same_step() -> None:
    step = boot(MemoryDisk(), new_table())
    events = [ask(Set(b"a", 1)), ask(Set(b"b", 2), Set(b"c", 3)), ask(), ask(Unset(b"a")), ask()]
    assert texts(step.run(events, NOW)) == [
        "record 1 after 0 words",
        "record 2 after 1 words",
        "record 3 after 3 words",
        "record 3 after 3 words",
        "record 4 after 2 words",
    ]


def test_the_deadline_is_decided_after_the_events_in_the_same_step() -> None:
    core = ScriptedCore(deadline_ns=NOW.mono_ns, due=(Set(b"due", 1),))
    table = new_table()
    step = boot(MemoryDisk(), table, core)
    assert step.next_deadline() == NOW.mono_ns
    assert texts(step.run([], Now(NOW.mono_ns - 1, 0))) == []
    actions = step.run([ask(Set(b"a", 1))], NOW)
    assert texts(actions) == ["record 1 after 0 words", "due at record 2"]
    assert table.get("words", b"due") is not None


def test_one_sync_for_a_whole_step_and_none_for_reads() -> None:
    disk = MemoryDisk()
    step = boot(disk, new_table())
    before = disk.calls.copy()
    step.run([ask(Set(b"%d" % n, n)) for n in range(10)], NOW)
    assert disk.calls - before == {"write_at": 1, "sync": 1}
    before = disk.calls.copy()
    assert texts(step.run([ask(), ask()], NOW)) == ["record 11 after 10 words"] * 2
    assert disk.calls == before


@pytest.mark.parametrize("call", ["write_at", "sync"])
def test_nothing_is_released_when_the_log_fails_and_nothing_is_saved(call: str) -> None:
    disk, table = MemoryDisk(), new_table()
    step = boot(disk, table)
    step.run([ask(Set(b"a", 1))], NOW)
    disk.fail(call)
    with pytest.raises(StorageFault):
        step.run([ask(), ask(Set(b"b", 2))], Now(NOW.mono_ns + COMMIT_EVERY_NS, 0))
    with pytest.raises(AssertionError, match="ran after one that failed"):
        step.run([ask()], NOW)
    step.close()
    disk.crash()
    table.abort()
    assert get_applied_index(table) == 0
    boot(disk, table)
    assert [key for key, _ in table.scan("words", b"", 9)] == [b"a"]


class BreakableTable(MemoryTable):
    """A view whose commits fail once it was told so."""

    broken = False

    def commit(self) -> None:
        if self.broken:
            raise StorageFault("the view failed")
        super().commit()


def test_nothing_is_released_when_the_commit_fails() -> None:
    disk, table = MemoryDisk(), BreakableTable(table_names(MODULES))
    step = boot(disk, table)
    step.run([ask(Set(b"a", 1))], NOW)
    table.broken = True
    with pytest.raises(StorageFault, match="the view failed"):
        step.run([ask(Set(b"b", 2))], Now(NOW.mono_ns + COMMIT_EVERY_NS, 0))
    with pytest.raises(AssertionError, match="ran after one that failed"):
        step.run([], NOW)
    step.close()
    disk.crash()
    table.abort()
    table.broken = False
    boot(disk, table)
    assert [key for key, _ in table.scan("words", b"", 9)] == [b"a", b"b"]


class UnreadableTable(MemoryTable):
    """A view that failed while it was read."""

    broken = False

    def check_usable(self) -> None:
        if self.broken:
            raise StorageFault("a row is damaged")


def test_what_was_read_from_a_view_that_fails_is_not_released() -> None:
    """A core answers the one who asked with an error; that is not the end of it."""
    disk, table = MemoryDisk(), UnreadableTable(table_names(MODULES))
    step = boot(disk, table)
    step.run([ask(Set(b"a", 1))], NOW)
    table.broken = True
    before = disk.calls.copy()
    with pytest.raises(StorageFault, match="a row is damaged"):
        step.run([ask(Set(b"b", 2))], NOW)
    assert disk.calls == before
    with pytest.raises(AssertionError, match="ran after one that failed"):
        step.run([], NOW)


def test_a_command_that_cannot_be_applied_tells_its_story() -> None:
    step = boot(MemoryDisk(), new_table())
    with pytest.raises(AssertionError, match=r"record 1: Unset\(word=b'x'\) after .*never set"):
        step.run([ask(Unset(b"x"))], NOW)


class TestCommit:
    """The view is committed every 100 ms or 2,000 commands, and at the end."""

    def test_by_time(self) -> None:
        table = new_table()
        step = boot(MemoryDisk(), table)
        assert step.next_deadline() is None
        step.run([ask(Set(b"a", 1))], NOW)
        due = NOW.mono_ns + COMMIT_EVERY_NS
        assert step.next_deadline() == due
        step.run([ask(Set(b"b", 2))], Now(due - 1, 0))
        assert (step.next_deadline(), get_applied_index(table)) == (due, 0)
        step.run([], Now(due, 0))
        assert (step.next_deadline(), get_applied_index(table)) == (None, 2)
        table.abort()
        assert len(table.scan("words", b"", 9)) == 2

    def test_by_number_of_commands(self) -> None:
        table = new_table()
        step = boot(MemoryDisk(), table)
        for number in range(COMMIT_MAX_COMMANDS - 1):
            step.run([ask(Set(b"a", number))], NOW)
        assert get_applied_index(table) == 0
        step.run([ask(Set(b"a", 0))], NOW)
        assert get_applied_index(table) == COMMIT_MAX_COMMANDS

    def test_by_bytes(self) -> None:
        table = new_table()
        log = open_journal(MemoryDisk(), table, MODULES, CLUSTER)
        step = JournalStep(ScriptedCore(), MODULES, log, table)
        long = Said("x" * (COMMIT_MAX_BYTES // 3))
        step.run([ask(long), ask(long)], NOW)
        assert get_applied_index(table) == 0
        step.run([ask(long)], NOW)
        assert get_applied_index(table) == 3

    def test_reads_alone_are_no_reason(self) -> None:
        step = boot(MemoryDisk(), new_table())
        step.run([ask()], NOW)
        assert step.next_deadline() is None

    def test_at_the_end(self) -> None:
        disk, table = MemoryDisk(), new_table()
        step = boot(disk, table)
        step.run([ask(Set(b"a", 1))], NOW)
        step.close()
        table.abort()
        assert get_applied_index(table) == 1


def test_the_next_segment_is_prepared_when_nobody_waits() -> None:
    disk = MemoryDisk()
    step = boot(disk, new_table())
    while step.next_deadline() != 0:
        assert step.run([ask(Set(b"a", 1))], Now(SECOND_NS, 0))
    assert disk.names("log") == ["00000001.log"]
    assert step.run([ask()], NOW)
    assert disk.names("log") == ["00000001.log"]
    assert step.run([], NOW) == []
    assert disk.names("log") == ["00000001.log", "00000002.log"]
    assert step.next_deadline() != 0


def test_on_a_full_disk_the_core_is_told_so_until_there_is_room_again() -> None:
    class FullnessCore(ScriptedCore):
        def handle(self, view: View, event: Event, now: Now) -> Decision:
            seen.append(view.is_full)
            return super().handle(view, event, now)

    seen: list[bool] = []
    disk = MemoryDisk()
    step = boot(disk, new_table(), FullnessCore())
    disk.capacity_bytes = disk.used_bytes
    while step.next_deadline() != 0:
        step.run([ask(Set(b"a", 1))], NOW)
    step.run([], NOW)
    assert not any(seen)
    step.run([ask(Unset(b"a"))], NOW)
    assert seen.pop()
    later = Now(NOW.mono_ns + ROOM_RETRY_NS, 0)
    step.run([], later)
    step.run([ask()], later)
    assert seen.pop()
    disk.capacity_bytes += SEGMENT_BYTES
    step.run([], Now(later.mono_ns + ROOM_RETRY_NS, 0))
    step.run([ask()], later)
    assert not seen.pop()


class Follower:
    """Takes events whose token is "follower"; says what it was called with."""

    def __init__(self) -> None:
        self.deadline_ns: int | None = None
        self.snapshot = Snapshot(7, 1)

    def takes(self, event: Event) -> bool:
        return isinstance(event, WorkDone) and event.token == "follower"

    def handle(self, event: Event, now: Now) -> list[Action]:
        return [Note("took its event")]

    def synced(self, now: Now) -> list[Action]:
        return [Note("after the sync")]

    def on_deadline(self, now: Now) -> list[Action]:
        self.deadline_ns = None
        return [Note("due")]

    def next_deadline(self) -> int | None:
        return self.deadline_ns


def test_an_attendant_gets_its_events_its_deadline_and_every_sync() -> None:
    disk, table, follower = MemoryDisk(), new_table(), Follower()
    log = open_journal(disk, table, MODULES, CLUSTER, SEGMENT_BYTES)
    step = JournalStep(ScriptedCore(), MODULES, log, table)
    step.take_snapshots(follower)
    said = texts(step.run([WorkDone("follower"), ask(Set(b"a", 1))], NOW))
    assert said == ["took its event", "record 1 after 0 words", "after the sync"]
    follower.deadline_ns = NOW.mono_ns
    assert step.next_deadline() == NOW.mono_ns
    assert texts(step.run([], NOW)) == ["after the sync", "due"]


def test_the_core_is_told_of_the_newest_snapshot_and_where_the_log_begins() -> None:
    class LookingCore(ScriptedCore):
        def handle(self, view: View, event: Event, now: Now) -> Decision:
            seen.append((view.snapshot, view.first_index))
            return super().handle(view, event, now)

    seen: list[tuple[Snapshot, int]] = []
    disk, table = MemoryDisk(), new_table()
    log = open_journal(disk, table, MODULES, CLUSTER, SEGMENT_BYTES)
    step = JournalStep(LookingCore(), MODULES, log, table)
    step.run([ask()], NOW)
    step.take_snapshots(Follower())
    step.run([ask()], NOW)
    assert seen == [(NO_SNAPSHOT, 1), (Snapshot(7, 1), 1)]


def test_the_verdict_on_the_view_is_for_the_core_too() -> None:
    """Whichever attendant takes it."""
    table, disk = new_table(), MemoryDisk()
    step = boot(disk, table)
    step.take_snapshots(Snapshots(open_journal(disk, table, MODULES, CLUSTER), table))
    verdict = WorkDone(CheckView(), (Set(b"a", 1),))
    assert texts(step.run([verdict], NOW)) == ["record 1 after 0 words"]
