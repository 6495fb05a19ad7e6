"""The reduce task: merges its segments of all runs, runs the reducer and writes a part.

The reducer pulls values while it runs, so faults of the environment can surface inside user
code. `_Segments` keeps such a fault: it is raised as what it is, even if user code swallows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import polars as pl

from mapreduce.conservation import check_conserved
from mapreduce.counters import BYTES, RECORDS, TaskCounters, counting
from mapreduce.errors import UserCodeError
from mapreduce.job import ReduceOutcome, ReduceTask
from mapreduce.job_class import Job
from mapreduce.shuffle.grouping import Grouping
from mapreduce.shuffle.groups import Groups
from mapreduce.shuffle.keys import NONE, KeyTypesError, join_types
from mapreduce.shuffle.run_file import SegmentReader, cut_blocks
from mapreduce.shuffle.spill import merged_segments
from mapreduce.side_files import finding
from mapreduce.step_class import Step
from mapreduce.task.emitter import Emitter
from mapreduce.task.env import TaskEnv
from mapreduce.task.failure import bounded_repr, failure_of
from mapreduce.task.ordering import grouping_of
from mapreduce.task.part_writer import PartWriter, output_format
from mapreduce.task.side import SideOutputs, side_outputs
from mapreduce.task.standing import standing


def run_reduce(task: ReduceTask, job: Job, env: TaskEnv) -> ReduceOutcome:
    """Run one attempt of `job`, on a fresh instance. Raises UserCodeError for a fault of the
    job's code, RunCorrupt for a damaged segment, and what `env` raises."""
    counters = TaskCounters()
    job = job.for_task(counters)
    step = job.bound_steps()[task.step]
    with counting(counters), finding(job.side_files):
        part = PartWriter(output_format(job, task.is_exact), env.create_output(task.part_name))
        segments = _Segments(task, env, counters, grouping_of(step))
        side = side_outputs(task, job, env)
        _Reduce(step, segments, part, side).run()
        part.close()
        size_bytes = part.output_bytes + side.close(counters)
    segments.check()
    counters.add("reduce_groups", segments.groups.groups, RECORDS)
    counters.add("reduce_input", segments.read, RECORDS)
    counters.add("reduce_output", part.records, RECORDS)
    counters.add("reduce_output", part.output_bytes, BYTES)
    env.progress(segments.read, 1.0, counters.status)
    return ReduceOutcome(counters.snapshot(), segments.read, size_bytes)


class _Segments:
    """The task's input: one segment of each map, merged and grouped."""

    def __init__(
        self, task: ReduceTask, env: TaskEnv, counters: TaskCounters, grouping: Grouping
    ) -> None:
        self._task = task
        self._env = env
        self._counters = counters
        self._key_type = NONE
        self.announced = 0
        self.read = 0
        self.fault: BaseException | None = None
        self.groups = Groups(self._guarded(), grouping)

    def check(self) -> None:
        """Raise RecordsLost unless every record that the maps announced was read."""
        check_conserved(f"partition {self._task.index}", self.announced, self.read)

    def _guarded(self) -> Iterator[pl.DataFrame]:
        try:
            merged = merged_segments(self._open, self._task.map_count, self._env)
            for block in chain.from_iterable(map(cut_blocks, merged)):
                self.read += block.height
                yield block
                fraction = self.read / max(self.announced, 1)
                self._env.progress(self.read, fraction, self._counters.status)
        except Exception as error:  # kept, and raised again behind user code
            self.fault = error
            raise

    def _open(self, map_index: int) -> SegmentReader:
        file = self._env.open_map_output(map_index)
        reader = SegmentReader(file, map_index, self._task.index)
        try:
            self._key_type = join_types(self._key_type, reader.head.key_type)
        except KeyTypesError as error:
            raise UserCodeError(failure_of(error, "shuffle")) from None
        self.announced += reader.head.records
        return reader


class _Reduce:
    """The loop over groups."""

    def __init__(
        self, step: Step, segments: _Segments, part: PartWriter, side: SideOutputs
    ) -> None:
        self._step = step
        self._reducer: Any = step.reducer
        self._segments = segments
        self._part = part
        self._phase = "reducer_init"
        self._group: list[Any] = []
        """The key at work, if any."""
        self._emitter = Emitter(self, side, self._fault)

    def run(self) -> None:
        """Initialise, reduce every group, finish."""
        with standing(self.where):
            self._run()

    def where(self) -> str:
        """What it is at just now, for people."""
        return (
            f"{self._phase}, at key {bounded_repr(self._group[0])}" if self._group else self._phase
        )

    def _run(self) -> None:
        self._hook("reducer_init")
        self._phase = "reducer"
        for key, values in self._segments.groups:
            self._group = [key]
            try:
                pairs = self._reducer(key, values)
            except (Exception, SystemExit) as error:  # noqa: BLE001
                raise self._fault(error) from None
            self._emitter.take(pairs)
            if self._segments.fault is not None:
                raise self._segments.fault
        self._group = []
        self._hook("reducer_final")
        self._emitter.flush()

    def add(self, keys: list[Any], values: list[Any]) -> int:
        """Take a block of output from the emitter."""
        before = self._part.output_bytes
        self._part.add(keys, values)
        return self._part.output_bytes - before

    def _hook(self, name: str) -> None:
        hook = getattr(self._step, name)
        if hook is None:
            return
        self._phase = name
        try:
            pairs = hook()
        except (Exception, SystemExit) as error:  # noqa: BLE001
            raise self._fault(error) from None
        self._emitter.take(pairs)

    def _fault(self, error: BaseException) -> BaseException:
        if self._segments.fault is not None:
            return self._segments.fault
        record = bounded_repr(self._group[0]) if self._group else ""
        return UserCodeError(failure_of(error, self._phase, record=record))
