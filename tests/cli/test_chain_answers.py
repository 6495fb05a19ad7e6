"""``minimr tasks``, ``why`` and ``logs`` of jobs of several steps, with a real master behind them,
and what they say of jobs and tasks that are not there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cli.invocation import Invocation
from cli.jobs.logs import _Reader
from dfs.wire.codec import Message
from mapreduce import wire as w
from mapreduce.job import StepSpec
from mapreduce.limits import JOB_KEEP_NS
from mapreduce.runners import asking
from mapreduce.wire import AttemptId, FailureKind
from tests.cli.shell import Shell
from tests.master.master_stage import ATTEMPTS, Stage

CHAIN = (StepSpec(2, False, True), StepSpec(4, False, False), StepSpec(1, False, True))
"""Two reduces, then two maps that read what they left, then one reduce behind two maps."""
RECORDS = {"m-00000": 6, "3:r-00000": 6}
FAILS = "2:m-00001"
"""The first attempt at this task fails."""


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    stage = Stage()

    def ask(_: Any, question: Message, answer: type[Message]) -> Message:
        return stage.ask(question, answer)

    def printed(_: Any, attempt: AttemptId, worker: str, offset: int) -> bytes:
        return f"{attempt} says {worker}\n".encode()[offset:]

    monkeypatch.setattr(asking, "ask", ask)
    monkeypatch.setattr(Invocation, "client", lambda self: None)
    monkeypatch.setattr(_Reader, "_piece", printed)
    return stage


@pytest.fixture
def job(stage: Stage) -> str:
    """A job of three steps that has succeeded; in its second step an attempt failed."""
    stage.join("w1", slots=4)
    job = stage.submit(maps=1, steps=CHAIN)
    for _ in range(20):
        orders = stage.take_orders(*ATTEMPTS)
        for worker, order in orders:
            ident = AttemptId.of(order.task)
            if ident.task == FAILS and ident.attempt == 1:
                stage.fail(worker, order, FailureKind.NODE)
            else:
                stage.succeed(worker, order, RECORDS.get(ident.task, 3))
        stage.advance(1, "w1")
    assert stage.report(job).state is w.JobState.SUCCEEDED, stage.report(job).error
    return job


def objects(shell: Shell, *arguments: str) -> list[dict[str, Any]]:
    ended = shell.minimr(*arguments, "--json")
    assert ended.code == 0, ended.err
    return [json.loads(line) for line in ended.out.splitlines()]


def test_the_tasks_of_all_steps(shell: Shell, job: str) -> None:
    names = [task["task"] for task in objects(shell, "tasks", job)]
    maps = ["m-00000", "2:m-00000", "2:m-00001", "3:m-00000", "3:m-00001"]
    assert names == [*maps, "r-00000", "r-00001", "3:r-00000"]
    assert [task["task"] for task in objects(shell, "tasks", job, "--kind", "map")] == maps
    tried = {task["task"]: task["attempt"] for task in objects(shell, "tasks", "@last")}
    assert tried == {**dict.fromkeys(names, 1), FAILS: 2}


def test_the_story_of_a_task_of_a_later_step(shell: Shell, job: str) -> None:
    for name in (FAILS, "2:m-1"):
        told = [
            line.partition("  ")[2].strip()
            for line in shell.minimr("why", job, name).out.splitlines()
        ]
        assert told[0].startswith("2:m-00001.1 started on w1")
        assert told[1].startswith("2:m-00001.1 on w1 failed: it broke")
        assert told[2].startswith("-> so 2:m-00001.2 was started")
        assert told[-1] == "-> the task is done"
    attempts = {event["attempt"] for event in objects(shell, "why", job, "3:r-00000")}
    assert attempts == {None, "3:r-00000.1"}, "of the same task of another step nothing is said"
    assert {e["attempt"] for e in objects(shell, "why", job, "m-0")} == {None, "m-00000.1"}


def test_what_tasks_of_a_later_step_printed(shell: Shell, job: str) -> None:
    both = "== 2:m-00001.1 on w1\n2:m-00001.1 says w1\n== 2:m-00001.2 on w1\n2:m-00001.2 says w1\n"
    assert shell.minimr("logs", job, FAILS).out == both
    assert shell.minimr("logs", job, "2:m-00001.2").out == both[len(both) // 2 :]
    printed = [line["attempt"] for line in objects(shell, "logs", job)]
    assert len(printed) == len(set(printed)) == 9


@pytest.mark.parametrize("command", ["why", "logs"])
@pytest.mark.parametrize(
    ("task", "code", "words"),
    [
        ("4:m-00000", 3, "4:m-00000"),
        ("2:r-00000", 3, "2:r-00000"),
        ("m-00001", 3, "m-00001"),
        ("0:m-00000", 2, "'0:m-00000' is no task"),
        ("x-00000", 2, "'x-00000' is no task"),
        ("m-00000.0", 2, "'m-00000.0' is no task"),
        ("m-99999999999999999999", 2, "'m-99999999999999999999' is no task"),
    ],
)
def test_a_task_that_is_not_there(
    shell: Shell, job: str, command: str, task: str, code: int, words: str
) -> None:
    ended = shell.minimr(command, job, task)
    (line,) = ended.err.splitlines()
    assert (ended.code, ended.out) == (code, "")
    assert words in line
    if code == 3:
        assert line.endswith(f"'minimr tasks {job}' shows its tasks")


def everything(job: str) -> list[tuple[str, ...]]:
    """The commands that look at a job."""
    return [
        ("tasks", job),
        ("why", job, "m-00000"),
        ("logs", job),
        ("events", job),
        ("status", job),
    ]


def test_a_job_that_is_not_there(shell: Shell, job: str) -> None:
    for unknown in ("j-20261121-0009", "nonsense", "j-20261121-99999999999999999999", ""):
        for arguments in everything(unknown):
            ended = shell.minimr(*arguments)
            (line,) = ended.err.splitlines()
            assert (ended.code, ended.out) == (3, ""), arguments
            assert line == f"minimr: no job {unknown!r}; `minimr list --all` shows them"


def test_a_job_that_has_been_forgotten(shell: Shell, stage: Stage, job: str) -> None:
    for arguments in everything(job):
        assert shell.minimr(*arguments).code == 0
    stage.mono_ns += JOB_KEEP_NS
    stage.settle()
    test_a_job_that_is_not_there(shell, job)
    for arguments in everything(job):
        ended = shell.minimr(*arguments)
        assert (ended.code, ended.out) == (3, "")
        assert ended.err == f"minimr: no job {job!r}; `minimr list --all` shows them\n"
