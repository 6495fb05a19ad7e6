"""Which step a job is at, and what the log knows of a step's tasks.

The scheduler has one step of a job at a time. When its tasks are all committed the job goes on
with the next step. What lies between two steps has one replica; when a part of it is lost, the
job goes back to the step that made it and makes that part again, from map output that the
workers still hold or that is made again in turn. What later steps had finished stands in the
log and counts when the job comes back to them.

Which step a job is at is not written down: it is the first one that lacks a part.
"""

from __future__ import annotations

from dfs.namenode.module import View
from dfs.namenode.table import Table
from mapreduce.job import FileSplit
from mapreduce.master import events as ev
from mapreduce.master.commit import parts_folder
from mapreduce.master.rows import get_split, step_rows, task_rows
from mapreduce.master.storage import Storage
from mapreduce.plan import StepPlan, whole
from mapreduce.tables import JobRow
from mapreduce.wire import JobState, PlannedSplit, TaskKind

NO_INODE = 0


def kind_of_parts(plan: StepPlan) -> TaskKind:
    """The tasks that write the step's parts."""
    return TaskKind.REDUCE if plan.reduces else TaskKind.MAP


def current_step(table: Table, number: int, row: JobRow) -> int:
    """The first step of a job that lacks a part; the last one if none does."""
    plans = row.plan
    made = [0] * len(plans)
    for step, kind, _, task in task_rows(table, number):
        made[step] += task.done > 0 and kind is kind_of_parts(plans[step])
    lacking = (plan.index for plan in plans if made[plan.index] < plan.parts)
    return next(lacking, len(plans) - 1)


def standing(table: Table, number: int, row: JobRow, step: int, lost: int = -1) -> ev.JobSubmitted:
    """A step of a job with what the log knows of its tasks. The part ``lost`` is there no more.

    How often a part could not be read is counted anew: it may have been made again.
    """
    plan = row.plan[step]
    gone = (kind_of_parts(plan), lost)
    known = tuple(
        ev.KnownTask(
            kind,
            index,
            task.attempts,
            0 if (kind, index) == gone else task.done,
            task.worker,
            task.last_locality,
            task.last_miss,
            task.failed,
            task.faults,
            0 if step else task.unread,
            task.error,
            task.signature,
        )
        for kind, index, task in step_rows(table, number, step)
    )
    return ev.JobSubmitted(
        row.job,
        plan.maps,
        plan.reduces,
        row.options.max_attempts,
        row.state is JobState.RUNNING,
        known,
        row.spec.settings.priority,
        row.options.speculative,
        row.first_error,
        row.failure,
        step,
    )


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
