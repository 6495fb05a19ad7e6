"""A task's environment in memory, and the tasks of a whole job over it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, BinaryIO

from xxhash import xxh3_64_intdigest

from mapreduce.conservation import check_job_conserved
from mapreduce.job import (
    FileSplit,
    MapOutcome,
    MapTask,
    ReduceOutcome,
    ReduceTask,
    Settings,
)
from mapreduce.job_class import Job
from mapreduce.shuffle.keys import encode
from mapreduce.shuffle.run_index import read_entry
from mapreduce.task.map_task import run_map
from mapreduce.task.part_writer import output_format
from mapreduce.task.reduce_task import run_reduce


def partition_of(key: Any, partitions: int) -> int:
    """The partition of a canonical key, as docs/formats.md has it."""
    return xxh3_64_intdigest(encode(key)) % partitions


class _Kept(io.BytesIO):
    """A file whose content goes into a dict when it is closed."""

    def __init__(self, files: dict[str, bytes], name: str) -> None:
        super().__init__()
        self._files, self._name = files, name

    def close(self) -> None:
        if not self.closed:
            self._files[self._name] = self.getvalue()
        super().close()


class MemoryEnv:
    """Files in dicts: inputs, and one set of files for each task."""

    def __init__(self, inputs: dict[str, bytes], runs: dict[str, bytes], partition: int = -1):
        self.inputs = inputs
        self.runs = runs
        self.partition = partition
        self.scratch: dict[str, bytes] = {}
        self.outputs: dict[str, bytes] = {}
        self.reports: list[tuple[int, float, str]] = []
        self.map_name = ""

    def open_input(self, path: str, offset: int) -> BinaryIO:
        file = io.BytesIO(self.inputs[path])
        file.seek(offset)
        return file

    def create_scratch(self, name: str) -> BinaryIO:
        assert name not in self.scratch
        return _Kept(self.scratch, name)

    def open_scratch(self, name: str) -> BinaryIO:
        return io.BytesIO(self.scratch[name])

    def remove_scratch(self, name: str) -> None:
        del self.scratch[name]

    def create_map_output(self) -> BinaryIO:
        return _Kept(self.runs, self.map_name)

    def open_map_output(self, map_index: int) -> BinaryIO:
        run = self.runs[f"{map_index}"]
        entry = read_entry(io.BytesIO(run), self.partition)
        return io.BytesIO(run[entry.offset : entry.offset + entry.size_bytes])

    def create_output(self, name: str) -> BinaryIO:
        return _Kept(self.outputs, name)

    def progress(self, records: int, fraction: float, status: str) -> None:
        assert 0 <= fraction <= 1
        self.reports.append((records, fraction, status))


class MemoryRun:
    """All tasks of a job over text in memory; keeps what they made."""

    def __init__(
        self, job: Job, splits: Sequence[FileSplit], inputs: dict[str, bytes], spill_bytes: int
    ) -> None:
        self.job = job
        self.runs: dict[str, bytes] = {}
        self.maps: list[MapOutcome] = []
        self.reduces: list[ReduceOutcome] = []
        self.parts: dict[str, bytes] = {}
        (self.step,) = job.describe_steps()
        settings = Settings(spill_bytes=spill_bytes)
        for index, split in enumerate(splits):
            env = MemoryEnv(inputs, self.runs)
            env.map_name = f"{index}"
            task = MapTask("j", 0, index, 1, split, self.step, settings, True)
            self.maps.append(run_map(task, job, env))
            self._finished(env)
        for index in range(self.step.partitions if self.step.has_reducer else 0):
            env = MemoryEnv(inputs, self.runs, index)
            reduce = ReduceTask("j", 0, index, 1, len(splits), self.step, settings, True)
            self.reduces.append(run_reduce(reduce, job, env))
            self._finished(env)
        if self.step.has_reducer:
            check_job_conserved(self.maps, self.reduces)

    def _finished(self, env: MemoryEnv) -> None:
        assert not env.scratch, "a finished task leaves no scratch files"
        self.parts |= env.outputs

    def partitions(self) -> list[list[tuple[Any, Any]]]:
        """The records of each part, in order."""
        form = output_format(self.job, True)
        return [list(form.decode(io.BytesIO(self.parts[name]))) for name in sorted(self.parts)]


def cut(text: bytes, pieces: int) -> list[FileSplit]:
    """`text` as the file `in`, in so many splits of about the same size."""
    edges = [len(text) * i // pieces for i in range(pieces + 1)]
    return [FileSplit("in", a, b - a, len(text)) for a, b in pairwise(edges)]
