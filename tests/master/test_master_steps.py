"""Jobs of several steps at the master: going on, coming back after a restart, lost parts."""

from __future__ import annotations

from typing import Any

import pytest

from dfs.errors import BadArgument, NotFound
from dfs.wire.common import Ok
from mapreduce import wire as w
from mapreduce.job import StepSpec
from mapreduce.limits import PART_UNREAD_MAX, STEPS_MAX, TASKS_READ_PER_STEP
from mapreduce.master import steps
from mapreduce.master.rows import must_job
from mapreduce.wire import AttemptId, FailureKind, TaskKind
from tests.master.master_stage import ATTEMPTS, Stage

CHAIN = (StepSpec(2, False, True), StepSpec(4, False, False), StepSpec(1, False, True))
"""Two reduces, then two maps that read what they left, then one reduce behind two maps."""


@pytest.fixture
def stage() -> Stage:
    return Stage()


def launched(stage: Stage, worker: str = "w1") -> list[tuple[str, Any]]:
    """What was launched on a worker, by the names of the tasks."""
    orders = stage.take_orders(*ATTEMPTS)
    return [(AttemptId.of(order.task).task, order) for name, order in orders if name == worker]


def records(name: str) -> int:
    """Six records travel through the chain."""
    return 6 if name in {"m-00000", "3:r-00000"} else 3


def run_until(stage: Stage, task: str, worker: str = "w1") -> list[tuple[str, Any]]:
    """The worker does all that it is told until a task of this name is launched; what was
    launched with that one."""
    for _ in range(20):
        orders = launched(stage, worker)
        if task in [name for name, _ in orders]:
            return orders
        for name, order in orders:
            stage.succeed(worker, order, records(name))
        stage.advance(0 if orders else 1, worker)
    raise AssertionError(f"{task} was never launched")


def run_all(stage: Stage, worker: str = "w1") -> list[str]:
    """The worker does all that it is told; the tasks' names."""
    names: list[str] = []
    while orders := launched(stage, worker):
        for name, order in orders:
            names.append(name)
            stage.succeed(worker, order, records(name))
    return names


def fail_input(stage: Stage, worker: str, order: Any) -> None:
    word = w.AttemptFailed(AttemptId.of(order.task), FailureKind.INPUT, "no replica")
    stage.tell(worker, word)


def test_a_job_goes_from_step_to_step(stage: Stage) -> None:
    stage.join("w1", slots=4)
    job = stage.submit(maps=1, steps=CHAIN)
    (first, second) = run_until(stage, "2:m-00000")
    assert [first[0], second[0]] == ["2:m-00000", "2:m-00001"]
    assert stage.names(f"/.jobs/{job}/steps/1") == ["part-r-00000", "part-r-00001"]
    assert first[1].task.split.path == f"/.jobs/{job}/steps/1/part-r-00000"
    assert (first[1].task.split.length, first[1].task.is_last) == (len(stage.part), False)
    assert stage.report().maps == w.TaskCounts(5, 1, 2)
    stage.succeed("w1", first[1], 3)
    stage.succeed("w1", second[1], 3)
    tasks = stage.ask(w.ListTasks(job, TaskKind.MAP), w.TaskList).tasks
    names = ["m-00000", "2:m-00000", "2:m-00001", "3:m-00000", "3:m-00001"]
    assert [task.task for task in tasks] == names
    assert stage.ask(w.ListTasks(job, TaskKind.MAP, 2), w.TaskList).tasks == tasks[2:]
    assert run_all(stage) == ["3:m-00000", "3:m-00001", "3:r-00000"]
    report = stage.report()
    assert report.state is w.JobState.SUCCEEDED, report.error
    assert (report.maps, report.reduces) == (w.TaskCounts(5, 5), w.TaskCounts(3, 3))
    assert stage.names("/out") == ["_SUCCESS", "part-r-00000"]
    assert stage.names("/.jobs") == ["bundles"]


def test_records_lost_between_steps_fail_the_job(stage: Stage) -> None:
    stage.join("w1", slots=4)
    stage.submit(maps=1, steps=CHAIN[:2])
    for _, order in run_until(stage, "2:m-00000"):
        stage.succeed("w1", order, 2)
    report = stage.report()
    assert report.state is w.JobState.FAILED
    assert report.error.startswith("between steps 1 and 2: 6 records were written and 4 were read")
    assert stage.names("/.jobs") == ["bundles"]


def test_after_a_restart_finished_steps_are_finished(stage: Stage) -> None:
    stage.join("w1", slots=4)
    stage.submit(maps=1, steps=CHAIN[:2])
    (first, _) = run_until(stage, "2:m-00000")
    stage.succeed("w1", first[1], 3)
    stage.restart()
    stage.join("w1", slots=4)
    stage.advance(8, "w1")
    (again,) = launched(stage)
    assert (again[0], again[1].task.attempt) == ("2:m-00001", 2)
    stage.succeed("w1", again[1], 3)
    assert stage.report().state is w.JobState.SUCCEEDED


def test_failed_attempts_of_all_steps_are_counted_after_a_restart(stage: Stage) -> None:
    stage.join("w1", slots=4)
    stage.submit(maps=1, steps=CHAIN[:2])
    ((_, order),) = launched(stage)
    stage.fail("w1", order, FailureKind.CRASH)
    first, _ = run_until(stage, "2:m-00000")
    stage.fail("w1", first[1], FailureKind.CRASH)
    assert stage.report().maps.failed == 2
    stage.restart()
    assert stage.report().maps.failed == 2
    stage.join("w1", slots=4)
    stage.advance(8, "w1")
    run_all(stage)
    report = stage.report()
    assert (report.state, report.maps.failed) == (w.JobState.SUCCEEDED, 2)


def test_what_is_known_of_a_step_is_read_in_pieces_and_nothing_starts_before(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "TASKS_READ_PER_STEP", 1)
    stage.join("w1", slots=4)
    job = stage.submit(maps=1, steps=CHAIN[:2])
    orders = run_until(stage, "2:m-00000")
    _, row = must_job(stage.table, job)
    reader = steps.StepReader(1, row, 0, 0)
    stage.master.state.jobs[job].is_returning = True
    for _, order in orders:
        stage.tell("w1", w.AttemptFailed(AttemptId.of(order.task), FailureKind.NODE, "x"))
    assert launched(stage) == [], "what returns to a step starts nothing"
    pages = []
    while not pages or not pages[-1].last:
        pages.append(reader.read(stage.table))
    found = [(known.kind, known.index, known.done) for page in pages for known in page.known]
    assert found == [(TaskKind.MAP, 0, 1), (TaskKind.REDUCE, 0, 0), (TaskKind.REDUCE, 1, 1)]
    assert stage.ask(w.KillJob(job), Ok)
    assert stage.report().state is w.JobState.KILLED


def lose_part(stage: Stage, worker: str, orders: list[tuple[str, Any]]) -> None:
    """The input of the second step's first map cannot be read, until the master believes it."""
    for tries in range(PART_UNREAD_MAX):
        for name, order in orders if tries == 0 else run_until(stage, "2:m-00000", worker):
            if name == "2:m-00000":
                fail_input(stage, worker, order)
            else:
                stage.succeed(worker, order, 3)


@pytest.mark.parametrize(("max_attempts", "rows"), [(1, 1), (50, TASKS_READ_PER_STEP)])
def test_a_lost_part_is_made_again_from_the_runs(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, max_attempts: int, rows: int
) -> None:
    monkeypatch.setattr(steps, "TASKS_READ_PER_STEP", rows)
    stage.join("w1", slots=4)
    job = stage.submit(maps=1, steps=CHAIN[:2], max_attempts=max_attempts)
    orders = run_until(stage, "2:m-00000")
    old = stage.ask_inode(f"/.jobs/{job}/steps/1/part-r-00000")
    lose_part(stage, "w1", orders)
    (again,) = launched(stage)
    assert (again[0], again[1].task.attempt) == ("r-00000", 2)
    places = stage.tell("w1", w.FindRuns(job, 0))
    assert isinstance(places, w.RunLocations)
    assert [run.map for run in places.runs] == [0]
    stage.succeed("w1", again[1], 3)
    assert stage.ask_inode(f"/.jobs/{job}/steps/1/part-r-00000") != old
    assert run_all(stage) == ["2:m-00000"], "the other map of step 2 is done"
    report = stage.report()
    assert report.state is w.JobState.SUCCEEDED, report.error
    assert report.counters == {"user": {"words": 5}}, "what ran twice counts once"


def test_a_lost_part_whose_runs_are_lost_too_is_made_from_the_input(stage: Stage) -> None:
    stage.join("w1", slots=4)
    stage.submit(maps=1, steps=CHAIN[:2])
    run_until(stage, "2:m-00000")
    stage.join("w2", slots=4)
    stage.advance(30, "w2")  # w1 is dead, and its attempts and runs with it
    lose_part(stage, "w2", run_until(stage, "2:m-00000", "w2"))
    assert run_all(stage, "w2") == ["m-00000", "r-00000", "2:m-00000"]
    assert stage.report().state is w.JobState.SUCCEEDED, stage.report().error


def test_a_part_that_somebody_removed_fails_as_input(stage: Stage) -> None:
    stage.join("w1", slots=4)
    job = stage.submit(maps=1, steps=CHAIN[:2])
    orders = dict(run_until(stage, "r-00000"))
    for name in sorted(orders):  # the map, if it is still to do, before the reduces
        stage.succeed("w1", orders[name], records(name))
        if name == "r-00000":
            stage.remove(f"/.jobs/{job}/steps/1/part-r-00000")
    order = dict(run_until(stage, "2:m-00000"))["2:m-00000"]
    assert (order.inode, order.task.split.length) == (0, 1)


def test_words_about_another_step_are_late(stage: Stage) -> None:
    stage.join("w1", slots=4)
    job = stage.submit(maps=1, steps=CHAIN[:2])
    (_, order) = launched(stage)[0]
    stage.succeed("w1", order, 6)
    run_until(stage, "2:m-00000")
    ident = AttemptId.of(order.task)
    answer = stage.tell("w1", w.AttemptFailed(ident, FailureKind.NODE, "late"))
    assert isinstance(answer, w.KillAttempt)
    with pytest.raises(NotFound, match="is at step 2, not 1"):
        stage.tell("w1", w.FindRuns(job, 0))
    stage.tell("w1", w.AnnounceRuns((w.RunHeld(ident, 1),), True))
    assert stage.take_orders(w.ForgetJob) == [], "its runs may be wanted again"
    assert stage.ask(w.KillJob(job), Ok)
    assert stage.names("/.jobs") == ["bundles"]


def test_too_many_steps_and_none_are_refused(stage: Stage) -> None:
    with pytest.raises(BadArgument, match="has 101 steps: 1 to 100 are possible"):
        stage.submit(steps=CHAIN[:1] * (STEPS_MAX + 1))
    with pytest.raises(BadArgument, match="0 partitions"):
        stage.submit(steps=(CHAIN[0], StepSpec(0, False, True)), token=b"u")
