"""The inline runner: the whole job in this process, task after task. The reference.

It makes the tasks that every runner makes and runs the task code that every runner runs; what
another runner writes is right if it is these bytes. Runs and scratch files lie in a temporary
directory; user code runs in the caller's process, so a debugger works.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, cast

from dfs.errors import BadArgument
from mapreduce.conservation import check_job_conserved, check_steps_conserved, moved_by
from mapreduce.counters import total
from mapreduce.errors import JobFailed, UserCodeError
from mapreduce.job import Counters, FileSplit, JobSpec, Settings
from mapreduce.job_class import Job, source_of, spec_of
from mapreduce.plan import StepPlan, plan_of
from mapreduce.result import Result
from mapreduce.runners.files import Files, LocalFiles, OutputDirectory
from mapreduce.runners.here import (
    Parts,
    PartsIn,
    PlacedSplit,
    carry_out,
    placed_splits,
    planned,
    splits_between,
)
from mapreduce.shuffle.run_index import read_entry
from mapreduce.task.map_task import run_map
from mapreduce.task.reduce_task import run_reduce

JOB_ID = "inline"
_RUN = "map-{:05d}.run"


class LocalEnv:
    """The environment of one task: files of this machine, and the place of a map's input."""

    def __init__(
        self,
        work: Path,
        parts: Parts,
        *,
        map_index: int = -1,
        inputs: Files | None = None,
        partition: int = -1,
    ) -> None:
        self._work = work
        self._parts = parts
        self._map_index = map_index
        self._inputs = inputs or LocalFiles()
        self._partition = partition

    def open_input(self, path: str, offset: int) -> BinaryIO:
        """An input file from a byte on."""
        file = self._inputs.open(path)
        file.seek(offset)
        return file

    def create_scratch(self, name: str) -> BinaryIO:
        """A new private file."""
        return (self._work / name).open("xb")

    def open_scratch(self, name: str) -> BinaryIO:
        """A private file written before."""
        return (self._work / name).open("rb")

    def remove_scratch(self, name: str) -> None:
        """A private file is not needed any more."""
        (self._work / name).unlink()

    def create_map_output(self) -> BinaryIO:
        """The map's run file."""
        return (self._work / _RUN.format(self._map_index)).open("xb")

    def open_map_output(self, map_index: int) -> BinaryIO:
        """This partition's segment of a run file; readers of segments know where it ends."""
        file = (self._work / _RUN.format(map_index)).open("rb")
        file.seek(read_entry(file, self._partition).offset)
        return file

    def create_output(self, name: str) -> BinaryIO:
        """A part."""
        return cast(BinaryIO, self._parts.create(name))

    def progress(self, records: int, fraction: float, status: str) -> None:
        """Nobody watches."""


def run(
    job: Job,
    inputs: Sequence[str],
    output: str | None,
    settings: Settings,
    overwrite: bool = False,
) -> Result:
    """Run a job over files; raises JobFailed, NotFound for inputs, Exists for the output."""
    spec = spec_of(job, "", Path(source_of(type(job))).name, settings, output is None)
    directory = None if output is None else OutputDirectory(output, overwrite)
    splits = placed_splits(job, inputs, settings)
    return _carry_out(job, planned(job, spec, splits), splits, directory)


def run_lines(job: Job, lines: Sequence[Iterable[str]]) -> list[tuple[Any, Any]]:
    """The job's exact output for the lines of each of its inputs, in two splits each and at least
    two partitions; where a split is a whole file, there is one."""
    partitions, job = job.partitions, type(job)(**job.params)
    if not job.is_chain():
        job.partitions = max(2, partitions)
    spec = spec_of(job, "", "lines", Settings(), collect=True)
    whole_files = job.whole_files()
    if len(lines) != len(whole_files):
        raise BadArgument(f"run_inline takes lines for each of the {len(whole_files)} inputs")
    with tempfile.TemporaryDirectory(prefix="minimr-") as work:
        splits = [
            split
            for number, of_input in enumerate(lines)
            for split in _splits_of_lines(of_input, Path(work), number, whole_files[number])
        ]
        return list(_carry_out(job, planned(job, spec, splits), splits, None))


def _splits_of_lines(
    lines: Iterable[str], work: Path, number: int, whole_file: bool
) -> list[PlacedSplit]:
    """Two splits of a file with these lines, or one."""
    text = "".join(f"{line.removesuffix(chr(10))}\n" for line in lines).encode()
    path = work / ("lines" if number == 0 else f"lines-{number}")
    path.write_bytes(text)
    half = len(text) // 2
    ends = (0, len(text)) if whole_file else (0, half, len(text))
    return [
        PlacedSplit(
            FileSplit(str(path), start, end - start, len(text), number),
            LocalFiles(),
        )
        for start, end in pairwise(ends)
    ]


def _carry_out(
    job: Job, spec: JobSpec, splits: list[PlacedSplit], directory: OutputDirectory | None
) -> Result:
    return carry_out(
        job, JOB_ID, spec, directory, lambda parts: _run_tasks(job, spec, splits, parts)
    )


def _run_tasks(
    job: Job, spec: JobSpec, splits: list[PlacedSplit], parts: Parts
) -> tuple[Counters, list[str]]:
    """Counters and the names of the parts."""
    steps = plan_of(spec, len(splits))
    run = _Run(job)
    with tempfile.TemporaryDirectory(prefix="minimr-") as name:
        try:
            for step in steps:
                work = Path(name) / str(step.index)
                work.mkdir()
                if step.is_last:
                    run.step(step, splits, work, parts)
                else:
                    run.step(step, splits, work, PartsIn(work, parts))
                    splits = splits_between(step, work)
        except UserCodeError as error:
            raise JobFailed(error.message, JOB_ID, error.failure) from None
    check_steps_conserved(steps, run.moved)
    return total(run.counters), steps[-1].part_names()


class _Run:
    """The tasks of a job that have run, and what they counted."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self.counters: list[Counters] = []
        self.moved: dict[tuple[int, str], tuple[int, int]] = {}

    def step(self, step: StepPlan, splits: list[PlacedSplit], work: Path, parts: Parts) -> None:
        """Run all tasks of one step; runs and scratch files lie in ``work``."""
        maps = [
            run_map(
                step.map_task(JOB_ID, index, placed.split),
                self._job,
                LocalEnv(work, parts, map_index=index, inputs=placed.files),
            )
            for index, placed in enumerate(splits)
        ]
        reduces = [
            run_reduce(
                step.reduce_task(JOB_ID, index), self._job, LocalEnv(work, parts, partition=index)
            )
            for index in range(step.reduces)
        ]
        check_job_conserved(maps, reduces)
        for kind, outcomes in (("map", maps), ("reduce", reduces)):
            counts = [moved_by(outcome) for outcome in outcomes]
            self.moved[step.index, kind] = sum(r for r, _ in counts), sum(w for _, w in counts)
            self.counters += [outcome.counters for outcome in outcomes]
