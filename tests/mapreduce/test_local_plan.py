"""What a local run decides: what begins, what goes again, and when the job has failed."""

from __future__ import annotations

import pytest

from dfs.limits import SECOND_NS
from mapreduce.job import Failure, FileSplit, JobSpec, StepSpec
from mapreduce.plan import plan_of
from mapreduce.runners.local_plan import LocalPlan
from mapreduce.wire import (
    AttemptFailed,
    AttemptId,
    AttemptProgress,
    AttemptSucceeded,
    FailureKind,
    JobOptions,
    TaskCounts,
    TaskKind,
)

STEP = StepSpec(2, False, True)
SPEC = JobSpec("words", "", "job.py", "Words", {}, (STEP,))
SPLITS = [FileSplit("in", n, 1, 3) for n in range(3)]
OPTIONS = JobOptions(max_attempts=3, task_timeout_ns=10 * SECOND_NS)


def plan_for(spec: JobSpec, splits: list[FileSplit]) -> LocalPlan:
    step = plan_of(spec, len(splits))[0]
    maps = [step.map_task("local", index, split) for index, split in enumerate(splits)]
    reduces = [step.reduce_task("local", index) for index in range(step.reduces)]
    return LocalPlan(maps, reduces, OPTIONS)


@pytest.fixture
def plan() -> LocalPlan:
    return plan_for(SPEC, SPLITS)


def named(text: str) -> AttemptId:
    """The attempt that prints so."""
    task, _, attempt = text.partition(".")
    kind = TaskKind.MAP if task[0] == "m" else TaskKind.REDUCE
    return AttemptId("local", 0, kind, int(task[2:]), int(attempt))


def begun(plan: LocalPlan, free: int = 9, now_ns: int = 0) -> str:
    tasks = [task for _ in range(free) if (task := plan.begin(now_ns)) is not None]
    return " ".join(str(AttemptId.of(task)) for task in tasks)


def succeed(plan: LocalPlan, *names: str) -> None:
    for name in names:
        counters = {"user": {"tasks": 1}}
        assert plan.ended(AttemptSucceeded(named(name), counters, 1, 1, 1)) == ""


def fail(
    plan: LocalPlan, name: str, signature: str = "", kind: FailureKind = FailureKind.CRASH
) -> str:
    failure = Failure("mapper", "E", "trace", signature=signature) if signature else None
    return plan.ended(AttemptFailed(named(name), kind, f"{kind}", failure))


def test_maps_go_first_and_reduces_when_all_are_done(plan: LocalPlan) -> None:
    assert begun(plan, 2) == "m-00000.1 m-00001.1"
    assert begun(plan, 0) == ""
    succeed(plan, "m-00000.1")
    assert begun(plan, 2) == "m-00002.1"
    assert begun(plan) == ""
    assert plan.counts(TaskKind.MAP) == TaskCounts(3, 1, 2, 0)
    succeed(plan, "m-00002.1", "m-00001.1")
    assert begun(plan, 1) == "r-00000.1"
    succeed(plan, "r-00000.1")
    assert not plan.finished
    assert begun(plan) == "r-00001.1"
    succeed(plan, "r-00001.1")
    assert plan.finished
    assert plan.counters() == {"user": {"tasks": 5}}
    assert plan.work_done() == 5
    assert plan.error == ""


def test_what_failed_goes_first_under_the_next_number(plan: LocalPlan) -> None:
    begun(plan, 1)
    assert fail(plan, "m-00000.1") == "m-00000.1 failed: crash"
    assert begun(plan, 2) == "m-00000.2 m-00001.1"
    assert plan.counts(TaskKind.MAP) == TaskCounts(3, 0, 2, 1)
    assert plan.error == ""


@pytest.mark.parametrize("kind", FailureKind)
def test_so_many_failures_of_one_task_end_the_job(plan: LocalPlan, kind: FailureKind) -> None:
    begun(plan)
    fail(plan, "m-00001.1", kind=FailureKind.CRASH)
    for attempt in (1, 2):
        fail(plan, f"m-00000.{attempt}", kind=kind)
        begun(plan)
    assert plan.error == ""
    fail(plan, "m-00000.3", kind=kind)
    assert plan.error == "m-00001.1 failed: crash", "the first one is shown"


def test_the_same_fault_of_the_code_in_two_tasks_ends_the_job(plan: LocalPlan) -> None:
    begun(plan)
    fail(plan, "m-00000.1", "one", FailureKind.USER)
    fail(plan, "m-00001.1", "other", FailureKind.USER)
    assert plan.error == ""
    assert "trace\nin the mapper" in fail(plan, "m-00002.1", "one", FailureKind.USER)
    assert plan.error.startswith("m-00000.1 failed: trace")
    assert plan.failure is not None
    assert plan.failure.signature == "one"


def test_who_says_nothing_new_is_to_be_stopped(plan: LocalPlan) -> None:
    begun(plan, 2)
    second = SECOND_NS
    plan.progressed(AttemptProgress(named("m-00001.1"), 5, 0.5), 4 * second)
    plan.progressed(AttemptProgress(named("m-00001.1"), 5, 0.5), 9 * second)
    assert plan.silent(9 * second) == []
    assert plan.silent(10 * second) == [named("m-00000.1")]
    assert plan.silent(14 * second) == [named("m-00000.1"), named("m-00001.1")]
    told = fail(plan, "m-00000.1")
    assert told == "m-00000.1 failed: m-00000.1 made no progress for 10 s"
    assert plan.silent(15 * second) == [named("m-00001.1")]


def test_who_ended_well_at_the_last_moment_is_done(plan: LocalPlan) -> None:
    begun(plan, 1)
    assert plan.silent(10 * SECOND_NS) == [named("m-00000.1")]
    succeed(plan, "m-00000.1")
    assert plan.counts(TaskKind.MAP).done == 1


def test_a_run_that_cannot_be_read_is_made_again_once(plan: LocalPlan) -> None:
    begun(plan)
    succeed(plan, *(f"m-{n:05d}.1" for n in range(3)))
    assert begun(plan) == "r-00000.1 r-00001.1"
    run = named("m-00001.1")
    for name in ("r-00000.1", "r-00001.1"):
        plan.ended(AttemptFailed(named(name), FailureKind.FETCH, "damaged", runs=(run,)))
    assert plan.counters() == {"user": {"tasks": 2}}
    assert begun(plan) == "m-00001.2"
    plan.progressed(AttemptProgress(named("m-00001.2"), 1, 0.25), 0)
    assert plan.work_done() == 2.25
    assert begun(plan) == ""
    succeed(plan, "m-00001.2")
    assert plan.outcome(TaskKind.MAP, 1).attempt == named("m-00001.2")
    assert begun(plan) == "r-00001.2 r-00000.2"


def test_a_map_only_job_and_one_without_input_files() -> None:
    spec = JobSpec("words", "", "job.py", "Words", {}, (StepSpec(2, False, False),))
    plan = plan_for(spec, SPLITS[:1])
    assert begun(plan) == "m-00000.1"
    succeed(plan, "m-00000.1")
    assert plan.finished
    empty = plan_for(SPEC, [])
    assert begun(empty) == "r-00000.1 r-00001.1", "an empty directory still has its parts"
