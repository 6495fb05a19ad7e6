"""Which step a job is at, and what the log knows of a step's tasks.

The scheduler has one step of a job at a time. When its tasks are all committed the job goes on
with the next step. What lies between two steps has one replica; when a part of it is lost, the
job goes back to the step that made it and makes that part again, from map output that the
workers still hold or that is made again in turn. What later steps had finished stands in the
log and counts when the job comes back to them.

Which step a job is at is not written down: it is the first one that lacks a part (``standing``).
What the log knows of a step's tasks is read a bounded number at a time (``StepReader``).
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

from dfs.namenode.keys import load_row
from dfs.namenode.module import View
from dfs.namenode.table import Table, scan_prefix
from mapreduce.job import FileSplit
from mapreduce.limits import TASKS_READ_PER_STEP
from mapreduce.master import events as ev
from mapreduce.master.commit import parts_folder
from mapreduce.master.rows import get_split
from mapreduce.master.storage import Storage
from mapreduce.plan import StepPlan, whole
from mapreduce.tables import JobRow, TaskRow, step_key, task_of
from mapreduce.wire import JobState, PlannedSplit, TaskKind

NO_INODE = 0


def kind_of_parts(plan: StepPlan) -> TaskKind:
    """The tasks that write the step's parts."""
    return TaskKind.REDUCE if plan.reduces else TaskKind.MAP


def submitted_at(row: JobRow, step: int) -> ev.JobSubmitted:
    """A job at a step of whose tasks nothing is known."""
    plan = row.plan[step]
    return ev.JobSubmitted(
        row.job,
        plan.maps,
        plan.reduces,
        row.options.max_attempts,
        row.state is JobState.RUNNING,
        row.spec.settings.priority,
        row.options.speculative,
        row.first_error,
        row.failure,
        step,
    )


def known_task(step: int, kind: TaskKind, index: int, task: TaskRow) -> ev.KnownTask:
    """What the log knows of a task. How often a part of the step before could not be read is
    counted anew: it may have been made again."""
    return ev.KnownTask(
        kind,
        index,
        task.attempts,
        task.done,
        task.worker,
        task.last_locality,
        task.last_miss,
        task.failed,
        task.faults,
        0 if step else task.unread,
        task.error,
        task.signature,
    )


class StepReader:
    """Reads what the log knows of the tasks of a step that a job goes on with. The part ``lost``
    (-1: none) is there no more."""

    def __init__(self, number: int, row: JobRow, step: int, lost: int = -1) -> None:
        self.job = row.job
        self.step = step
        self._number = number
        self._gone = (kind_of_parts(row.plan[step]), lost)
        self._start = step_key(number, step)

    def read(self, table: Table) -> ev.TasksKnown:
        """The next tasks, at most ``TASKS_READ_PER_STEP``."""
        prefix = step_key(self._number, self.step)
        rows = scan_prefix(table, "tasks", prefix, self._start)
        page = list(islice(rows, TASKS_READ_PER_STEP))
        if page:
            self._start = page[-1][0] + b"\0"
        known = tuple(self._known(key, value) for key, value in page)
        return ev.TasksKnown(self.job, known, len(page) < TASKS_READ_PER_STEP)

    def _known(self, key: bytes, value: bytes) -> ev.KnownTask:
        _, kind, index = task_of(key)
        known = known_task(self.step, kind, index, load_row(TaskRow, value))
        is_gone = (kind, index) == self._gone
        return replace(known, done=0) if is_gone else known


def planned_split(
    storage: Storage, view: View, number: int, row: JobRow, step: int, index: int
) -> PlannedSplit:
    """The input of a map: a split that the client planned, or a part of the step before.

    A part that somebody removed has a split that no file fits, so its map fails for its input.
    """
    if step == 0:
        return get_split(view.table, number, index)
    path = f"{parts_folder(row, step - 1)}/{row.plan[step - 1].part_names()[index]}"
    if not storage.exists(view, path):
        return PlannedSplit(FileSplit(path, 0, 1, 1), NO_INODE)
    entry = storage.stat(view, path)
    return PlannedSplit(whole(path, entry.size), entry.inode)
