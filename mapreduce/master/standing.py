"""How the jobs stand when the master starts, read out of the tables in slices.

The rows of a job that runs are read twice: first those of all its tasks, which tell what it has
counted and at which step it is, then those of that step's tasks, for the scheduler. With many
tasks both go on for many slices, and the namenode serves files between them.

The master serves nobody before all is read: a worker that registered earlier would be told to give
up what it runs, and a client would see a job without its tasks. Both are told to ask again. So
nobody changes these rows meanwhile, and what workers may still run waits for them from the end of
the reading on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TypeAlias

from dfs.events import Now
from dfs.namenode.table import Table
from mapreduce.limits import JOBS_READ_PER_STEP, TASKS_READ_PER_STEP
from mapreduce.master import events as ev
from mapreduce.master.book import JobBook
from mapreduce.master.commit import Totals
from mapreduce.master.rows import all_jobs, task_rows
from mapreduce.master.steps import StepReader, kind_of_parts, submitted_at
from mapreduce.tables import JobRow, TaskRow
from mapreduce.wire import TaskKind

Slice: TypeAlias = ev.JobSubmitted | ev.TasksKnown | None
"""What the scheduler has to know of a slice; None: nothing."""


def read_jobs(table: Table, book: JobBook, now: Now) -> Iterator[Slice]:
    """Each item is one slice. The book learns of all jobs, the scheduler of those that run; one
    whose ``TasksKnown`` was the last is read."""
    for count, (number, row) in enumerate(all_jobs(table), 1):
        if row.ready and not row.state.is_final:
            yield from _read_job(table, number, row, book)
        else:
            book.take_up(row, now)
        if count % JOBS_READ_PER_STEP == 0:
            yield None


def _read_job(table: Table, number: int, row: JobRow, book: JobBook) -> Iterator[Slice]:
    standing = _Standing(row)
    for count, (step, kind, _, task) in enumerate(task_rows(table, number), 1):
        standing.add(step, kind, task)
        if count % TASKS_READ_PER_STEP == 0:
            yield None
    book.go_on(row, standing.totals)
    submitted = standing.submitted()
    yield submitted
    reader = StepReader(number, row, submitted.step)
    known = reader.read(table)
    while not known.last:
        yield replace(known, may_run=True)
        known = reader.read(table)
    yield replace(known, may_run=True)


class _Standing:
    """What the rows of a job's tasks add up to."""

    def __init__(self, row: JobRow) -> None:
        self.totals = Totals()
        self._row = row
        self._plan = row.plan
        self._made = [0] * len(self._plan)
        self._failed = dict.fromkeys(TaskKind, 0)

    def add(self, step: int, kind: TaskKind, task: TaskRow) -> None:
        """Count a task."""
        self._failed[kind] += task.failed
        if task.done:
            self.totals.add(step, kind, task)
            self._made[step] += kind is kind_of_parts(self._plan[step])

    def submitted(self) -> ev.JobSubmitted:
        """The job at its step: the first that lacks a part, the last one if none does."""
        lacking = (plan.index for plan in self._plan if self._made[plan.index] < plan.parts)
        return replace(
            submitted_at(self._row, next(lacking, len(self._plan) - 1)),
            is_returning=True,
            failed_maps=self._failed[TaskKind.MAP],
            failed_reduces=self._failed[TaskKind.REDUCE],
        )
