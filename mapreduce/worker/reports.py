"""What a worker tells the master about an attempt that succeeded."""

from __future__ import annotations

from mapreduce.job import MapOutcome, MapTask, ReduceOutcome, ReduceTask
from mapreduce.wire import AttemptId, AttemptSucceeded


def leaves_run(task: MapTask | ReduceTask) -> bool:
    """Does the task leave a run file to reducers?"""
    return isinstance(task, MapTask) and task.spec.has_reducer


def success_of(
    task: MapTask | ReduceTask, outcome: MapOutcome | ReduceOutcome, files: tuple[str, ...]
) -> AttemptSucceeded:
    """The report on a task with this outcome that wrote these parts."""
    attempt = AttemptId.of(task)
    records = outcome.counters.get("records", {})
    records_out = records.get(f"{attempt.kind}_output", 0)
    if isinstance(outcome, MapOutcome) and leaves_run(task):
        records_out = sum(outcome.partition_records)
    return AttemptSucceeded(
        attempt,
        outcome.counters,
        records.get(f"{attempt.kind}_input", 0),
        records_out,
        outcome.output_bytes,
        files,
    )
