"""What the runners of this machine, `inline` and `local`, share: the plan and the commit.

Both read files of this machine or of the DFS and write an output that appears whole or not at
all. They differ in who runs the tasks, which is the ``RunTasks`` that they hand to ``carry_out``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol, TypeAlias

from mapreduce.input_class import named_paths
from mapreduce.job import Counters, FileSplit, JobSpec, Settings
from mapreduce.job_class import Job
from mapreduce.plan import StepPlan, whole
from mapreduce.result import Result
from mapreduce.runners.files import Files, LocalFiles, OutputDirectory, files_of
from mapreduce.runners.sampling import needs_cuts, with_cuts
from mapreduce.splits import plan_splits
from mapreduce.task.part_writer import output_format
from mapreduce.worker.serving import OutputFile


class Parts(Protocol):
    """Where tasks leave their parts, and their files of side outputs (`errors/part-m-00000`)."""

    def create(self, name: str) -> OutputFile:
        """A file; one that has the name is replaced."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        ...


RunTasks: TypeAlias = Callable[[Parts], tuple[Counters, Sequence[str]]]
"""Runs all tasks of a job; gives its counters and the names of the parts, in order."""


class PlacedSplit(NamedTuple):
    """A split and the place where its file is: the path alone, which the job sees, is the same
    wherever that is."""

    split: FileSplit
    files: Files


def placed_splits(job: Job, inputs: Sequence[str], settings: Settings) -> list[PlacedSplit]:
    """The splits of the inputs, in order; raises NotFound for one that is not there, and
    BadArgument for too few or too many."""
    whole_files = job.whole_files()
    return [
        PlacedSplit(split, files)
        for number, path in named_paths(job.inputs, inputs)
        for files in [files_of(path)]
        for split in plan_splits(
            files.expand(path),
            settings.split_bytes,
            whole_files=whole_files[number],
            number=number,
        )
    ]


def planned(job: Job, spec: JobSpec, splits: Sequence[PlacedSplit]) -> JobSpec:
    """The description of the job, with cut points if it needs some. Raises JobFailed when the
    mapper fails on the sample."""
    if not needs_cuts(spec, job):
        return spec

    def open_at(number: int, offset: int) -> BinaryIO:
        file = splits[number].files.open(splits[number].split.path)
        file.seek(offset)
        return file

    return with_cuts(spec, job, [placed.split for placed in splits], open_at)


def carry_out(
    job: Job, job_id: str, spec: JobSpec, directory: OutputDirectory | None, run_tasks: RunTasks
) -> Result:
    """Run a job's tasks into ``directory``, or without one into a temporary folder that lives as
    long as the result. What goes wrong leaves nothing of the output."""
    if directory is None:
        return _collected(job, job_id, spec, run_tasks)
    directory.begin()
    try:
        counters, parts = run_tasks(directory)
        directory.commit()
    except BaseException:
        directory.discard()
        raise
    return Result(
        job_id, directory.path, counters, lambda: _records(job, spec, directory.open_part, parts)
    )


class PartsIn:
    """A folder of this machine for parts alone; side outputs go to ``side``, if anywhere."""

    def __init__(self, folder: Path, side: Parts | None = None) -> None:
        self._folder = folder
        self._side = side

    def create(self, name: str) -> OutputFile:
        """A file."""
        if self._side is not None and "/" in name:
            return self._side.create(name)
        return LocalFiles().create(str(self._folder / name))

    def remove(self, name: str) -> None:
        """Remove a file."""
        if self._side is not None and "/" in name:
            self._side.remove(name)
        else:
            (self._folder / name).unlink(missing_ok=True)


def splits_between(step: StepPlan, folder: Path) -> list[PlacedSplit]:
    """What the next step reads: the parts that a step has left in ``folder``."""
    parts = [folder / name for name in step.part_names()]
    return [PlacedSplit(whole(str(part), part.stat().st_size), LocalFiles()) for part in parts]


def _collected(job: Job, job_id: str, spec: JobSpec, run_tasks: RunTasks) -> Result:
    parts_of = tempfile.TemporaryDirectory(prefix="minimr-")
    folder = Path(parts_of.name)

    def open_part(name: str, keep: object = parts_of) -> BinaryIO:
        """A part; the folder lives as long as this function does."""
        return (folder / name).open("rb")

    try:
        counters, parts = run_tasks(PartsIn(folder))
    except BaseException:
        parts_of.cleanup()
        raise
    return Result(job_id, None, counters, lambda: _records(job, spec, open_part, parts))


def _records(
    job: Job, spec: JobSpec, open_part: Callable[[str], BinaryIO], parts: Sequence[str]
) -> Iterator[tuple[Any, Any]]:
    form = output_format(job, spec.collect)
    for name in parts:
        with open_part(name) as file:
            yield from form.decode(file)
