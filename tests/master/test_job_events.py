"""The event log of a job: what stands in it, in which order, for how long, and up to what."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dfs.errors import NotFound
from dfs.limits import SECOND_NS
from dfs.wire.common import Ok
from mapreduce import limits
from mapreduce import wire as w
from mapreduce.limits import JOB_KEEP_NS, JOB_START_DEADLINE_NS, PROGRESS_MARK_NS
from mapreduce.master import history
from tests.master.master_stage import ATTEMPTS, Stage, spec


@pytest.fixture
def stage() -> Stage:
    return Stage()


def events(stage: Stage, job: str = "@last", task: str = "") -> list[w.JobEvent]:
    """All events, page by page."""
    return list(_pages(stage, job, task))


def _pages(stage: Stage, job: str, task: str) -> Iterator[w.JobEvent]:
    cursor = 0
    while True:
        page = stage.ask(w.ListEvents(job, cursor, task), w.EventList)
        yield from page.events
        if not page.more:
            return
        assert page.cursor > cursor
        cursor = page.cursor


def lines(found: list[w.JobEvent]) -> list[str]:
    """Each event in one line, as short as it goes."""
    return [
        " ".join(filter(None, [str(e.sequence), e.kind, e.attempt, e.worker, e.text]))
        for e in found
    ]


def test_the_log_of_a_job_with_a_failure_and_a_lost_worker(stage: Stage) -> None:
    link = stage.join("w1")
    assert link
    stage.submit(maps=1, partitions=1)
    ((_, first),) = stage.take_orders(*ATTEMPTS)
    failed = w.AttemptFailed(w.AttemptId.of(first.task), w.FailureKind.NODE, "disk full")
    stage.tell("w1", failed)
    stage.advance(2, "w1")
    ((_, second),) = stage.take_orders(*ATTEMPTS)
    stage.succeed("w1", second)
    stage.take_orders(*ATTEMPTS)
    stage.join("w2")
    stage.advance(limits.ATTEMPT_LEASE_NS // SECOND_NS, "w2")
    stage.run_all()
    found = events(stage)
    assert lines(found) == [
        "1 state queued",
        "2 state running",
        "3 attempt_started m-00000.1 w1",
        "4 attempt_failed m-00000.1 w1 m-00000.1 on w1 failed: disk full",
        "5 attempt_started m-00000.2 w1",
        "6 attempt_done m-00000.2 w1",
        "7 attempt_started r-00000.1 w1",
        "8 attempt_lost r-00000.1 w1 r-00000.1 on w1 is lost: w1 is silent",
        "9 map_output_lost m-00000.2 w1 the output of m-00000.2 on w1 is lost: w1 is silent",
        "10 attempt_started m-00000.3 w2",
        "11 attempt_done m-00000.3 w2",
        "12 attempt_started r-00000.2 w2",
        "13 attempt_done r-00000.2 w2",
        "14 state succeeded",
    ]
    done = found[5]
    assert (done.records_in, done.records_out, done.output_bytes) == (3, 3, 4)
    assert done.counters == {"user": {"words": 1}}
    assert [e.wall_ns for e in found] == sorted(e.wall_ns for e in found)


def test_the_log_goes_on_after_a_restart(stage: Stage) -> None:
    stage.join("w1")
    stage.submit(maps=1)
    stage.restart()
    stage.join("w1")
    kinds = [event.kind for event in events(stage)]
    assert kinds == ["state", "state", "attempt_started", "master_started"]
    assert [event.sequence for event in events(stage)] == [1, 2, 3, 4]


def test_the_events_of_one_task_and_of_the_job(stage: Stage) -> None:
    stage.join("w1", slots=2)
    stage.submit(maps=2, partitions=1)
    stage.run_all()
    names = {event.attempt for event in events(stage, task="m-00001")}
    assert names == {"", "m-00001.1"}


def test_pages_are_bounded_by_rows_and_bytes(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.join("w1", slots=2)
    stage.submit(maps=3, partitions=1)
    stage.run_all()
    whole = events(stage)
    monkeypatch.setattr(history, "EVENTS_SCANNED_MAX_ROWS", 2)
    assert events(stage) == whole
    assert [e.attempt for e in events(stage, task="r-00000") if e.attempt] == ["r-00000.1"] * 2
    news = stage.ask(w.WatchJob("@last", 0, 10**9), w.JobNews)
    assert news.cursor == 2, "a watcher is answered with what a page has"
    monkeypatch.setattr(history, "EVENTS_MAX_BYTES", 1)
    assert len(stage.ask(w.ListEvents("@last"), w.EventList).events) == 1
    assert events(stage) == whole


def test_a_full_log_says_so_and_goes_on_with_states_alone(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "JOB_EVENTS_MAX", 4)
    stage.join("w1")
    stage.submit(maps=1)
    stage.run_all()
    kinds = [event.kind for event in events(stage)]
    assert kinds == ["state", "state", "attempt_started", "log_full", "state"]


def test_long_attempts_leave_marks(stage: Stage) -> None:
    stage.join("w1")
    stage.submit(maps=1)
    stage.advance(3 * PROGRESS_MARK_NS // SECOND_NS - 1, "w1")
    marks = [event for event in events(stage) if event.kind == "attempt_progress"]
    assert [(m.attempt, m.text) for m in marks] == [("m-00000.1", "50% done, 1 records")] * 2


def test_jobs_that_never_start_have_an_end(stage: Stage) -> None:
    stage.ask(w.SubmitJob(b"a", spec(), "/out"), w.JobSubmitted)
    stage.mono_ns += JOB_START_DEADLINE_NS
    stage.settle()
    stage.ask(w.SubmitJob(b"b", spec(), "/out"), w.JobSubmitted)
    stage.ask(w.KillJob("@last"), Ok)
    assert lines(events(stage, "j-20261121-0001")) == ["1 state failed"]
    assert lines(events(stage, "j-20261121-0002")) == ["1 state killed"]


def test_a_job_and_its_log_go_after_a_week(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "ROWS_DROPPED_MAX", 2)
    stage.join("w1")
    stage.submit(maps=1)
    stage.run_all()
    stage.mono_ns += JOB_KEEP_NS // 2
    stage.restart()
    assert events(stage)
    stage.mono_ns += JOB_KEEP_NS // 2 - SECOND_NS
    stage.settle()
    assert events(stage)
    stage.mono_ns += SECOND_NS
    stage.settle()
    with pytest.raises(NotFound):
        events(stage)
    assert stage.table.scan("events", b"\0", 1) == []
