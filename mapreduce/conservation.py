"""Every record that a task wrote is read by one other, once: where that is counted.

A run's head announces how many records it holds for a partition, each task counts what it
read and wrote, and the sums are compared where they meet: in the reduce task for its partition,
and for the whole job in the runner or the master, from the maps of a step to its reduces and
from what a step leaves to the maps of the next one. They can differ only by a fault of the
engine; then the result would be wrong, so the job fails.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mapreduce.counters import RECORDS
from mapreduce.errors import RecordsLost
from mapreduce.job import MapOutcome, ReduceOutcome
from mapreduce.plan import StepPlan

Moved = Mapping[tuple[int, str], tuple[int, int]]
"""By step and kind of task, `map` or `reduce`: records read and records written."""


def check_conserved(where: str, written: int, read: int) -> None:
    """Raise RecordsLost unless the two numbers of records are equal."""
    if written != read:
        raise RecordsLost(
            f"{where}: {written} records were written and {read} were read:"
            " the result would be wrong; please report this fault"
        )


def check_job_conserved(maps: Sequence[MapOutcome], reduces: Sequence[ReduceOutcome]) -> None:
    """Raise RecordsLost unless every record of every run of a step reached its reducer once."""
    for partition, reduced in enumerate(reduces):
        written = sum(outcome.partition_records[partition] for outcome in maps)
        check_conserved(f"partition {partition}", written, reduced.input_records)


def check_steps_conserved(steps: Sequence[StepPlan], moved: Moved) -> None:
    """Raise RecordsLost unless every record reached the next phase, in a step and behind it."""
    left = None
    for step in steps:
        read, written = moved.get((step.index, "map"), (0, 0))
        if left is not None:
            check_conserved(f"between steps {step.index} and {step.index + 1}", left, read)
        if step.reduces:
            read, reduced = moved.get((step.index, "reduce"), (0, 0))
            where = f"maps and reduces of step {step.index + 1}" if len(steps) > 1 else ""
            check_conserved(where or "maps and reduces", written, read)
            written = reduced
        left = written


def moved_by(outcome: MapOutcome | ReduceOutcome) -> tuple[int, int]:
    """Records that a task read and wrote, as it counted them."""
    kind = "map" if isinstance(outcome, MapOutcome) else "reduce"
    counted = outcome.counters.get(RECORDS, {})
    if isinstance(outcome, MapOutcome) and outcome.partition_records:
        return counted.get("map_input", 0), sum(outcome.partition_records)
    return counted.get(f"{kind}_input", 0), counted.get(f"{kind}_output", 0)
