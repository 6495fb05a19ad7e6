"""One job with its inputs and the answer that a plain sequential program gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mapreduce.job_class import Job
from mapreduce.loader import load_job
from tests.conformance.inputs import SPLIT_BYTES

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Case:
    """What to run, and what must come out."""

    target: str
    """`JOB.py` or `JOB.py:NAME`, from the repository's root."""
    inputs: tuple[str, ...]
    expected: Callable[[Path], list[str]]
    """The lines of the output, from the folder of the inputs."""
    params: Mapping[str, bool | int | float | str] = field(default_factory=dict)
    partitions: int | None = None
    ordered: bool = False
    """Does the whole output have one order, or only each of its parts?"""
    spill_bytes: int = 1 << 20

    @property
    def name(self) -> str:
        """Its name in the list of tests, and that of its output."""
        path, _, job = self.target.rpartition("/")[2].partition(":")
        return job or path.removesuffix(".py")

    @property
    def settings(self) -> dict[str, str | int]:
        """Settings of the engine."""
        return {"split_bytes": SPLIT_BYTES, "spill_bytes": self.spill_bytes}

    def job(self) -> Job:
        """The job, loaded as `minimr run` does it."""
        job = load_job(str(ROOT / self.target))(**self.params)
        if self.partitions is not None:
            job.partitions = self.partitions
        return job
