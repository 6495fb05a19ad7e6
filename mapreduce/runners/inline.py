"""The inline runner: the whole job in this process, task after task. The reference.

It makes the tasks that every runner makes and runs the task code that every runner runs; what
another runner writes is right if it is these bytes. Runs and scratch files lie in a temporary
directory; user code runs in the caller's process, so a debugger works.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from mapreduce.conservation import check_job_conserved
from mapreduce.counters import total
from mapreduce.errors import JobFailed, UserCodeError
from mapreduce.job import (
    FileSplit,
    JobSpec,
    MapOutcome,
    ReduceOutcome,
    Settings,
    map_tasks,
    part_name,
    reduce_tasks,
)
from mapreduce.job_class import Job, source_of, spec_of
from mapreduce.result import Result
from mapreduce.runners.files import Files, LocalFiles, OutputDirectory, files_of
from mapreduce.shuffle.run_index import read_index
from mapreduce.splits import plan_splits
from mapreduce.task.map_task import run_map
from mapreduce.task.part_writer import output_format
from mapreduce.task.reduce_task import run_reduce

JOB_ID = "inline"
_RUN = "map-{:05d}.run"


Create = Callable[[str], BinaryIO]
"""Makes a part by its name."""


class PlacedSplit(NamedTuple):
    """A split and the place where its file is: the path alone, which the job sees, is the same
    wherever that is."""

    split: FileSplit
    files: Files


class LocalEnv:
    """The environment of one task: files of this machine, and the place of a map's input."""

    def __init__(
        self,
        work: Path,
        create: Create,
        *,
        map_index: int = -1,
        inputs: Files | None = None,
        partition: int = -1,
    ) -> None:
        self._work = work
        self._create = create
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
        file.seek(read_index(file).partitions[self._partition].offset)
        return file

    def create_output(self, name: str) -> BinaryIO:
        """A part."""
        return self._create(name)

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
    directory = None if output is None else OutputDirectory(output, overwrite)
    splits = [
        PlacedSplit(split, files)
        for path in inputs
        for files in [files_of(path)]
        for split in plan_splits(files.expand(path), settings.split_bytes)
    ]
    spec = spec_of(job, "", Path(source_of(type(job))).name, settings, output is None)
    if directory is None:
        return _collected(job, spec, splits)
    return _stored(job, spec, splits, directory)


def run_lines(job: Job, lines: Iterable[str]) -> list[tuple[Any, Any]]:
    """The job's exact output for lines of text, in two splits and at least two partitions."""
    text = "".join(f"{line.removesuffix(chr(10))}\n" for line in lines).encode()
    half = len(text) // 2
    partitions, job = job.partitions, type(job)(**job.params)
    job.partitions = max(2, partitions)
    spec = spec_of(job, "", "lines", Settings(), collect=True)
    with tempfile.TemporaryDirectory(prefix="minimr-") as work:
        path = str(Path(work) / "lines")
        Path(path).write_bytes(text)
        splits = [
            PlacedSplit(FileSplit(path, start, end - start, len(text)), LocalFiles())
            for start, end in ((0, half), (half, len(text)))
        ]
        return list(_collected(job, spec, splits))


def _stored(
    job: Job, spec: JobSpec, splits: list[PlacedSplit], directory: OutputDirectory
) -> Result:
    directory.begin()
    try:
        counters, parts = _run_tasks(job, spec, splits, directory.create)
        directory.commit()
    except BaseException:
        directory.discard()
        raise
    return Result(
        JOB_ID, directory.path, counters, lambda: _records(job, spec, directory.open_part, parts)
    )


def _collected(job: Job, spec: JobSpec, splits: list[PlacedSplit]) -> Result:
    parts_of = tempfile.TemporaryDirectory(prefix="minimr-")
    folder = Path(parts_of.name)

    def create(name: str) -> BinaryIO:
        return (folder / name).open("xb")

    def open_part(name: str, keep: object = parts_of) -> BinaryIO:
        """A part; the directory lives as long as this function does."""
        return (folder / name).open("rb")

    counters, parts = _run_tasks(job, spec, splits, create)
    return Result(JOB_ID, None, counters, lambda: _records(job, spec, open_part, parts))


def _records(
    job: Job, spec: JobSpec, open_part: Callable[[str], BinaryIO], parts: list[str]
) -> Iterator[tuple[Any, Any]]:
    form = output_format(job, spec.collect)
    for name in parts:
        with open_part(name) as file:
            yield from form.decode(file)


def _run_tasks(
    job: Job, spec: JobSpec, splits: list[PlacedSplit], create: Create
) -> tuple[dict[str, dict[str, int]], list[str]]:
    """Counters and the names of the parts."""
    with tempfile.TemporaryDirectory(prefix="minimr-") as name:
        work = Path(name)
        maps: list[MapOutcome] = []
        reduces: list[ReduceOutcome] = []
        try:
            for task in map_tasks(JOB_ID, spec, [placed.split for placed in splits]):
                place = splits[task.index].files
                env = LocalEnv(work, create, map_index=task.index, inputs=place)
                maps.append(run_map(task, job, env))
            reduces.extend(
                run_reduce(reduce, job, LocalEnv(work, create, partition=reduce.index))
                for reduce in reduce_tasks(JOB_ID, spec, len(splits))
            )
        except UserCodeError as error:
            raise JobFailed(error.message, JOB_ID, error.failure) from None
    step = spec.steps[0]
    if step.has_reducer:
        check_job_conserved(maps, reduces)
    counters = [outcome.counters for outcome in maps] + [outcome.counters for outcome in reduces]
    parts = [part_name(step, i) for i in range(len(reduces) if step.has_reducer else len(maps))]
    return total(counters), parts
