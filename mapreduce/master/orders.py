"""Orders to workers: what a task is told, and where it should run."""

from __future__ import annotations

from dfs.events import Now
from dfs.namenode.module import View
from dfs.namenode.table import Table
from mapreduce.job import MapTask, ReduceTask
from mapreduce.master.commit import attempt_folder
from mapreduce.master.policy import best_nodes
from mapreduce.master.rows import get_split, must_job
from mapreduce.master.storage import Storage
from mapreduce.wire import AttemptId, LaunchMap, LaunchReduce, TaskKind


def launch(table: Table, epoch: int, attempt: AttemptId) -> LaunchMap | LaunchReduce:
    """The order that starts an attempt."""
    number, row = must_job(table, attempt.job)
    spec, folder = row.spec, attempt_folder(attempt)
    if attempt.kind is TaskKind.REDUCE:
        reduce = ReduceTask(
            row.job,
            attempt.step,
            attempt.index,
            attempt.attempt,
            row.maps,
            spec.steps[0],
            spec.settings,
            spec.collect,
        )
        return LaunchReduce(epoch, reduce, spec, row.options, folder)
    planned = get_split(table, number, attempt.index)
    task = MapTask(
        row.job,
        attempt.step,
        attempt.index,
        attempt.attempt,
        planned.split,
        spec.steps[0],
        spec.settings,
        spec.collect,
    )
    return LaunchMap(epoch, task, planned.inode, spec, row.options, folder)


def locate(
    storage: Storage, view: View, number: int, index: int, now: Now
) -> tuple[str, ...] | None:
    """The nodes that hold most of a map's input; () when it lies on no node, None when nobody
    has reported its chunks yet."""
    planned = get_split(view.table, number, index)
    split = planned.split
    extents = storage.locate(view, planned.inode, split.start, split.length, now)
    nodes = best_nodes(extents, split.start, split.end)
    return nodes if nodes or not extents else None
