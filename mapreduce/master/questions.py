"""Answers that change nothing: how jobs, tasks and workers are, and where runs lie."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

import msgspec

from dfs.errors import NotFound
from dfs.events import Action, Origin, Reply
from mapreduce.limits import LIST_MAX_BYTES, LIST_MAX_ROWS
from mapreduce.master import history, reports
from mapreduce.master.avoid import explain
from mapreduce.master.rows import get_job, jobs_before, resolve
from mapreduce.master.state import State
from mapreduce.master.transitions import TaskState
from mapreduce.master.turn import Turn, WorkerLink
from mapreduce.master.watch import NEWS
from mapreduce.tables import JobRow
from mapreduce.wire import (
    ROWS_PER_PAGE,
    EventList,
    FindRuns,
    JobList,
    JobNews,
    JobReport,
    ListEvents,
    ListJobs,
    ListTasks,
    RunLocation,
    RunLocations,
    TaskList,
    WatchJob,
    WorkerList,
)


def watch(turn: Turn, origin: Origin, word: WatchJob) -> JobNews | None:
    """The news of a job; None when the request waits for some."""
    _, row = resolve(turn.view.table, word.job)
    page = _since(turn, row, word.cursor)
    if not page.events and not page.more and not row.state.is_final and word.wait_ns > 0:
        turn.parts.watch.wait(origin, row.job, page.cursor, word.wait_ns, turn.now)
        return None
    return _news(turn, row, page)


def answer_watchers(turn: Turn) -> list[Action]:
    """The answers to those who waited and need not any longer."""
    answers: list[Action] = []
    for watcher in turn.parts.watch.take_due(turn.now):
        found = get_job(turn.view.table, watcher.job)
        if found is not None:
            page = _since(turn, found[1], watcher.cursor)
            answers.append(Reply(watcher.origin, _news(turn, found[1], page)))
    return answers


def _since(turn: Turn, row: JobRow, cursor: int) -> history.Page:
    """The news after a cursor. One of a log that is gone is beyond the end and sees everything."""
    known = cursor <= history.last_sequence(turn.view.table, row.job)
    return history.read(turn.view.table, row.job, cursor if known else 0, NEWS)


def _news(turn: Turn, row: JobRow, page: history.Page) -> JobNews:
    job = turn.parts.scheduler.state.jobs.get(row.job)
    failure = job.failure if job is not None else row.failure
    return JobNews(
        _report(turn, row), reports.progress(row, job), page.events, page.cursor, failure
    )


def _report(turn: Turn, row: JobRow) -> JobReport:
    job = turn.parts.scheduler.state.jobs.get(row.job)
    totals = turn.parts.book.totals(row.job) if job is not None else None
    return reports.job_report(row, job, totals)


def event_list(turn: Turn, word: ListEvents) -> EventList:
    """A page of a job's events."""
    _, row = resolve(turn.view.table, word.job)
    page = history.read(turn.view.table, row.job, word.cursor, task=word.task)
    return EventList(row.job, page.events, page.cursor, page.more, row.state.is_final)


def job_list(turn: Turn, word: ListJobs) -> JobList:
    """A page of jobs, newest first, as many as fit into a message. One of nothing is the last:
    fewer ended jobs are kept than are looked at for a page."""
    table = turn.view.table
    before = resolve(table, word.before)[0] if word.before else None
    found: list[JobReport] = []
    room = LIST_MAX_BYTES
    rows = [row for _, row in islice(jobs_before(table, before), LIST_MAX_ROWS)]
    for row in rows:
        if row.state.is_final and not word.all:
            continue
        report = _report(turn, row)
        room -= len(msgspec.msgpack.encode(report))
        if room < 0 and found:
            return JobList(tuple(found), True)
        found.append(report)
    return JobList(tuple(found), len(rows) == LIST_MAX_ROWS and bool(found))


def task_list(turn: Turn, word: ListTasks) -> TaskList:
    """A page of a job's tasks."""
    number, row = resolve(turn.view.table, word.job)
    job = turn.parts.scheduler.state.jobs.get(row.job)
    return reports.task_page(turn.view.table, number, row, job, word.kind, word.first)


def worker_list(turn: Turn) -> WorkerList:
    """Every worker that registered since the master started."""
    found = []
    scheduler = turn.parts.scheduler
    for name, link in sorted(turn.parts.links.items()):
        worker = scheduler.state.workers[name]
        usable = scheduler.is_usable(worker, turn.now.mono_ns)
        why = explain(worker, scheduler.state, turn.now.mono_ns)
        report = reports.worker_report(worker, link.address, usable, why)
        found.append(msgspec.structs.replace(report, groups=link.groups))
    return WorkerList(tuple(found))


def find_runs(state: State, links: Mapping[str, WorkerLink], word: FindRuns) -> RunLocations:
    """Where the outputs of the maps from an index on are; see ``wire.FindRuns``."""
    job = state.jobs.get(word.job)
    if job is None:
        raise NotFound(f"{word.job} is over", word.job)
    if job.step != word.step:
        raise NotFound(f"{word.job} is at step {job.step + 1}, not {word.step + 1}", word.job)
    first = max(word.first, 0)
    page = range(first, min(first + ROWS_PER_PAGE, len(job.maps)))
    places: dict[str, int] = {}
    runs = []
    for index in page:
        task = job.maps.peek(index)
        if task is None:
            continue
        reachable = task.worker in links and not state.workers[task.worker].dead
        if task.state is TaskState.DONE and reachable:
            place = places.setdefault(task.worker, len(places))
            runs.append(RunLocation(task.index, task.done, place))
    addresses = tuple(links[name].address for name in places)
    return RunLocations(tuple(runs), addresses, first + len(page))
