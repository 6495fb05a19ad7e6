"""Jobs at the master: from the submission to the output, and what people see of them."""

from __future__ import annotations

import pytest

from dfs.errors import BadArgument, Exists, NotFound, NotSupported, PermissionDenied
from dfs.events import LinkLost
from dfs.namenode import namespace
from dfs.namenode.commands import Removed
from dfs.wire.codec import Message
from dfs.wire.common import Ok
from mapreduce import wire as w
from mapreduce.job import Failure, FileSplit, JobSpec, StepSpec
from mapreduce.limits import (
    BUNDLE_KEEP_NS,
    BUNDLES_LOOK_NS,
    JOB_START_DEADLINE_NS,
    JOBS_ENDED_KEPT,
    WATCH_MAX_NS,
)
from mapreduce.master import bundles, questions
from tests.master.master_stage import ANNA, ATTEMPTS, BUNDLE, Stage, spec

FIRST = "j-20261121-0001"


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_job_runs_and_its_output_appears_whole(stage: Stage) -> None:
    stage.join("w1", slots=2)
    job = stage.submit(maps=2, partitions=1)
    assert job == FIRST
    (first, second) = stage.take_orders(*ATTEMPTS)
    assert (first[1].task.split.path, first[1].inode > 0) == ("/in/t/0", True)
    assert stage.succeed("w1", first[1]) == Ok()
    (reduce,) = stage.take_orders(*ATTEMPTS)
    assert stage.report().state is w.JobState.RUNNING
    assert stage.names("/out") is None, "before the commit there is no output"
    stage.succeed("w1", second[1])
    stage.succeed("w1", reduce[1], records=6)
    assert stage.names("/out") == ["_SUCCESS", "part-r-00000"]
    assert stage.names(f"/.jobs/{job}") is None
    report = stage.report()
    assert report.state is w.JobState.SUCCEEDED
    assert (report.maps, report.reduces) == (w.TaskCounts(2, 2), w.TaskCounts(1, 1))
    assert report.counters == {"user": {"words": 3}}
    assert report.locality == w.Locality(0, 0, 2)
    assert [order.job for _, order in stage.take_orders(w.ForgetJob)] == [job]


def test_the_job_and_its_output_are_one_record(stage: Stage) -> None:
    stage.join("w1")
    stage.submit(maps=1)
    stage.run_all()
    names = [[type(command).__name__ for command in commands] for _, commands in stage.records]
    assert ["FilePut", "Renamed", "JobEnded", "Removed", "EventsRecorded"] in names
    assert ["Renamed", "TaskDone", "EventsRecorded"] in names


def test_map_only(stage: Stage) -> None:
    stage.join("w1")
    stage.submit(maps=2, reducer=False)
    stage.run_all()
    assert stage.names("/out") == ["_SUCCESS", "part-m-00000", "part-m-00001"]


def test_no_maps_at_all(stage: Stage) -> None:
    stage.submit(maps=0, reducer=False)
    assert stage.names("/out") == ["_SUCCESS"]


def test_without_output_the_parts_stay_until_they_are_dropped(stage: Stage) -> None:
    stage.join("w1")
    job = stage.submit(maps=1, output="")
    stage.run_all()
    assert stage.names(f"/.jobs/{job}/output") == ["part-r-00000"]
    assert stage.names(f"/.jobs/{job}/attempts") is None
    stage.ask(w.DropOutput(job), Ok)
    assert stage.names(f"/.jobs/{job}") is None
    stage.ask(w.DropOutput(job), Ok)


def test_parts_that_nobody_drops_go_after_an_hour(stage: Stage) -> None:
    stage.join("w1")
    job = stage.submit(maps=1, output="")
    stage.run_all()
    stage.restart()
    stage.mono_ns += 3600 * 10**9
    stage.settle()
    assert stage.names(f"/.jobs/{job}") is None


def test_an_existing_output_is_refused(stage: Stage) -> None:
    stage.put("/out/old")
    with pytest.raises(Exists, match="/out exists"):
        stage.submit()
    stage.join("w1")
    stage.submit(overwrite=True)
    stage.take_orders(*ATTEMPTS)
    stage.ask(w.KillJob("@last"), Ok)
    assert stage.names("/out") == ["old"], "it is there until the commit"


def test_an_output_is_replaced(stage: Stage) -> None:
    stage.put("/out/old")
    stage.join("w1")
    stage.submit(maps=1, overwrite=True)
    stage.run_all()
    assert stage.names("/out") == ["_SUCCESS", "part-r-00000"]


def test_an_output_that_appeared_meanwhile_is_not_replaced(stage: Stage) -> None:
    stage.join("w1")
    job = stage.submit(maps=1)
    stage.put("/out/other")
    stage.run_all()
    report = stage.report()
    assert report.state is w.JobState.FAILED
    assert "/out exists" in report.error
    assert stage.names("/out") == ["other"]
    assert stage.names(f"/.jobs/{job}") is None


def test_lost_records_fail_the_job(stage: Stage) -> None:
    stage.join("w1")
    stage.submit(maps=1)
    ((_, order),) = stage.take_orders(*ATTEMPTS)
    stage.succeed("w1", order, records=5)
    ((_, order),) = stage.take_orders(*ATTEMPTS)
    stage.succeed("w1", order, records=4)
    report = stage.report()
    assert (report.state, "5 records were written and 4 were read" in report.error) == (
        w.JobState.FAILED,
        True,
    )
    assert stage.names("/out") is None


def test_watchers_are_told_the_first_failure_at_length_and_the_others_in_a_line(
    stage: Stage,
) -> None:
    stage.join("w1", slots=3)
    job = stage.submit(maps=3, max_attempts=50)
    long = "Traceback:\n" + "x" * 10_000
    kinds = (w.FailureKind.NODE, w.FailureKind.USER, w.FailureKind.USER)
    for index, kind in enumerate(kinds):
        ident = w.AttemptId(job, 0, w.TaskKind.MAP, index, 1)
        failure = Failure("mapper", "ValueError: x", long, signature=f"{index}")
        stage.tell("w1", w.AttemptFailed(ident, kind, "disk full", failure))
    news = stage.ask(w.WatchJob(job), w.JobNews)
    texts = [event.text for event in news.events if event.kind == "attempt_failed"]
    assert [len(text) > 10_000 for text in texts] == [False, True, False]
    assert texts[2] == "m-00002.1 on w1 failed: Traceback:"


def test_a_job_whose_code_is_not_there_is_refused(stage: Stage) -> None:
    for bundle, error in (("c" * 64, NotFound), ("../../x", BadArgument), ("", BadArgument)):
        with pytest.raises(error):
            stage.ask(w.SubmitJob(b"a", spec(bundle=bundle), "/out"), w.JobSubmitted)
    assert stage.ask(w.ListJobs(True), w.JobList).jobs == ()


def test_a_bundle_goes_with_the_last_job_that_names_it(stage: Stage) -> None:
    mine = "c" * 64
    stage.put(w.bundle_path(mine))
    for number in range(2):
        word = w.SubmitJob(b"mine%d" % number, spec(bundle=mine), "/out")
        stage.ask(w.KillJob(stage.ask(word, w.JobSubmitted).job), Ok)
    bundles = sorted([f"{BUNDLE}.zip", f"{mine}.zip"])
    for number in range(JOBS_ENDED_KEPT):
        word = w.SubmitJob(b"%d" % number, spec(), "/out")
        if number == JOBS_ENDED_KEPT - 1:
            assert stage.names(w.BUNDLE_FOLDER) == bundles, "one of the two jobs is still listed"
            stage.restart()
        stage.ask(w.KillJob(stage.ask(word, w.JobSubmitted).job), Ok)
    assert stage.names(w.BUNDLE_FOLDER) == [f"{BUNDLE}.zip"]


def test_a_bundle_that_no_job_ever_named_goes_after_a_day(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundles, "BUNDLES_DROPPED_MAX", 2)
    left = [letter * 64 for letter in "acdef"]
    for name in left:
        stage.put(w.bundle_path(name))
    stage.submit(maps=1)
    stage.mono_ns += BUNDLE_KEEP_NS - BUNDLES_LOOK_NS
    stage.settle()
    stage.sessions.clear()
    stage.put(w.bundle_path("0" * 64))
    assert len(stage.names(w.BUNDLE_FOLDER) or ()) == 7
    stage.mono_ns += BUNDLES_LOOK_NS
    stage.settle()
    assert stage.names(w.BUNDLE_FOLDER) == [f"{'0' * 64}.zip", f"{BUNDLE}.zip"]
    removed = [sum(isinstance(c, Removed) for c in commands) for _, commands in stage.records]
    assert [count for count in removed if count] == [2, 2, 1], "a few at a time"


def test_bundles_are_looked_through_page_by_page(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for letter in "acdef":
        stage.put(w.bundle_path(letter * 64))
    stage.submit(maps=1)
    monkeypatch.setattr(namespace, "LISTING_MAX_ROWS", 2)
    stage.mono_ns += BUNDLE_KEEP_NS
    stage.restart()
    assert stage.names(w.BUNDLE_FOLDER) == [f"{BUNDLE}.zip"]


def test_the_first_traceback_is_kept(stage: Stage) -> None:
    stage.join("w1")
    job = stage.submit(maps=1)
    failure = Failure("mapper", "ValueError: x", "Traceback: x", "/in/t/0", 7, "'x'", "s")
    for number in (1, 2):
        ident = w.AttemptId(job, 0, w.TaskKind.MAP, 0, number)
        word = w.AttemptFailed(ident, w.FailureKind.USER, "ValueError: x", failure)
        assert stage.tell("w1", word) == Ok()
    news = stage.ask(w.WatchJob(job), w.JobNews)
    assert news.report.state is w.JobState.FAILED
    assert news.report.error.startswith("m-00000.1 on w1 failed: Traceback: x")
    assert news.failure == failure
    assert [event.kind for event in news.events].count("attempt_failed") == 2
    assert stage.names("/out") is None
    assert stage.names(f"/.jobs/{job}") is None


def test_a_job_is_killed(stage: Stage) -> None:
    stage.join("w1")
    job = stage.submit()
    ((_, order),) = stage.take_orders(*ATTEMPTS)
    stage.ask(w.KillJob("@last"), Ok)
    stage.ask(w.KillJob(job), Ok)
    assert stage.report().state is w.JobState.KILLED
    assert isinstance(stage.succeed("w1", order), w.KillAttempt)
    assert stage.names("/out") is None


def test_submitting_again_gets_the_same_job(stage: Stage) -> None:
    first = stage.submit(token=b"a")
    assert stage.submit(token=b"b", output="/other") == "j-20261121-0002"
    word = w.SubmitJob(b"a", spec(), "/out")
    assert stage.ask(word, w.JobSubmitted).job == first
    stage.restart()
    assert stage.ask(word, w.JobSubmitted).job == first


def test_pages_of_splits(stage: Stage) -> None:
    job = stage.ask(w.SubmitJob(b"a", spec(), "/out"), w.JobSubmitted).job
    page = tuple(w.PlannedSplit(FileSplit("/x", i, 1, 9), 5) for i in range(3))
    stage.ask(w.AddSplits(job, 0, page), Ok)
    stage.ask(w.AddSplits(job, 0, page), Ok)
    with pytest.raises(BadArgument, match="has 3"):
        stage.ask(w.AddSplits(job, 4, page), Ok)
    with pytest.raises(BadArgument, match="should have 4"):
        stage.ask(w.StartJob(job, 4), Ok)
    stage.ask(w.AddSplits(job, 3, page), Ok)
    stage.ask(w.StartJob(job, 6), Ok)
    stage.ask(w.StartJob(job, 6), Ok)
    assert stage.report().maps.total == 6


def test_a_job_that_nobody_starts_is_discarded(stage: Stage) -> None:
    job = stage.ask(w.SubmitJob(b"a", spec(), "/out"), w.JobSubmitted).job
    stage.mono_ns += JOB_START_DEADLINE_NS
    stage.settle()
    assert stage.report().error == "it was not started in time"
    assert stage.names(f"/.jobs/{job}") is None
    with pytest.raises(NotFound):
        stage.ask(w.StartJob(job, 0), Ok)


def test_a_job_is_killed_before_it_starts(stage: Stage) -> None:
    stage.ask(w.SubmitJob(b"a", spec(), "/out"), w.JobSubmitted)
    stage.ask(w.KillJob("@last"), Ok)
    assert stage.report().state is w.JobState.KILLED


@pytest.mark.parametrize(
    ("word", "error"),
    [
        (w.SubmitJob(b"", spec(), "/out"), BadArgument),
        (w.SubmitJob(b"a", spec(), "/a/../b"), BadArgument),
        (w.SubmitJob(b"a", spec(0), "/out"), BadArgument),
        (w.SubmitJob(b"a", spec(), "/o", False, w.JobOptions(max_attempts=0)), BadArgument),
        (
            w.SubmitJob(b"a", JobSpec("n", "b", "e", "c", {}, (StepSpec(1, False, True),) * 2), ""),
            BadArgument,
        ),
        (w.WatchJob("j-2"), NotFound),
        (w.WatchJob(""), NotFound),
        (w.KillJob("@last"), NotFound),
        (w.WorkerHeartbeat(()), PermissionDenied),
        (w.FetchRuns("j", 0, 0, (w.RunAsked(0, 1),)), NotSupported),
    ],
)
def test_requests_that_are_refused(stage: Stage, word: Message, error: type[Exception]) -> None:
    with pytest.raises(error):
        stage.ask(word, Message)


def test_jobs_are_found_by_a_unique_beginning(stage: Stage) -> None:
    stage.submit(token=b"a")
    stage.submit(token=b"b", output="/o2")
    assert stage.report("j-20261121-0002").job == "j-20261121-0002"
    assert stage.report("@last").job == "j-20261121-0002"
    with pytest.raises(BadArgument, match="j-20261121-0001, j-20261121-0002"):
        stage.report("j-2026")


def test_watchers_are_answered_with_the_first_news(stage: Stage) -> None:
    job = stage.submit(maps=1)
    (first,) = stage.handle(ANNA, w.WatchJob(job, 0, WATCH_MAX_NS))
    assert [event.text for event in first.events] == ["queued"]
    assert stage.handle(ANNA, w.WatchJob(job, first.cursor, WATCH_MAX_NS)) == []
    stage.join("w1")
    (reply,) = stage.late
    assert isinstance(reply.message, w.JobNews)
    assert [event.text for event in reply.message.events] == ["running"]
    assert reply.message.report.state is w.JobState.RUNNING
    stage.late.clear()
    cursor = reply.message.cursor
    assert stage.handle(ANNA, w.WatchJob(job, cursor, 2 * WATCH_MAX_NS)) == []
    stage.advance(WATCH_MAX_NS // 10**9, "w1")
    (reply,) = stage.late
    assert isinstance(reply.message, w.JobNews)
    assert reply.message.events == ()
    stage.late.clear()
    stage.handle(ANNA, w.WatchJob(job, cursor, WATCH_MAX_NS))
    stage.run_all()
    assert [r.message.report.state for r in stage.late] == [w.JobState.SUCCEEDED]
    (news,) = stage.handle(ANNA, w.WatchJob(job, 10**6, WATCH_MAX_NS))
    assert isinstance(news, w.JobNews)
    assert len(news.events) == 3, "a cursor of an earlier master sees everything"


def test_watchers_whose_link_broke_are_forgotten(stage: Stage) -> None:
    job = stage.submit(maps=1)
    stage.handle(ANNA, w.WatchJob(job, 1, WATCH_MAX_NS), link=9)
    stage.take(stage.core.handle(stage.view(), LinkLost(ANNA, 9, "gone"), stage.now))
    stage.join("w1")
    assert stage.late == []


def test_a_list_of_more_jobs_than_are_looked_at_for_a_page(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "LIST_MAX_ROWS", 2)
    jobs = [stage.submit(token=b"%d" % n, output=f"/o{n}") for n in range(5)]
    stage.ask(w.KillJob(jobs[3]), Ok)
    found, page = [], stage.ask(w.ListJobs(), w.JobList)
    while page.more:
        found += page.jobs
        page = stage.ask(w.ListJobs(before=found[-1].job), w.JobList)
    found += page.jobs
    assert [report.job for report in found] == [jobs[4], jobs[2], jobs[1], jobs[0]]


def test_lists(stage: Stage) -> None:
    stage.join("w1", slots=3)
    job = stage.submit(maps=2, token=b"a")
    ((worker, order), *_) = stage.take_orders(*ATTEMPTS)
    stage.succeed(worker, order)
    (done, running) = stage.ask(w.ListTasks(job, w.TaskKind.MAP), w.TaskList).tasks
    assert (done.task, done.state, done.worker, done.records_in) == ("m-00000", "done", "w1", 3)
    assert (running.state, running.attempt) == ("running", 1)
    assert (running.locality, running.miss) == ("remote", "its input is stored with the namenode")
    stage.submit(maps=1, token=b"b", output="/o2")
    stage.ask(w.KillJob(job), Ok)
    listed = stage.ask(w.ListJobs(), w.JobList)
    assert [report.job for report in listed.jobs] == ["j-20261121-0002"]
    everything = stage.ask(w.ListJobs(True), w.JobList)
    assert [report.job for report in everything.jobs] == ["j-20261121-0002", job]
    older = stage.ask(w.ListJobs(True, "j-20261121-0002"), w.JobList)
    assert [report.job for report in older.jobs] == [job]
    (worker_report,) = stage.ask(w.ListWorkers(), w.WorkerList).workers
    assert (worker_report.state, worker_report.slots) == ("live", 3)
    (done, waiting) = stage.ask(w.ListTasks(job, w.TaskKind.MAP), w.TaskList).tasks
    assert (done.state, waiting.state) == ("done", "waiting"), "also when the job has ended"
    stage.advance(6)
    (worker_report,) = stage.ask(w.ListWorkers(), w.WorkerList).workers
    assert worker_report.state == "stale"


def test_the_oldest_ended_jobs_are_forgotten(stage: Stage) -> None:
    for number in range(JOBS_ENDED_KEPT + 3):
        stage.submit(maps=1, token=str(number).encode(), output=f"/o{number}")
        stage.ask(w.KillJob("@last"), Ok)
    with pytest.raises(NotFound):
        stage.report("j-20261121-0003")
    assert stage.report("j-20261121-0004").state is w.JobState.KILLED
    for table in ("jobs", "splits"):
        assert len(stage.table.scan(table, b"\0", 1000)) == JOBS_ENDED_KEPT
    stage.restart()
    assert stage.submit(maps=1, token=b"z") == f"j-20261121-{JOBS_ENDED_KEPT + 4:04d}"
