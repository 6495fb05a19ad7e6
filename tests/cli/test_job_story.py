"""How events of jobs are told."""

from __future__ import annotations

import pytest

from cli.jobs.story import event_fields, event_line, task_story
from cli.jobs.why import task_named
from dfs.errors import BadArgument
from dfs.limits import SECOND_NS
from mapreduce.wire import JobEvent

BEGAN_NS = 1_795_219_200 * SECOND_NS
"""2026-11-21 00:00 UTC."""


def event(second: int, kind: str, text: str = "", attempt: str = "", worker: str = "") -> JobEvent:
    place = ("node", "") if attempt[:1] == "m" and kind.endswith("started") else ("", "")
    return JobEvent(second, BEGAN_NS + second * SECOND_NS, kind, text, attempt, worker, *place)


STORY = [
    event(0, "state", "queued"),
    event(1, "state", "running"),
    event(2, "attempt_started", "", "m-00003.1", "w1"),
    event(3, "master_started", "the master started anew"),
    event(7, "attempt_lost", "m-00003.1 on w1 is lost: w1 is silent", "m-00003.1", "w1"),
    event(8, "attempt_started", "", "m-00003.2", "w2"),
    event(68, "attempt_progress", "50% done, 10 records", "m-00003.2", "w2"),
    event(70, "backup_started", "", "m-00003.3", "w3"),
    event(71, "attempt_failed", "m-00003.2 on w2 failed: ValueError", "m-00003.2", "w2"),
    event(72, "attempt_done", "", "m-00003.3", "w3"),
    event(80, "map_output_lost", "the output of m-00003.3 on w3 is lost: gone", "m-00003.3", "w3"),
    event(81, "attempt_started", "", "m-00003.4", "w1"),
    event(82, "attempt_killed", "m-00003.4 on w1 is given up: killed by eve", "m-00003.4", "w1"),
    event(90, "state", "killed"),
]


def test_the_story_of_a_task() -> None:
    assert [line.partition("  ")[2].strip() for line in task_story("m-00003", STORY)] == [
        "m-00003.1 started on w1, on a node that holds its input",
        "the master started anew",
        "m-00003.1 on w1 is lost: w1 is silent (after 5.0 s)",
        "-> so m-00003.2 was started, 1.0 s later",
        "m-00003.2 started on w2, on a node that holds its input",
        "m-00003.2 on w2: 50% done, 10 records",
        "m-00003.3 started as a backup on w3, on a node that holds its input",
        "m-00003.2 on w2 failed: ValueError (after 1 min 3 s)",
        "-> m-00003.3 went on, and did the task",
        "m-00003.3 is done on w3: 0 records in, 0 out, 0 bytes written (after 2.0 s)",
        "-> the task was done, until its output was lost",
        "the output of m-00003.3 on w3 is lost: gone",
        "-> so m-00003.4 was started, 1.0 s later",
        "m-00003.4 started on w1, on a node that holds its input",
        "m-00003.4 on w1 is given up: killed by eve (after 1.0 s)",
        "-> then the job was killed",
    ]


@pytest.mark.parametrize(
    ("later", "said"),
    [
        ((), "no attempt was started since"),
        ((event(9, "state", "failed"),), "the job failed"),
    ],
)
def test_an_attempt_that_nothing_followed(later: tuple[JobEvent, ...], said: str) -> None:
    told = list(task_story("m-00003", [*STORY[2:5], *later]))
    assert told[-1].endswith(said)


def test_a_task_that_is_done() -> None:
    told = list(task_story("m-00003", [STORY[2], event(5, "attempt_done", "", "m-00003.1", "w1")]))
    assert told[-1].endswith("-> the task is done")


def test_an_attempt_that_was_not_needed_any_more() -> None:
    told = [
        event(5, "attempt_done", "", "m-00003.2", "w2"),
        event(6, "attempt_killed", "m-00003.1 on w1 is given up: slow", "m-00003.1", "w1"),
    ]
    assert list(task_story("m-00003", told))[-1].endswith("-> m-00003.2 had done the task")


def test_where_an_attempt_runs_and_why() -> None:
    far = JobEvent(1, BEGAN_NS, "attempt_started", "", "m-00000.1", "w1", "remote", "w2 was full")
    assert event_line(far) == (
        "2026-11-21 00:00:00  m-00000.1 started on w1, away from its input: w2 was full"
    )
    nowhere = JobEvent(1, BEGAN_NS, "attempt_started", "", "m-00000.1", "w1")
    assert next(task_story("m-00000", [nowhere])).endswith("; its input lies on no node")
    reduce = JobEvent(1, BEGAN_NS, "attempt_started", "", "2:r-00000.1", "w1")
    assert "may run anywhere" in next(task_story("2:r-00000", [reduce]))


def test_the_fields_of_an_event() -> None:
    assert event_fields(STORY[0]) == {
        "sequence": 0,
        "time": "2026-11-21T00:00:00.000000Z",
        "event": "state",
        "attempt": None,
        "worker": None,
        "locality": None,
        "miss": None,
        "records_in": 0,
        "records_out": 0,
        "output_bytes": 0,
        "counters": {},
        "text": "queued",
    }


def test_names_of_tasks() -> None:
    assert task_named("m-3") == "m-00003"
    assert task_named("2:r-00012") == "2:r-00012"
    for text in ("x-1", "m-00001.1", ""):
        with pytest.raises(BadArgument, match=r"is no task|is an attempt"):
            task_named(text)
