"""The commands about jobs, with the master's answers given by hand: what they print, with --json
too, and how they end."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from cli.invocation import Invocation
from dfs.errors import NotFound
from dfs.limits import SECOND_NS
from dfs.wire.codec import Message
from dfs.wire.common import Ok
from mapreduce import wire as w
from mapreduce.runners import asking
from tests.cli.shell import Shell

JOB = "j-20261121-0001"
DONE = w.JobReport(
    JOB,
    "count",
    "anna",
    w.JobState.SUCCEEDED,
    w.TaskCounts(2, 2, 0, 1),
    w.TaskCounts(1, 1),
    {"records": {"map_input": 9}, "user": {"words": 4}},
    w.Locality(1, 0, 1),
    SECOND_NS,
    SECOND_NS,
    3 * SECOND_NS,
    "/out",
)
JOB_FIELDS = [
    "v", "job", "name", "state", "maps", "reduces", "counters", "locality", "started", "ended",
    "output", "error",
]  # fmt: skip
TASKS = (
    w.TaskReport("m-00000", 1, "done", "w1", "node", SECOND_NS, 3 * SECOND_NS, 5, 6),
    w.TaskReport("m-00001", 2, "running", "w2", "remote", SECOND_NS, miss="w1 was full"),
    w.TaskReport("m-00002", 3, "waiting", failed=3, error="ValueError\nin the mapper"),
)
WORKER = w.WorkerReport("w1", "live", "datanode-1", 2, (f"{JOB} m-00001.2",), (), "3 failed", "h")


class Master:
    """Answers with what it is given; ``asked`` keeps the questions that change something."""

    def __init__(self) -> None:
        self.report = DONE
        self.asked: list[Message] = []

    def ask(self, _: Any, question: Message, answer: type[Message]) -> Message:
        named = getattr(question, "job", JOB)
        if named not in (JOB, "@last"):
            raise NotFound(f"no job {named!r}", named)
        found = self._answer(question)
        assert isinstance(found, answer)
        return found

    def _answer(self, question: Message) -> Message:
        match question:
            case w.WatchJob():
                return w.JobNews(self.report, 0.5, (), 3)
            case w.ListJobs():
                return w.JobList((self.report,) if question.all else (), False)
            case w.ListTasks():
                return w.TaskList(TASKS if question.kind is w.TaskKind.MAP else (), False)
            case w.ListWorkers():
                return w.WorkerList((WORKER,))
            case _:
                self.asked.append(question)
                return Ok()


@pytest.fixture
def master(monkeypatch: pytest.MonkeyPatch) -> Master:
    master = Master()
    monkeypatch.setattr(asking, "ask", master.ask)
    monkeypatch.setattr(Invocation, "client", lambda self: None)
    return master


def objects(shell: Shell, *arguments: str, code: int = 0) -> list[dict[str, Any]]:
    ended = shell.minimr(*arguments, "--json")
    assert ended.code == code, ended.err
    found = [json.loads(line) for line in ended.out.splitlines()]
    assert all(one["v"] == 1 for one in found)
    return found


@pytest.mark.usefixtures("master")
def test_the_fields_of_jobs(shell: Shell) -> None:
    (status,) = objects(shell, "status", JOB)
    assert list(status) == JOB_FIELDS
    assert status["maps"] == {"total": 2, "done": 2, "running": 0, "failed": 1}
    assert status["locality"] == {"node": 1, "rack": 0, "remote": 1}
    assert status["counters"] == DONE.counters
    assert (status["state"], status["ended"]) == ("succeeded", "1970-01-01T00:00:03.000000Z")
    assert objects(shell, "wait", "@last") == objects(shell, "list", "--all") == [status]
    assert objects(shell, "list") == []


@pytest.mark.usefixtures("master")
def test_the_fields_of_tasks_and_workers(shell: Shell) -> None:
    done, running, waiting = objects(shell, "tasks", JOB)
    assert done == {
        "v": 1, "task": "m-00000", "attempt": 1, "state": "done", "worker": "w1",
        "locality": "node", "seconds": 2.0, "records_in": 5, "records_out": 6, "error": None,
    }  # fmt: skip
    assert (running["locality"], running["seconds"]) == ("remote", None)
    assert (waiting["worker"], waiting["error"]) == (None, "ValueError\nin the mapper")
    assert objects(shell, "tasks", JOB, "--state", "running", "--kind", "map") == [running]
    assert objects(shell, "tasks", JOB, "--kind", "reduce") == []
    (worker,) = objects(shell, "workers")
    assert worker == {
        "v": 1, "worker": "w1", "state": "live", "node": "datanode-1", "slots": 2,
        "running": [f"{JOB} m-00001.2"], "avoided": "3 failed",
        "groups": None,
    }  # fmt: skip


@pytest.mark.usefixtures("master")
def test_tasks_for_people(shell: Shell) -> None:
    header, _, running, waiting = shell.minimr("tasks", JOB).out.splitlines()
    assert header.split()[:5] == ["TASK", "ATTEMPT", "STATE", "WORKER", "LOCALITY"]
    assert "remote: w1 was full" in running
    assert waiting.endswith("ValueError")


@pytest.mark.parametrize(
    ("which", "out", "counters"),
    [
        ((), "records:map_input  9\nuser:words         4\n", DONE.counters),
        (("user",), "user:words  4\n", {"user": {"words": 4}}),
        (("user:words",), "4\n", {"user": {"words": 4}}),
    ],
)
@pytest.mark.usefixtures("master")
def test_counters(shell: Shell, which: tuple[str, ...], out: str, counters: dict[str, Any]) -> None:
    assert shell.minimr("counters", JOB, *which).out == out
    assert objects(shell, "counters", JOB, *which) == [{"v": 1, "job": JOB, "counters": counters}]


@pytest.mark.parametrize("which", ["none", "user:none", "user:", ":", ":words", ""])
@pytest.mark.usefixtures("master")
def test_counters_that_there_are_not(shell: Shell, which: str) -> None:
    ended = shell.minimr("counters", JOB, which)
    assert (ended.code, ended.out, ended.err.count("\n")) == (3, "", 1)


def test_a_job_that_has_counted_nothing(shell: Shell, master: Master) -> None:
    master.report = msgspec.structs.replace(DONE, counters={})
    assert shell.minimr("counters", JOB) == (0, "", "")
    assert objects(shell, "counters", JOB)[0]["counters"] == {}


def test_killing(shell: Shell, master: Master) -> None:
    assert shell.minimr("kill", JOB).out == f"{JOB} succeeded\n"
    assert list(*objects(shell, "kill", "@last")) == JOB_FIELDS
    assert master.asked == [w.KillJob(JOB)] * 2
    assert shell.minimr("kill", JOB, "--task", "m-1").out == f"{JOB} m-00001 killed\n"
    (killed,) = objects(shell, "kill", JOB, "--attempt", "2:r-1.3")
    assert killed == {"v": 1, "job": JOB, "killed": "2:r-00001.3"}
    assert master.asked[2:] == [
        w.KillTask(JOB, w.TaskKind.MAP, 1),
        w.KillTask(JOB, w.TaskKind.REDUCE, 1, 3, 1),
    ]


@pytest.mark.parametrize(
    ("state", "code", "error"),
    [
        (w.JobState.FAILED, 10, "job_failed"),
        (w.JobState.KILLED, 11, "job_killed"),
    ],
)
def test_how_waiting_ends(
    shell: Shell, master: Master, state: w.JobState, code: int, error: str
) -> None:
    master.report = msgspec.structs.replace(DONE, state=state, error="ValueError")
    ended = shell.minimr("wait", JOB)
    assert (ended.code, ended.out) == (code, f"{JOB} {state}\n")
    assert "output" not in shell.minimr("status", JOB).out, "there is none"
    assert shell.minimr("status", JOB, "-w").code == 0, "it is about the status, and has that"
    ended = shell.minimr("wait", JOB, "--json")
    assert (ended.code, ended.error["code"]) == (code, error)
    assert json.loads(ended.out)["state"] == state


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("tasks", JOB, "--state", "asleep"), 2),
        (("tasks", JOB, "--kind", "merge"), 2),
        (("logs", JOB, "x"), 2),
        (("why", JOB, "m-1.1"), 2),
        (("kill", JOB, "--task", "m-1.1"), 2),
        (("kill", JOB, "--attempt", "m-1"), 2),
        (("kill", JOB, "--task", "m-1", "--attempt", "m-1.1"), 2),
        (("list", JOB), 2),
        (("status",), 2),
        (("wait", "j-9"), 3),
        (("tasks", "j-9"), 3),
        (("kill", "j-9", "--task", "m-1"), 3),
    ],
)  # fmt: skip
def test_what_is_refused(
    shell: Shell, master: Master, arguments: tuple[str, ...], code: int
) -> None:
    ended = shell.minimr(*arguments)
    assert (ended.code, ended.out, ended.err.count("\n")) == (code, "", 1)
    assert master.asked == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("list",), ("status", JOB), ("wait", JOB), ("tasks", JOB), ("logs", JOB), ("counters", JOB),
        ("events", JOB), ("why", JOB, "m-1"), ("kill", JOB), ("workers",),
    ],
)  # fmt: skip
def test_without_a_cluster_each_says_how_to_start_one(
    shell: Shell, arguments: tuple[str, ...]
) -> None:
    ended = shell.minimr(*arguments)
    assert (ended.code, ended.out, ended.err.count("\n")) == (5, "", 1)
    assert "minidfs up" in ended.err
