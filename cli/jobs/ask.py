"""Questions to the master, which answers at the namenode's address."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TypeVar

from cli.invocation import Invocation
from dfs.wire.codec import Message
from mapreduce.runners import asking
from mapreduce.wire import (
    EventList,
    JobList,
    JobNews,
    JobReport,
    ListEvents,
    ListJobs,
    ListTasks,
    TaskKind,
    TaskList,
    TaskReport,
    WatchJob,
)

M = TypeVar("M", bound=Message)
FOLLOW_PAUSE_S = 1.0


def ask(call: Invocation, question: Message, answer: type[M]) -> M:
    """The answer of the master; raises DfsError."""
    return asking.ask(call.client(), question, answer)


def job_report(call: Invocation, job: str) -> JobReport:
    """How a job is now."""
    return watch(call, job, 0, 0).report


def watch(call: Invocation, job: str, cursor: int, wait_ns: int) -> JobNews:
    """How a job is, and its events behind ``cursor``, waiting ``wait_ns`` for one."""
    return ask(call, WatchJob(job, cursor, wait_ns), JobNews)


def jobs(call: Invocation, ended_too: bool) -> Iterator[JobReport]:
    """The jobs, newest first."""
    before = ""
    while True:
        page = ask(call, ListJobs(ended_too, before), JobList)
        yield from page.jobs
        if not page.more:
            return
        before = page.jobs[-1].job


def events(
    call: Invocation, job: str, task: str = "", *, follow: bool = False
) -> Iterator[EventList]:
    """The pages of a job's events up to what there is now, or (``follow``) until the job ends, with
    a pause behind each page that has no ``more``; see ListEvents."""
    cursor = 0
    while True:
        page = ask(call, ListEvents(job, cursor, task), EventList)
        yield page
        job, cursor = page.job, page.cursor
        if not page.more and (page.ended or not follow):
            return
        if not page.more:
            time.sleep(FOLLOW_PAUSE_S)


def tasks(call: Invocation, job: str, kind: TaskKind) -> Iterator[TaskReport]:
    """The tasks of one kind, in order."""
    first = 0
    while True:
        page = ask(call, ListTasks(job, kind, first), TaskList)
        yield from page.tasks
        if not page.more:
            return
        first += len(page.tasks)
