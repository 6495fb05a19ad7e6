"""Orders to workers: what a task is told, and where it should run."""

from __future__ import annotations

from dfs.events import Now
from dfs.namenode.module import View
from mapreduce.master.commit import attempt_folder
from mapreduce.master.policy import best_nodes
from mapreduce.master.rows import must_job
from mapreduce.master.steps import planned_split
from mapreduce.master.storage import Storage
from mapreduce.wire import AttemptId, LaunchMap, LaunchReduce, TaskKind


def launch(
    storage: Storage, view: View, epoch: int, attempt: AttemptId
) -> LaunchMap | LaunchReduce:
    """The order that starts an attempt."""
    number, row = must_job(view.table, attempt.job)
    spec, folder = row.spec, attempt_folder(attempt)
    plan = row.plan[attempt.step]
    if attempt.kind is TaskKind.REDUCE:
        reduce = plan.reduce_task(row.job, attempt.index, attempt.attempt)
        return LaunchReduce(epoch, reduce, spec, row.options, folder)
    planned = planned_split(storage, view, number, row, attempt.step, attempt.index)
    task = plan.map_task(row.job, attempt.index, planned.split, attempt.attempt)
    return LaunchMap(epoch, task, planned.inode, spec, row.options, folder)


def locate(
    storage: Storage, view: View, job: str, step: int, index: int, now: Now
) -> tuple[str, ...] | None:
    """The nodes that hold most of a map's input; () when it lies on no node, None when nobody
    has reported its chunks yet."""
    number, row = must_job(view.table, job)
    planned = planned_split(storage, view, number, row, step, index)
    split = planned.split
    extents = storage.locate(view, planned.inode, split.start, split.length, now)
    nodes = best_nodes(extents, split.start, split.end)
    return nodes if nodes or not extents else None
