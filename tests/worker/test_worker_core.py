"""The worker's core by events: registration, orders, reports."""

from __future__ import annotations

import pytest

from dfs.errors import NotFound, PermissionDenied, StorageFault, Unavailable
from dfs.events import (
    NAMENODE,
    LinkLost,
    Note,
    Work,
    WorkDone,
)
from dfs.limits import SECOND_NS
from dfs.wire.codec import Message
from dfs.wire.common import Failed, Ok
from mapreduce.wire import (
    ROWS_PER_PAGE,
    AnnounceRuns,
    AttemptFailed,
    AttemptProgress,
    AttemptSucceeded,
    FailureKind,
    FindRuns,
    ForgetJob,
    KillAttempt,
    RegisterWorker,
    RunHeld,
    RunsData,
    WorkerDrains,
    WorkerHeartbeat,
    WorkerLeaves,
    WorkerRegistered,
)
from mapreduce.worker.departure import DEPARTURE_MAX_NS, FETCHES_OVER_NS
from mapreduce.worker.work import (
    DropJob,
    DropRun,
    FindHeldRuns,
    RunAttempt,
    SampleAttempts,
    StopAttempt,
)
from tests.worker.worker_bench import (
    JOB,
    OTHER,
    SETTINGS,
    Bench,
    fetch_runs,
    launch_map,
    launch_reduce,
    map_attempt,
    succeeded,
)


@pytest.fixture
def bench() -> Bench:
    return Bench().boot().register()


# Registration.


def test_nothing_is_said_before_the_left_runs_are_known() -> None:
    bench = Bench()
    bench.run_due()
    assert [type(a) for a in bench.actions] == [Work]
    assert bench.core.next_deadline() is None


def test_a_disk_that_cannot_be_read_ends_the_worker() -> None:
    bench = Bench()
    bench.run_due()
    with pytest.raises(StorageFault):
        bench.done(FindHeldRuns, error=StorageFault("EIO"))


def test_registration_says_who_and_where_and_announces_in_pages() -> None:
    runs = tuple(RunHeld(map_attempt(i), 10) for i in range(ROWS_PER_PAGE + 1))
    bench = Bench().boot(*runs)
    (register,) = bench.take(RegisterWorker)
    assert register == RegisterWorker(SETTINGS.endpoints, "host-1", "datanode-1", 2)
    bench.wait(6 * SECOND_NS)
    bench.answer(RegisterWorker, WorkerRegistered(4, SECOND_NS))
    bench.run_due()
    first = bench.find(AnnounceRuns).message
    assert (len(first.runs), first.last) == (ROWS_PER_PAGE, False)
    bench.answer(AnnounceRuns, Ok())
    bench.run_due()
    second = bench.find(AnnounceRuns).message
    assert (second.runs, second.last) == (runs[-1:], True)
    assert bench.take(WorkerHeartbeat) == []
    bench.answer(AnnounceRuns, Ok())
    bench.run_due()
    assert bench.take(WorkerHeartbeat) == [WorkerHeartbeat(())]


def test_an_unanswered_registration_is_repeated() -> None:
    bench = Bench().boot()
    bench.wait(20 * SECOND_NS)
    assert len(bench.take(RegisterWorker)) >= 3


@pytest.mark.parametrize("how", ["link", "unknown"])
def test_a_worker_that_the_master_lost_registers_again(bench: Bench, how: str) -> None:
    bench.master(launch_map())
    if how == "link":
        bench.actions += bench.core.handle(LinkLost(NAMENODE, 1, "reset"), bench.now)
    else:
        bench.wait(SECOND_NS)
        bench.answer(WorkerHeartbeat, Failed.of(NotFound("register first")))
    bench.wait(SECOND_NS)
    assert bench.take(RegisterWorker)[-1].attempts == (map_attempt(),)


def test_a_refused_registration_is_told_and_tried_again() -> None:
    bench = Bench().boot()
    bench.answer(RegisterWorker, Failed.of(PermissionDenied("who are you?")))
    assert any(isinstance(a, Note) and "who are you?" in a.text for a in bench.actions)
    bench.wait(3 * SECOND_NS)
    assert bench.take(RegisterWorker)


# Orders and attempts.


def test_an_order_runs_and_its_end_is_reported_until_it_is_answered(bench: Bench) -> None:
    bench.master(launch_map())
    run = bench.find(RunAttempt).task
    assert (run.inode, run.folder) == (5, "/.jobs/a")
    bench.done(RunAttempt, succeeded(map_attempt()))
    assert bench.take(AttemptSucceeded) == [succeeded(map_attempt())]
    bench.wait(6 * SECOND_NS)
    assert bench.find(WorkerHeartbeat).message.attempts[0].attempt == map_attempt()
    bench.answer(AttemptSucceeded, Ok())
    bench.actions.clear()
    bench.wait(20 * SECOND_NS)
    assert bench.take(AttemptSucceeded) == []
    assert bench.find(WorkerHeartbeat).message.attempts == ()


def test_a_report_to_a_master_that_does_not_know_us_waits_for_registration(bench: Bench) -> None:
    bench.master(launch_map())
    bench.done(RunAttempt, succeeded(map_attempt()))
    bench.answer(AttemptSucceeded, Failed.of(NotFound("worker-1 is not registered here")))
    bench.wait(SECOND_NS)
    assert bench.find(RegisterWorker).message.attempts == (map_attempt(),)
    bench.answer(RegisterWorker, WorkerRegistered(2, SECOND_NS))
    bench.run_due()
    bench.answer(AnnounceRuns, Ok())
    assert bench.take(AttemptSucceeded) == [succeeded(map_attempt())]


def test_a_report_that_is_refused_is_told_and_not_repeated(bench: Bench) -> None:
    bench.master(launch_map())
    bench.done(RunAttempt, succeeded(map_attempt()))
    bench.answer(AttemptSucceeded, Failed.of(PermissionDenied("you are no worker")))
    assert any(isinstance(a, Note) and "you are no worker" in a.text for a in bench.actions)
    bench.wait(20 * SECOND_NS)
    assert bench.take(AttemptSucceeded) == []


def test_a_report_comes_again_when_the_master_was_too_busy(bench: Bench) -> None:
    bench.master(launch_map())
    bench.done(RunAttempt, succeeded(map_attempt()))
    bench.answer(AttemptSucceeded, Failed.of(Unavailable("not now")))
    bench.wait(6 * SECOND_NS)
    assert bench.take(AttemptSucceeded)


def test_orders_beyond_the_slots_wait_and_far_beyond_are_refused(bench: Bench) -> None:
    for index in range(5):
        bench.master(launch_map(index))
    assert len(bench.take(RunAttempt)) == 2
    (refused,) = bench.take(AttemptFailed)
    assert (refused.attempt, refused.kind) == (map_attempt(4), FailureKind.NODE)
    token = map_attempt(0)
    bench.actions += bench.core.handle(WorkDone(token, succeeded(token)), bench.now)
    assert [run.task.index for run in bench.take(RunAttempt)] == [2]


def test_a_repeated_order_changes_nothing(bench: Bench) -> None:
    bench.master(launch_map())
    bench.master(launch_map())
    assert len(bench.take(RunAttempt)) == 1


@pytest.mark.parametrize(
    "order",
    [
        launch_map(epoch=1),
        KillAttempt(1, map_attempt(7), "old"),
        ForgetJob(1, JOB),
    ],
)
def test_orders_of_an_old_epoch_are_refused(bench: Bench, order: Message) -> None:
    bench.master(launch_map(7, epoch=2))
    bench.actions.clear()
    bench.master(order)
    assert [type(a) for a in bench.actions] == [Note]


def test_orders_of_anybody_else_are_refused(bench: Bench) -> None:
    bench.hear(OTHER, launch_map())
    (answer,) = bench.take(Failed)
    assert answer.number == PermissionDenied.number


def test_a_killed_attempt_is_stopped_and_never_reported(bench: Bench) -> None:
    bench.master(launch_map())
    bench.master(KillAttempt(1, map_attempt(), "a better one won"))
    assert bench.take(StopAttempt) == [StopAttempt(map_attempt())]
    bench.wait(2 * SECOND_NS)
    assert bench.take(StopAttempt)
    assert bench.find(WorkerHeartbeat).message.attempts == ()
    bench.done(RunAttempt, succeeded(map_attempt()))
    assert bench.take(DropRun) == [DropRun(map_attempt())]
    assert bench.take(AttemptSucceeded) == []


def test_a_report_answered_with_kill_drops_the_run(bench: Bench) -> None:
    bench.master(launch_map())
    bench.done(RunAttempt, succeeded(map_attempt()))
    bench.answer(AttemptSucceeded, KillAttempt(1, map_attempt(), "another one is committed"))
    assert bench.take(DropRun) == [DropRun(map_attempt())]
    bench.wait(20 * SECOND_NS)
    assert bench.take(AttemptSucceeded) == []


def test_a_waiting_attempt_that_is_killed_never_starts(bench: Bench) -> None:
    for index in range(3):
        bench.master(launch_map(index))
    bench.take(RunAttempt)
    bench.master(KillAttempt(1, map_attempt(2), "not needed"))
    bench.actions += bench.core.handle(
        WorkDone(map_attempt(0), succeeded(map_attempt(0))), bench.now
    )
    assert bench.take(RunAttempt) == []


def test_a_job_that_is_over_leaves_nothing(bench: Bench) -> None:
    bench.master(launch_map(0))
    bench.done(RunAttempt, succeeded(map_attempt(0)))
    bench.master(launch_map(1))
    bench.master(ForgetJob(1, JOB))
    assert bench.take(StopAttempt) == [StopAttempt(map_attempt(1))]
    assert bench.take(DropJob) == [DropJob(JOB)]
    bench.hear(OTHER, fetch_runs(0), 9)
    assert [answer.gone for answer in bench.take(RunsData)] == [(0,)]
    bench.actions.clear()
    bench.wait(20 * SECOND_NS)
    assert bench.take(AttemptSucceeded) == []


def test_work_that_could_not_be_done_is_a_fault_of_the_node(bench: Bench) -> None:
    bench.master(launch_map())
    bench.done(RunAttempt, error=OSError(28, "No space left on device"))
    (report,) = bench.take(AttemptFailed)
    assert report.kind is FailureKind.NODE
    assert "No space left" in report.text


def test_progress_goes_with_the_heartbeat(bench: Bench) -> None:
    bench.master(launch_map())
    progress = AttemptProgress(map_attempt(), 1000, 0.5, "half way")
    bench.wait(SECOND_NS)
    bench.done(SampleAttempts, (progress,))
    bench.wait(SECOND_NS)
    assert bench.find(WorkerHeartbeat).message == WorkerHeartbeat((progress,))


def test_an_attempt_without_progress_is_stopped_and_reported(bench: Bench) -> None:
    bench.master(launch_map())
    for second in range(29):
        bench.wait(SECOND_NS)
        progress = AttemptProgress(map_attempt(), min(second, 10), 0.1)
        bench.done(SampleAttempts, (progress,))
    assert bench.take(StopAttempt) == []
    bench.wait(20 * SECOND_NS)
    assert bench.take(StopAttempt)
    bench.done(RunAttempt, AttemptFailed(map_attempt(), FailureKind.CRASH, "was killed"))
    (report,) = bench.take(AttemptFailed)
    assert report.kind is FailureKind.TIMEOUT
    assert report.text == "m-00000.1 made no progress for 30 s"


def test_a_reduce_that_waits_for_segments_does_not_time_out(bench: Bench) -> None:
    bench.master(launch_reduce())
    bench.wait(100 * SECOND_NS)
    assert bench.take(StopAttempt) == []
    assert len(bench.take(FindRuns)) > 10


# The end.


def part(bench: Bench) -> None:
    """The process is told to end."""
    bench.actions += bench.core.part(bench.now)
    assert bench.take(WorkerDrains) == [WorkerDrains()]


def test_a_worker_without_work_leaves_at_once(bench: Bench) -> None:
    part(bench)
    assert bench.core.has_parted(bench.now)
    bench.actions += bench.core.goodbye()
    assert bench.take(WorkerLeaves) == [WorkerLeaves()]


def test_a_worker_that_leaves_ends_what_it_runs_and_reports_it(bench: Bench) -> None:
    bench.master(launch_map())
    part(bench)
    assert not bench.core.has_parted(bench.now)
    bench.done(RunAttempt, succeeded(map_attempt()))
    bench.wait(2 * FETCHES_OVER_NS)
    assert not bench.core.has_parted(bench.now), "the report has no answer"
    bench.answer(AttemptSucceeded, Ok())
    assert bench.core.has_parted(bench.now)


def test_a_worker_does_not_stay_for_what_takes_long(bench: Bench) -> None:
    bench.master(launch_map())
    part(bench)
    bench.wait(DEPARTURE_MAX_NS - 1)
    assert not bench.core.has_parted(bench.now)
    bench.wait(1)
    assert bench.core.has_parted(bench.now)


def test_a_worker_stays_while_somebody_fetches_from_it() -> None:
    bench = Bench().boot(RunHeld(map_attempt(), 10)).register()
    part(bench)
    bench.wait(FETCHES_OVER_NS // 2)
    bench.hear(OTHER, fetch_runs(0), 9)
    bench.wait(FETCHES_OVER_NS // 2)
    assert not bench.core.has_parted(bench.now)
    bench.wait(FETCHES_OVER_NS // 2)
    assert bench.core.has_parted(bench.now)


def test_a_worker_that_cannot_tell_its_master_leaves_at_once(bench: Bench) -> None:
    bench.master(launch_map())
    part(bench)
    bench.actions += bench.core.handle(LinkLost(NAMENODE, 1, "reset"), bench.now)
    assert bench.core.has_parted(bench.now)
    assert bench.core.goodbye() == []
    assert bench.core.part(bench.now) == []
