"""Every record that a map wrote is read by one reduce, once: where that is counted.

A run's head announces how many records it holds for a partition, each task counts what it
read and wrote, and the sums are compared where they meet: in the reduce task for its partition,
in the inline runner and in the master for the whole job. They can differ only by a fault of the
engine; then the result would be wrong, so the job fails.
"""

from __future__ import annotations

from collections.abc import Sequence

from mapreduce.errors import RecordsLost
from mapreduce.job import MapOutcome, ReduceOutcome


def check_conserved(where: str, written: int, read: int) -> None:
    """Raise RecordsLost unless the two numbers of records are equal."""
    if written != read:
        raise RecordsLost(
            f"{where}: {written} records were written and {read} were read:"
            " the result would be wrong; please report this fault"
        )


def check_job_conserved(maps: Sequence[MapOutcome], reduces: Sequence[ReduceOutcome]) -> None:
    """Raise RecordsLost unless every record of every run reached its reducer once."""
    for partition, reduced in enumerate(reduces):
        written = sum(outcome.partition_records[partition] for outcome in maps)
        check_conserved(f"partition {partition}", written, reduced.input_records)
