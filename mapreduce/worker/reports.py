"""What a worker tells the master about an attempt that succeeded."""

from __future__ import annotations

from mapreduce.conservation import moved_by
from mapreduce.job import MapOutcome, MapTask, ReduceOutcome, ReduceTask
from mapreduce.wire import AttemptId, AttemptSucceeded


def leaves_run(task: MapTask | ReduceTask) -> bool:
    """Does the task leave a run file to reducers?"""
    return isinstance(task, MapTask) and task.spec.has_reducer


def success_of(
    task: MapTask | ReduceTask, outcome: MapOutcome | ReduceOutcome, files: tuple[str, ...]
) -> AttemptSucceeded:
    """The report on a task with this outcome that wrote these parts."""
    records_in, records_out = moved_by(outcome)
    return AttemptSucceeded(
        AttemptId.of(task),
        outcome.counters,
        records_in,
        records_out,
        outcome.output_bytes,
        files,
    )
