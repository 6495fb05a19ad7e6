"""When a snapshot is taken, what goes behind it, and how a backup gets one."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from dfs.errors import BadArgument, NoRoom, NotFound, PermissionDenied, StorageFault, Unavailable
from dfs.events import Action, Now, Origin, Peer, Received, Reply, Role, Work, WorkDone
from dfs.limits import FRAME_BYTES, SNAPSHOT_PIN_NS, SNAPSHOT_READS_MAX, SNAPSHOT_RETRY_NS
from dfs.manifest import Manifest, render
from dfs.namenode.journal import put_applied_index
from dfs.namenode.module import NO_SNAPSHOT, Snapshot
from dfs.namenode.safemode import CHECKING, CheckView
from dfs.namenode.snapshots import (
    CheckSnapshot,
    DropSnapshots,
    ReadSnapshot,
    Snapshots,
    TakeSnapshot,
    UnlinkSegments,
)
from dfs.wire.backup import BackupPiece, BackupState, PrepareBackup, ReadBackup
from dfs.wire.codec import Message
from dfs.wire.common import Failed
from tests.metadata.counting import new_table, texts

EVERY_BYTES = 1000
ANNA = Origin(Peer(Role.CLIENT, "anna"), 1, 1)


def manifest(index: int) -> Manifest:
    return Manifest("c-test", index, "v", 100, "0" * 64)


@dataclass
class FakeLog:
    """A log with a segment for every ten records."""

    durable_index: int = 0
    kept_bytes: int = 0
    first_segment: int = 0
    first_index: int = 1

    def detach(self, below_index: int) -> list[str]:
        gone = range(self.first_segment, max(self.first_segment, (below_index - 1) // 10))
        self.first_segment = max(self.first_segment, gone.stop)
        return [f"log/{number}" for number in gone]


@dataclass
class Stage:
    """The rules, a log, a view, and the time."""

    held: tuple[Manifest, ...] = ()
    log: FakeLog = field(default_factory=FakeLog)
    now_ns: int = 1_000_000_000_000

    def __post_init__(self) -> None:
        self.table = new_table()
        self.rules = Snapshots(self.log, self.table, self.held, EVERY_BYTES)

    @property
    def now(self) -> Now:
        return Now(self.now_ns, 0)

    def commit(self, index: int) -> list[Action]:
        """Records up to an index are durable and in the view."""
        self.log.durable_index = index
        put_applied_index(self.table, index)
        return self.rules.synced(self.now)

    def grow(self, index: int) -> Work:
        """The log has grown so far that a snapshot is begun."""
        self.log.kept_bytes = EVERY_BYTES
        (work,) = works(self.commit(index), TakeSnapshot)
        self.log.kept_bytes = 0
        return work

    def end(
        self, work: Work, result: object = None, error: Exception | None = None
    ) -> list[Action]:
        done = WorkDone(work.token, result, error)
        assert self.rules.takes(done)
        return self.rules.handle(done, self.now)

    def ask(self, message: Message, origin: Origin = ANNA) -> Message:
        (action,) = self.tell(message, origin)
        assert isinstance(action, Reply)
        assert action.origin == origin
        return action.message

    def tell(self, message: Message, origin: Origin = ANNA) -> list[Action]:
        event = Received(origin, message)
        assert self.rules.takes(event)
        return self.rules.handle(event, self.now)

    def wait(self, duration_ns: int) -> list[Action]:
        self.now_ns += duration_ns
        actions = self.rules.synced(self.now)
        deadline = self.rules.next_deadline()
        if deadline is not None and deadline <= self.now_ns:
            actions += self.rules.on_deadline(self.now)
        return actions


def works(actions: list[Action], kind: type) -> list[Work]:
    """The work of one kind among actions."""
    return [a for a in actions if isinstance(a, Work) and isinstance(a.task, kind)]


def unlinked(actions: list[Action]) -> list[str]:
    return [name for work in works(actions, UnlinkSegments) for name in work.task.names]


class TestTaking:
    """One at a time, when the log has grown."""

    def test_when_the_log_has_grown(self) -> None:
        stage = Stage()
        stage.log.kept_bytes = EVERY_BYTES - 1
        assert stage.commit(5) == []
        stage.log.kept_bytes = EVERY_BYTES
        (work,) = stage.commit(6)
        assert isinstance(work, Work)
        assert stage.commit(7) == []
        assert texts(stage.end(work, manifest(6))) == ["snapshot of record 6 taken, 100 bytes"]
        assert stage.rules.newest == manifest(6)

    def test_what_is_told_of_the_newest(self) -> None:
        assert Stage().rules.snapshot == NO_SNAPSHOT
        stage = Stage(held=(manifest(6),))
        assert stage.rules.snapshot == Snapshot(6, 0)
        stage.end(stage.grow(7), manifest(7))
        assert stage.rules.snapshot == Snapshot(7, stage.now_ns)

    def test_not_again_while_nothing_is_new(self) -> None:
        stage = Stage(held=(manifest(6),))
        stage.log.kept_bytes = EVERY_BYTES
        assert stage.commit(6) == []
        assert works(stage.commit(7), TakeSnapshot)

    def test_a_failure_is_noted_and_tried_again_after_a_pause(self) -> None:
        stage = Stage()
        work = stage.grow(6)
        stage.log.kept_bytes = EVERY_BYTES
        (note,) = texts(stage.end(work, error=NoRoom("the disk is full")))
        assert note == "no snapshot was taken: the disk is full; the next try is in 60 s"
        assert stage.commit(7) == []
        assert stage.rules.next_deadline() == stage.now_ns + SNAPSHOT_RETRY_NS
        assert works(stage.wait(SNAPSHOT_RETRY_NS), TakeSnapshot)
        assert stage.rules.next_deadline() is None

    def test_a_failure_does_not_keep_the_process_awake_when_nothing_is_due(self) -> None:
        stage = Stage()
        stage.end(stage.grow(6), error=NoRoom("the disk is full"))
        assert stage.wait(SNAPSHOT_RETRY_NS) == []
        assert stage.rules.next_deadline() is None


class TestDamage:
    """A snapshot that nobody can use is replaced, though nothing was committed since."""

    def test_one_that_is_damaged_makes_way_for_another_of_the_same_record(self) -> None:
        stage = Stage(held=(manifest(10),))
        stage.log.first_index = 8
        assert stage.commit(10) == []
        (check,) = stage.rules.doubt(10)
        assert isinstance(check, Work)
        assert check.task == CheckSnapshot(manifest(10))
        assert stage.rules.doubt(10) == []
        (note,) = texts(stage.end(check, "its hash is not that of its manifest"))
        assert note == (
            "the snapshot of record 10 is damaged: its hash is not that of its manifest;"
            " another is taken"
        )
        assert stage.rules.newest is None
        assert stage.rules.snapshot == NO_SNAPSHOT
        (work,) = works(stage.commit(10), TakeSnapshot)
        assert works(stage.end(work, manifest(10)), DropSnapshots) == []
        assert stage.rules.newest == manifest(10)
        assert stage.commit(10) == []

    def test_one_that_makes_way_for_a_newer_one_is_removed(self) -> None:
        stage = Stage(held=(manifest(10),))
        stage.log.first_index = 8
        (check,) = stage.rules.doubt(10)
        assert isinstance(check, Work)
        stage.end(check, error=OSError("EIO"))
        (work,) = works(stage.commit(12), TakeSnapshot)
        (drop,) = works(stage.end(work, manifest(12)), DropSnapshots)
        assert drop.task == DropSnapshots((10,))

    def test_one_that_is_sound_stays(self) -> None:
        stage = Stage(held=(manifest(10),))
        stage.log.first_index = 8
        stage.commit(10)
        (check,) = stage.rules.doubt(10)
        assert isinstance(check, Work)
        assert stage.end(check, "") == []
        assert stage.rules.newest == manifest(10)
        assert stage.commit(10) == []
        assert stage.rules.doubt(9) == []


class TestCutting:
    """Only below the newest snapshot and two commits back."""

    def test_what_a_snapshot_and_the_commit_before_the_last_two_have(self) -> None:
        stage = Stage()
        stage.commit(25)
        work = stage.grow(35)
        assert unlinked(stage.end(work, manifest(35))) == []
        assert unlinked(stage.commit(36)) == ["log/0", "log/1"]

    def test_a_power_cut_may_take_the_last_commit_back(self) -> None:
        """Nothing is committed after the snapshot: the commit two before it bounds the cut."""
        stage = Stage()
        for index in (5, 15, 55, 95):
            stage.commit(index)
        assert unlinked(stage.end(stage.grow(98), manifest(98)))[-1] == "log/4"

    def test_nothing_before_two_commits_were_seen(self) -> None:
        stage = Stage(held=(manifest(95),))
        put_applied_index(stage.table, 100)
        stage.rules = Snapshots(stage.log, stage.table, stage.held, EVERY_BYTES)
        assert unlinked(stage.rules.synced(stage.now)) == []
        assert unlinked(stage.commit(101)) == []
        assert unlinked(stage.commit(102)) == [f"log/{n}" for n in range(9)]

    def test_what_was_not_unlinked_comes_first_the_next_time(self) -> None:
        stage = Stage(held=(manifest(95),))
        for index in (20, 21, 22):
            actions = stage.commit(index)
        (work,) = works(actions, UnlinkSegments)
        assert work.task.names == ("log/0", "log/1")
        assert stage.commit(50) == stage.commit(51) == stage.commit(52) == []
        (note,) = texts(stage.end(work, error=OSError("EIO")))
        assert note == "a segment of the log was not removed: EIO"
        assert stage.commit(53) == []
        (again,) = works(stage.wait(SNAPSHOT_RETRY_NS), UnlinkSegments)
        assert again.task.names[:2] == ("log/0", "log/1")
        assert again.task.names[2:] == ("log/2", "log/3", "log/4")
        assert stage.end(again) == []
        assert stage.commit(54) == []

    def test_older_snapshots_go_when_the_new_one_is_whole(self) -> None:
        stage = Stage(held=(manifest(6), manifest(3)))
        (drop,) = works(stage.end(stage.grow(9), manifest(9)), DropSnapshots)
        assert drop.task.indexes == (6, 3)
        (note,) = texts(stage.end(drop, error=OSError("EIO")))
        assert note == "an old snapshot was not removed: EIO"


class TestBackup:
    """A snapshot with everything that was acknowledged before, kept while it is read."""

    def test_it_waits_for_the_commit_of_what_was_acknowledged(self) -> None:
        stage = Stage()
        stage.commit(6)
        stage.log.durable_index = 8
        assert stage.ask(PrepareBackup()) == BackupState(8)
        assert stage.rules.synced(stage.now) == []
        (work,) = works(stage.commit(9), TakeSnapshot)
        assert stage.ask(PrepareBackup(8)) == BackupState(8)
        stage.end(work, manifest(9))
        assert stage.ask(PrepareBackup(8)) == BackupState(9, render(manifest(9)))

    def test_one_that_is_being_taken_may_lack_the_last_records(self) -> None:
        stage = Stage()
        work = stage.grow(6)
        stage.commit(8)
        assert stage.ask(PrepareBackup()) == BackupState(8)
        stage.end(work, manifest(6))
        assert stage.ask(PrepareBackup(8)) == BackupState(8)
        (again,) = works(stage.rules.synced(stage.now), TakeSnapshot)
        stage.end(again, manifest(8))
        assert stage.ask(PrepareBackup(8)).manifest

    def test_the_newest_will_do_when_nothing_came_after_it(self) -> None:
        stage = Stage(held=(manifest(6),))
        stage.log.durable_index = 6
        assert stage.ask(PrepareBackup()) == BackupState(6, render(manifest(6)))

    def test_a_failure_is_told_once_and_tried_again_on_the_next_question(self) -> None:
        stage = Stage()
        stage.commit(6)
        stage.ask(PrepareBackup())
        (work,) = works(stage.rules.synced(stage.now), TakeSnapshot)
        stage.end(work, error=NoRoom("the disk is full"))
        assert stage.ask(PrepareBackup(6)) == Failed.of(NoRoom("the disk is full"))
        assert stage.ask(PrepareBackup(6)) == BackupState(6)
        assert works(stage.rules.synced(stage.now), TakeSnapshot)

    def test_a_record_that_is_not_there_cannot_be_asked_for(self) -> None:
        answer = Stage().ask(PrepareBackup(7))
        assert isinstance(answer, Failed)
        assert isinstance(answer.error(), BadArgument)

    def test_pieces_are_read_beside_the_loop(self) -> None:
        stage = Stage(held=(manifest(6),))
        (work,) = stage.tell(ReadBackup(6, 50))
        assert isinstance(work, Work)
        assert work.task == ReadSnapshot(6, 50, FRAME_BYTES)
        assert stage.end(work, b"data") == [Reply(ANNA, BackupPiece(50), b"data")]
        (work,) = stage.tell(ReadBackup(6, 50))
        assert isinstance(work, Work)
        failed = Failed.of(StorageFault("EIO"))
        assert stage.end(work, error=OSError("EIO")) == [Reply(ANNA, failed)]

    def test_few_pieces_at_a_time(self) -> None:
        stage = Stage(held=(manifest(6),))
        for _ in range(SNAPSHOT_READS_MAX):
            assert works(stage.tell(ReadBackup(6, 0)), ReadSnapshot)
        answer = stage.ask(ReadBackup(6, 0))
        assert isinstance(answer, Failed)
        assert isinstance(answer.error(), Unavailable)

    def test_what_is_read_stays_for_a_minute_behind_the_last_question(self) -> None:
        stage = Stage(held=(manifest(6),))
        stage.log.durable_index = 6
        stage.ask(PrepareBackup())
        assert not works(stage.end(stage.grow(9), manifest(9)), DropSnapshots)
        stage.wait(SNAPSHOT_PIN_NS - 1)
        assert works(stage.tell(ReadBackup(6, 0)), ReadSnapshot)
        assert stage.wait(SNAPSHOT_PIN_NS - 1) == []
        (drop,) = works(stage.wait(1), DropSnapshots)
        assert drop.task.indexes == (6,)
        answer = stage.ask(ReadBackup(6, 0))
        assert isinstance(answer, Failed)
        assert isinstance(answer.error(), NotFound)
        assert stage.rules.next_deadline() is None

    @pytest.mark.parametrize("role", [Role.WORKER, Role.DATANODE, Role.NAMENODE])
    def test_only_clients_may_ask(self, role: Role) -> None:
        origin = Origin(Peer(role, "x"), 1, 1)
        answer = Stage(held=(manifest(6),)).ask(ReadBackup(6, 0), origin)
        assert isinstance(answer, Failed)
        assert isinstance(answer.error(), PermissionDenied)


def test_other_events_are_for_the_core() -> None:
    assert not Stage().rules.takes(WorkDone("another"))


def test_a_log_without_its_front_gets_a_snapshot_at_once_and_only_one() -> None:
    stage = Stage(log=FakeLog(first_index=8))
    (work,) = works(stage.commit(9), TakeSnapshot)
    assert works(stage.commit(10), TakeSnapshot) == []
    stage.end(work, manifest(9))
    assert works(stage.commit(11), TakeSnapshot) == []
    held = Stage((manifest(7),), FakeLog(first_index=8))
    assert works(held.commit(9), TakeSnapshot) == []


def test_of_a_view_that_is_not_checked_none_is_taken_and_nothing_of_the_log_goes() -> None:
    stage = Stage((manifest(30),), FakeLog(kept_bytes=EVERY_BYTES))
    stage.rules = Snapshots(stage.log, stage.table, stage.held, EVERY_BYTES, is_checked=False)
    for index in (35, 36, 37, 38):
        assert stage.commit(index) == []
    verdict = WorkDone(CheckView(), "")
    assert stage.rules.takes(verdict)
    assert stage.rules.handle(WorkDone(CheckView(), "page 7"), stage.now) == []
    assert stage.commit(38) == []
    assert stage.rules.handle(verdict, stage.now) == []
    (work,) = works(stage.commit(38), TakeSnapshot)
    assert work.task == TakeSnapshot()


def test_a_backup_waits_for_the_check_unless_a_snapshot_will_do() -> None:
    stage = Stage((manifest(30),), FakeLog(durable_index=35))
    stage.rules = Snapshots(stage.log, stage.table, stage.held, EVERY_BYTES, is_checked=False)
    assert stage.ask(PrepareBackup(30)) == BackupState(30, render(manifest(30)))
    assert stage.ask(PrepareBackup()) == Failed.of(Unavailable(CHECKING))
    stage.rules.handle(WorkDone(CheckView(), ""), stage.now)
    assert stage.ask(PrepareBackup()) == BackupState(35)
