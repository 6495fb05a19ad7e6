"""The map task: reads a split, runs the mapper and leaves a run file (or, map-only, a part).

All user code runs inside `try` blocks that hold nothing but user code, so that a fault of the
environment is never blamed on it, nor the other way round.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, BinaryIO

import polars as pl

from mapreduce.counters import RECORDS, TaskCounters, counting
from mapreduce.errors import UserCodeError
from mapreduce.formats import InputFormat
from mapreduce.formats.exact import Exact
from mapreduce.job import MapOutcome, MapTask
from mapreduce.job_class import Job
from mapreduce.shuffle.buffer import ColumnBuffer, CombineBuffer, MapBuffer
from mapreduce.shuffle.keys import KeyType, join_types, show_type, type_of
from mapreduce.shuffle.spill import Spills, split_by_partition, write_run
from mapreduce.step_class import Step, identity
from mapreduce.task.combine import Combiner
from mapreduce.task.emitter import Emitter, Sink
from mapreduce.task.env import TaskEnv
from mapreduce.task.failure import bounded_repr, failure_of
from mapreduce.task.ordering import ordering_of
from mapreduce.task.part_writer import PartWriter, output_format
from mapreduce.task.partitioning import Partitioner

PROGRESS_RECORDS = 2_000
"""Progress is told after so many input records."""


def run_map(task: MapTask, job: Job, env: TaskEnv) -> MapOutcome:
    """Run one attempt of `job`, on a fresh instance. Raises UserCodeError for a fault of the
    job's code, and what `env` raises for one of the environment."""
    counters = TaskCounters()
    job = job.for_task(counters)
    step = job.bound_steps()[task.step]
    reader = Exact() if task.step else job.reader()
    with counting(counters):
        if task.spec.has_reducer:
            run = _RunSink(task, step, env, counters)
            _Map(task, step, reader, env, counters).run(run)
            return run.finish()
        part = PartWriter(output_format(job, task.is_exact), env.create_output(task.part_name))
        _Map(task, step, reader, env, counters).run(_PartSink(part))
        part.close()
        return MapOutcome(counters.snapshot(), (), part.output_bytes)


class _Map:
    """The loop over input records."""

    def __init__(
        self,
        task: MapTask,
        step: Step,
        reader: InputFormat,
        env: TaskEnv,
        counters: TaskCounters,
    ) -> None:
        self._task = task
        self._step = step
        self._env = env
        self._counters = counters
        self._reader = reader
        self._phase = "mapper"
        self._record: tuple[Any, Any] | None = None
        self._emitter: Emitter
        self._records = 0

    def run(self, sink: Sink) -> None:
        """Initialise, map every record, finish."""
        self._emitter = Emitter(sink, self._fault)
        self._hook("mapper_init")
        split = self._task.split
        if split.length:
            file = self._env.open_input(split.path, self._reader.position(split))
            self._read(file)
            file.close()
        self._record = None
        self._hook("mapper_final")
        self._emitter.flush()
        self._counters.add("map_input", self._records, RECORDS)
        self._counters.add("map_output", self._emitter.records, RECORDS)
        self._env.progress(self._records, 1.0, self._counters.status)

    def _read(self, file: BinaryIO) -> None:
        for keys, values in self._reader.read(file, self._task.split, self._count_fault):
            for at in range(0, len(keys), PROGRESS_RECORDS):
                some = keys[at : at + PROGRESS_RECORDS]
                self._map(some, values[at : at + PROGRESS_RECORDS])
                self._records += len(some)
                self._env.progress(self._records, self._fraction(some[-1]), self._counters.status)

    def _map(self, keys: Sequence[Any], values: Sequence[Any]) -> None:
        """Call the mapper for each record. What `Emitter.take` does is written out here: it
        is the innermost loop of every job, and a call costs as much as a short word."""
        mapper = self._step.mapper or identity
        emitter = self._emitter
        add_key, add_value = emitter.keys.append, emitter.values.append
        for record in zip(keys, values, strict=True):
            try:
                pairs = mapper(*record)
                if pairs is None:
                    continue
                pairs = iter(pairs)
                for key, value in islice(pairs, emitter.room):
                    add_key(key)
                    add_value(value)
            except (Exception, SystemExit) as error:  # noqa: BLE001
                self._record = record
                raise self._fault(error) from None
            if len(emitter.keys) >= emitter.room:
                self._record = record
                emitter.flush()
                emitter.take_rest(pairs)

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
        self._phase = "mapper"

    def _count_fault(self, name: str, n: int) -> None:
        self._counters.add(name, n, RECORDS)

    def _fraction(self, key: Any) -> float:
        split = self._task.split
        done = self._reader.offset_of(key) - split.start
        return min(max(done / split.length, 0.0), 1.0)

    def _fault(self, error: BaseException) -> UserCodeError:
        path = self._task.split.path
        if self._record is None:
            return UserCodeError(failure_of(error, self._phase, path))
        key, value = self._record
        offset = self._reader.offset_of(key)
        return UserCodeError(failure_of(error, self._phase, path, offset, bounded_repr(value)))


class _PartSink:
    """Map-only: records go straight into a part file."""

    def __init__(self, part: PartWriter) -> None:
        self._part = part

    def add(self, keys: list[Any], values: list[Any]) -> int:
        before = self._part.output_bytes
        self._part.add(keys, values)
        return self._part.output_bytes - before


class _RunSink:
    """Records go through the buffer into a run file."""

    def __init__(self, task: MapTask, step: Step, env: TaskEnv, counters: TaskCounters) -> None:
        self._task = task
        self._env = env
        self._counters = counters
        self._ordering = ordering_of(step)
        self._partitioner = Partitioner(step, self._ordering)
        self._combiner = Combiner(step, self._ordering) if task.spec.has_combiner else None
        self._buffer = self._new_buffer()
        self._spills = Spills(env, task.index, task.spec.partitions)
        self._taken = 0

    def _new_buffer(self) -> MapBuffer:
        arrange = self._ordering.arrange if self._ordering else None
        if self._combiner:
            return CombineBuffer(self._combiner.combine, arrange)
        return ColumnBuffer(arrange)

    @property
    def _key_type(self) -> KeyType:
        """The type of the keys in the run."""
        return self._ordering.key_type if self._ordering else self._buffer.key_type

    def add(self, keys: list[Any], values: list[Any]) -> int:
        self._taken += len(keys)
        before = self._buffer.held_bytes
        try:
            self._buffer.add(keys, values)
        except UserCodeError:
            raise
        except Exception as error:  # keys or values that cannot be sent  # noqa: BLE001
            raise self._refusal(error, keys) from None
        size_bytes = self._buffer.held_bytes - before
        if self._buffer.held_bytes >= self._task.settings.spill_bytes:
            parts = self._drain()
            self._spills.add(parts, self._key_type)
            self._counters.add("spilled_runs", 1, RECORDS)
        return size_bytes

    def finish(self) -> MapOutcome:
        """Write the run file."""
        rest = self._drain()
        key_type = self._key_type
        file = self._env.create_map_output()
        if len(self._spills):
            self._spills.add(rest, key_type)
            index = self._spills.merge_into(file, key_type)
        else:
            index = write_run(file, self._task.index, key_type, rest)
        if self._combiner:
            self._counters.add("combine_input", self._taken, RECORDS)
            self._counters.add("combine_output", self._combiner.records, RECORDS)
        shown = "" if not sum(index.records) else show_type(key_type)
        size_bytes = sum(entry.size_bytes for entry in index.partitions)
        return MapOutcome(self._counters.snapshot(), index.records, size_bytes, shown)

    def _drain(self) -> list[pl.DataFrame]:
        if self._combiner:
            self._combiner.begin()
        frame = self._buffer.drain()
        if self._combiner:
            self._combiner.end()
        asked = self._partitioner
        return split_by_partition(
            frame, self._task.spec.partitions, asked.partitions, asked.grouping
        )

    def _refusal(self, error: BaseException, keys: list[Any]) -> UserCodeError:
        """Names the first key that does not go with those before."""
        seen = self._buffer.key_type
        culprit = ""
        for key in keys:
            try:
                seen = join_types(seen, type_of(key))
            except TypeError as first:
                error, culprit = first, bounded_repr(key)
                break
        failure = failure_of(error, "mapper", self._task.split.path, record=culprit)
        return UserCodeError(failure)
