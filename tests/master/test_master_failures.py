"""What is counted of failures survives, and what people kill is counted by nobody."""

from __future__ import annotations

import pytest

from dfs.errors import BadArgument, NotFound
from dfs.wire.common import Ok
from mapreduce import wire as w
from tests.master.master_stage import ATTEMPTS, Stage


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_failed_attempts_are_in_the_reports_also_when_the_job_has_ended(stage: Stage) -> None:
    stage.join("w1")
    job = stage.submit(maps=1, max_attempts=5)
    for _ in range(2):
        ((_, order),) = stage.take_orders(*ATTEMPTS)
        stage.fail("w1", order, w.FailureKind.CRASH)
    assert stage.report().maps == w.TaskCounts(1, 0, 1, 2)
    stage.restart()
    assert stage.report().maps.failed == 2
    stage.join("w1")
    stage.advance(5, "w1")
    ((_, order),) = stage.take_orders(w.LaunchMap)
    stage.succeed("w1", order)
    stage.run_all()
    report = stage.report(job)
    assert (report.state, report.maps.failed, report.reduces.failed) == ("succeeded", 2, 0)
    (task,) = stage.ask(w.ListTasks(job, w.TaskKind.MAP), w.TaskList).tasks
    assert (task.state, task.attempt, task.failed, task.error) == ("done", 4, 2, "it broke")


def fail_once_and_restart(stage: Stage, max_attempts: int) -> w.LaunchMap:
    """The order for the second attempt of a map whose first one failed before the restart."""
    stage.join("w1")
    stage.submit(maps=1, max_attempts=max_attempts)
    ((_, order),) = stage.take_orders(*ATTEMPTS)
    stage.fail("w1", order, w.FailureKind.USER, "a")
    stage.restart()
    stage.join("w1")
    stage.advance(5, "w1")
    ((_, order),) = stage.take_orders(w.LaunchMap)
    assert isinstance(order, w.LaunchMap)
    return order


def test_a_restart_forgives_nobody(stage: Stage) -> None:
    order = fail_once_and_restart(stage, max_attempts=2)
    stage.fail("w1", order, w.FailureKind.CRASH)
    news = stage.ask(w.WatchJob("@last"), w.JobNews)
    assert news.report.state is w.JobState.FAILED
    assert news.report.error.startswith("m-00000.1 on w1 failed: Traceback: x"), "the first one"
    assert news.failure is not None


def test_the_same_exception_before_and_after_a_restart_fails_the_job(stage: Stage) -> None:
    order = fail_once_and_restart(stage, max_attempts=50)
    stage.fail("w1", order, w.FailureKind.USER, "a")
    assert stage.report().state is w.JobState.FAILED


def test_why_a_map_was_not_local_survives(stage: Stage) -> None:
    stage.join("w1")
    job = stage.submit(maps=1)
    stage.run_all()
    stage.restart()
    (task,) = stage.ask(w.ListTasks(job, w.TaskKind.MAP), w.TaskList).tasks
    assert (task.locality, task.miss) == ("remote", "its input is stored with the namenode")


def test_a_task_is_killed_and_runs_again(stage: Stage) -> None:
    stage.join("w1")
    job = stage.submit(maps=1, max_attempts=1)
    ((_, order),) = stage.take_orders(*ATTEMPTS)
    stage.ask(w.KillTask(job, w.TaskKind.MAP, 0), Ok)
    ((_, kill),) = stage.take_orders(w.KillAttempt)
    assert (str(kill.attempt), kill.reason) == ("m-00000.1", "killed by anna")
    assert isinstance(stage.succeed("w1", order), w.KillAttempt)
    stage.ask(w.KillTask(job, w.TaskKind.MAP, 0, 2), Ok)
    assert stage.report().maps == w.TaskCounts(1, 0, 1, 0)
    stage.take_orders(w.KillAttempt)
    stage.run_all()
    assert stage.report().state is w.JobState.SUCCEEDED


@pytest.mark.parametrize(
    ("kind", "index", "attempt", "said"),
    [
        (w.TaskKind.MAP, 7, 0, "runs no task m-00007"),
        (w.TaskKind.MAP, 0, 3, "m-00000.3 of j-20261121-0001 does not run: m-00000 is running"),
        (w.TaskKind.REDUCE, 0, 0, "r-00000 of j-20261121-0001 does not run: r-00000 is waiting"),
    ],
)
def test_what_does_not_run_cannot_be_killed(
    stage: Stage, kind: w.TaskKind, index: int, attempt: int, said: str
) -> None:
    stage.join("w1")
    job = stage.submit(maps=1)
    with pytest.raises(NotFound, match=said):
        stage.ask(w.KillTask(job, kind, index, attempt), Ok)
    stage.run_all()
    with pytest.raises(NotFound, match="runs no task m-00000: the job is over, succeeded"):
        stage.ask(w.KillTask(job, w.TaskKind.MAP, 0), Ok)


def test_names_of_tasks() -> None:
    assert w.parse_task("j", "m-00017") == w.AttemptId("j", 0, w.TaskKind.MAP, 17, 0)
    assert w.parse_task("j", "2:r-3.12") == w.AttemptId("j", 1, w.TaskKind.REDUCE, 3, 12)
    for wrong in ("", "m17", "x-00001", "m-00001.", "m-1.1.1", "m-\u0663", "m--1"):
        with pytest.raises(BadArgument, match="is no task"):
            w.parse_task("j", wrong)


def test_a_worker_that_leaves_is_waited_for_by_nobody(stage: Stage) -> None:
    stage.join("w1")
    stage.submit(maps=1)
    ((_, order),) = stage.take_orders(*ATTEMPTS)
    assert stage.tell("w1", w.WorkerLeaves()) == Ok()
    stage.join("w2")
    ((worker, again),) = stage.take_orders(*ATTEMPTS)
    assert (worker, again.task.attempt) == ("w2", 2)
    first, second = stage.ask(w.ListWorkers(), w.WorkerList).workers
    assert (first.state, second.state) == ("left", "live")
    with pytest.raises(NotFound):
        stage.succeed("w1", order)


def test_a_worker_that_drains_keeps_what_it_has_and_gets_nothing(stage: Stage) -> None:
    stage.join("w1", slots=2)
    stage.join("w2")
    stage.submit(maps=3)
    orders = stage.take_orders(*ATTEMPTS)
    (done, _), (elsewhere,) = ([o for name, o in orders if name == who] for who in ("w1", "w2"))
    assert stage.tell("w1", w.WorkerDrains()) == Ok()
    assert stage.succeed("w1", done) == Ok()
    assert stage.take_orders(*ATTEMPTS) == [], "nobody else has room"
    assert stage.report().maps == w.TaskCounts(3, 1, 2, 0)
    first, second = stage.ask(w.ListWorkers(), w.WorkerList).workers
    assert (first.state, second.state) == ("draining", "live")
    places = stage.tell("w2", w.FindRuns("j-20261121-0001", 0))
    assert isinstance(places, w.RunLocations)
    assert [address.worker for address in places.workers] == ["w1"], "its output can be fetched"
    assert stage.tell("w1", w.WorkerLeaves()) == Ok()
    stage.succeed("w2", elsewhere)
    stage.run_all()
    assert stage.report().maps == w.TaskCounts(3, 3, 0, 0), "and nothing has failed"
    stage.join("w1")
    assert stage.ask(w.ListWorkers(), w.WorkerList).workers[0].state == "live"


def test_the_report_says_why_a_worker_is_avoided(stage: Stage) -> None:
    stage.join("w1")
    stage.join("w2")
    stage.submit(maps=9)
    for _ in range(3):
        _, order = next(item for item in stage.take_orders(*ATTEMPTS) if item[0] == "w1")
        stage.fail("w1", order, w.FailureKind.NODE)
    first, second = stage.ask(w.ListWorkers(), w.WorkerList).workers
    assert first.avoided.startswith("avoided for 60 s: 3 attempts failed, the last: it broke")
    assert second.avoided == ""
    assert stage.ask(w.WatchJob("@last"), w.JobNews).events[-1].kind == "worker_avoided"
