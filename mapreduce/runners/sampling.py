"""The cut points of a job with `TotalOrder`, from a sample of its keys.

Planning, not a task: before the job begins, the process that starts it runs the first step's
mapper over SAMPLE_PIECES pieces that lie evenly in the input, each of up to SAMPLE_PIECE_BYTES (a
whole file where a split is one) and SAMPLE_PIECE_KEYS keys. What is sampled is a function of the
job and its splits alone, so every runner finds the same cut points. What the mapper counts
is forgotten; what it raises fails the job, as it would in a task.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from mapreduce.errors import JobFailed, UserCodeError
from mapreduce.job import FileSplit, JobSpec, MapTask
from mapreduce.job_class import Job
from mapreduce.limits import SAMPLE_PIECE_BYTES, SAMPLE_PIECE_KEYS, SAMPLE_PIECES
from mapreduce.shuffle.keys import canonical, encode, type_of
from mapreduce.step_class import Function
from mapreduce.task.failure import bounded_repr, failure_of
from mapreduce.total_order import cut_points, is_total_order

OpenAt = Callable[[int, int], BinaryIO]
"""Opens the file of the split with this number at a byte offset."""


def needs_cuts(spec: JobSpec, job: Job) -> bool:
    """Does the job want cut points?"""
    return spec.steps[0].partitions > 1 and is_total_order(job.bound_steps()[0].partition)


def with_cuts(spec: JobSpec, job: Job, splits: Sequence[FileSplit], open_at: OpenAt) -> JobSpec:
    """The description with cut points, which `job` gets too.

    Raises JobFailed when the job's code fails, and what `open_at` raises.
    """
    group_of = job.bound_steps()[0].group_key
    found: list[bytes] = []
    try:
        for number, piece in pieces(splits, job.whole_files()):
            task = MapTask("", 0, number, 1, piece, spec.steps[0], spec.settings)
            found += _sampled(task, job, group_of, open_at)
    except UserCodeError as error:
        raise JobFailed(error.message, "", error.failure) from None
    cuts = cut_points(found, spec.steps[0].partitions)
    job.cut_at(cuts)
    return msgspec.structs.replace(spec, cuts=cuts)


def pieces(
    splits: Sequence[FileSplit], whole_files: Sequence[bool]
) -> Iterator[tuple[int, FileSplit]]:
    """What to sample, each piece with the number of its split. `whole_files` says of each input
    whether its splits are whole files."""
    total = sum(split.length for split in splits)
    step = max(-(-total // SAMPLE_PIECES), 1)
    before, wanted = 0, 0
    for number, split in enumerate(splits):
        behind = before + split.length
        whole = whole_files[split.input]
        if whole and wanted < behind:
            yield number, split
        while wanted < behind:
            start = split.start + wanted - before
            length = min(step, SAMPLE_PIECE_BYTES, split.end - start)
            if not whole:
                yield number, msgspec.structs.replace(split, start=start, length=length)
            wanted += step
        before = behind


def _sampled(task: MapTask, job: Job, group_of: Function, open_at: OpenAt) -> list[bytes]:
    from mapreduce.task.map_task import run_mapper

    sink = _Sink(group_of)
    with tempfile.TemporaryDirectory(prefix="minimr-") as folder:
        env = _SampleEnv(Path(folder), lambda offset: open_at(task.index, offset))
        try:
            run_mapper(task, job, env, sink)
        except _EnoughError:
            pass
        finally:
            env.close()
    return sink.found


class _EnoughError(Exception):
    """The piece gave as many keys as are wanted."""


class _Sink:
    """Keeps the canonical bytes of what decides the partition."""

    def __init__(self, group_of: Function) -> None:
        self._group_of = group_of
        self.found: list[bytes] = []

    def add(self, keys: list[Any], values: list[Any]) -> int:
        """Take a block of emitted records; raises _EnoughError behind the last that is wanted."""
        before = len(self.found)
        for key in keys[: SAMPLE_PIECE_KEYS - before]:
            self.found.append(self._encoded(key))
        if len(self.found) >= SAMPLE_PIECE_KEYS:
            raise _EnoughError
        return sum(map(len, self.found[before:]))

    def _encoded(self, key: Any) -> bytes:
        phase = "mapper"
        try:
            type_of(key)
            if self._group_of is not None:
                phase = "group_key"
                key = self._group_of(canonical(key))
            return encode(canonical(key))
        except Exception as error:  # the user's group_key, or a key that is none  # noqa: BLE001
            raise UserCodeError(failure_of(error, phase, record=bounded_repr(key))) from None


class _SampleEnv:
    """A `TaskEnv` for a mapper whose records go nowhere."""

    def __init__(self, folder: Path, open_from: Callable[[int], BinaryIO]) -> None:
        self._folder = folder
        self._open_from = open_from
        self._open: list[BinaryIO] = []

    def open_input(self, path: str, offset: int) -> BinaryIO:
        """The input from a byte on."""
        return self._kept(self._open_from(offset))

    def create_scratch(self, name: str) -> BinaryIO:
        """A new private file."""
        return self._kept((self._folder / name).open("xb"))

    def open_scratch(self, name: str) -> BinaryIO:
        """A private file written before."""
        return self._kept((self._folder / name).open("rb"))

    def remove_scratch(self, name: str) -> None:
        """A private file is not needed any more."""
        (self._folder / name).unlink()

    def create_map_output(self) -> BinaryIO:
        """A sample leaves no run."""
        raise AssertionError("a sample writes nothing")

    def open_map_output(self, map_index: int) -> BinaryIO:
        """A sample reads no runs."""
        raise AssertionError("a sample reduces nothing")

    def create_output(self, name: str) -> BinaryIO:
        """A sample writes no part."""
        raise AssertionError("a sample writes nothing")

    def progress(self, records: int, fraction: float, status: str) -> None:
        """Nobody watches."""

    def close(self) -> None:
        """Close what the mapper was stopped in."""
        for file in self._open:
            file.close()

    def _kept(self, file: BinaryIO) -> BinaryIO:
        self._open.append(file)
        return file
