"""Questions to the master, which answers at the namenode's address."""

from __future__ import annotations

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


def events(call: Invocation, job: str, task: str = "", cursor: int = 0) -> Iterator[EventList]:
    """The pages of a job's events after ``cursor``, up to what there is now; see ListEvents."""
    while True:
        page = ask(call, ListEvents(job, cursor, task), EventList)
        yield page
        if not page.more:
            return
        cursor = page.cursor


def tasks(call: Invocation, job: str, kind: TaskKind) -> Iterator[TaskReport]:
    """The tasks of one kind, in order."""
    first = 0
    while True:
        page = ask(call, ListTasks(job, kind, first), TaskList)
        yield from page.tasks
        if not page.more:
            return
        first += len(page.tasks)
