"""The map task: reads a split, runs the mapper and leaves a run file (or, map-only, a part).

All user code runs inside `try` blocks that hold nothing but user code, so that a fault of the
environment is never blamed on it, nor the other way round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from operator import length_hint
from typing import Any

import polars as pl

from mapreduce.counters import BYTES, RECORDS, TaskCounters, counting
from mapreduce.errors import UserCodeError
from mapreduce.formats import BadRecordError, Batch, InputFormat
from mapreduce.formats.exact import Exact
from mapreduce.job import MapOutcome, MapTask
from mapreduce.job_class import Job
from mapreduce.shuffle.buffer import ColumnBuffer, CombineBuffer, MapBuffer
from mapreduce.shuffle.keys import KeyType, join_types, show_type, type_of
from mapreduce.shuffle.spill import Spills, split_by_partition, write_run
from mapreduce.side_files import finding
from mapreduce.step_class import Step, identity
from mapreduce.task.combine import Combiner
from mapreduce.task.emitter import BLOCK_BYTES, LOOK_RECORDS, Emitter, Sink
from mapreduce.task.env import TaskEnv
from mapreduce.task.failure import bounded_repr, failure_of
from mapreduce.task.ordering import ordering_of
from mapreduce.task.part_writer import PartWriter, output_format
from mapreduce.task.partitioning import Partitioner
from mapreduce.task.raw_file import NAME, RawFile, open_local
from mapreduce.task.side import SideOutputs, dropped_outputs, side_outputs
from mapreduce.task.standing import standing

PROGRESS_RECORDS = 2_000
"""Progress is told after so many input records."""


def run_map(task: MapTask, job: Job, env: TaskEnv) -> MapOutcome:
    """Run one attempt of `job`, on a fresh instance. Raises UserCodeError for a fault of the
    job's code, and what `env` raises for one of the environment."""
    counters = TaskCounters()
    job = job.for_task(counters)
    reading = _reading(task, job)
    side = side_outputs(task, job, env)
    with counting(counters), finding(job.side_files):
        if task.spec.has_reducer:
            run = _RunSink(task, reading[0], env, counters)
            _Map(task, reading, env, counters).run(run, side)
            side.close(counters)
            return run.finish()
        part = PartWriter(output_format(job, task.is_exact), env.create_output(task.part_name))
        _Map(task, reading, env, counters).run(_PartSink(part), side)
        part.close()
        counters.add("map_output", part.output_bytes, BYTES)
        size_bytes = part.output_bytes + side.close(counters)
        return MapOutcome(counters.snapshot(), (), size_bytes)


def run_mapper(task: MapTask, job: Job, env: TaskEnv, sink: Sink) -> None:
    """Run the mapper of the first step alone, on a fresh instance whose counts are forgotten."""
    counters = TaskCounters()
    job = job.for_task(counters)
    with counting(counters), finding(job.side_files):
        _Map(task, _reading(task, job), env, counters).run(sink, dropped_outputs())


def _reading(task: MapTask, job: Job) -> tuple[Step, InputFormat]:
    """The step and what reads its records; in the first step both are those of an input."""
    if task.step:
        return job.bound_steps()[task.step], Exact()
    return job.first_step(task.split.input), job.reader(task.split.input)


class _Map:
    """The loop over input records."""

    def __init__(
        self,
        task: MapTask,
        reading: tuple[Step, InputFormat],
        env: TaskEnv,
        counters: TaskCounters,
    ) -> None:
        self._task = task
        self._step, self._reader = reading
        self._env = env
        self._counters = counters
        self._phase = "mapper"
        self._batch: Batch | None = None
        self._number = 0
        """The record at work is this one of the batch."""
        self._end = 0
        self._left: Iterator[Any] = iter(())
        """What is left of the records up to ``_end`` of the batch, while they are mapped."""
        self._raw: RawFile | None = None
        self._emitter: Emitter
        self._flushed_at = task.split.start
        """What was read up to this byte was passed on: long lines do not gather."""
        self._records = 0

    def run(self, sink: Sink, side: SideOutputs) -> None:
        """Initialise, map every record, finish."""
        with standing(self.where):
            self._run(sink, side)

    def where(self) -> str:
        """What it is at just now, for people."""
        path, batch = self._task.split.path, self._batch
        if batch is None:
            return f"{self._phase}, input {path}"
        at = max(self._end - length_hint(self._left) - 1, 0)
        record = bounded_repr(batch.values[at])
        return f"{self._phase}, at byte {batch.offsets[at]} of {path}, record {record}"

    def _run(self, sink: Sink, side: SideOutputs) -> None:
        self._emitter = Emitter(sink, side, self._fault)
        self._hook("mapper_init")
        if self._step.mapper_raw is not None:
            self._map_raw(self._step.mapper_raw)
        elif self._task.split.length or self._reader.whole_files:
            self._read()
        self._batch = None
        self._hook("mapper_final")
        self._emitter.flush()
        self._counters.add("map_input", self._records, RECORDS)
        self._counters.add("map_output", self._emitter.records, RECORDS)
        self._counters.add("map_input", self._task.split.length, BYTES)
        self._tell(1.0)

    def _read(self) -> None:
        split = self._task.split
        file = self._env.open_input(split.path, self._reader.position(split))
        try:
            for batch in self._reader.read(file, split, self._count_fault):
                for start in range(0, len(batch.keys), PROGRESS_RECORDS):
                    end = min(start + PROGRESS_RECORDS, len(batch.keys))
                    self._map(batch, start, end)
                    self._records += end - start
                    if batch.offsets[end - 1] - self._flushed_at >= BLOCK_BYTES:
                        self._flushed_at = batch.offsets[end - 1]
                        self._emitter.pass_on()
                    self._tell((batch.offsets[end - 1] - split.start) / max(split.length, 1))
        except BadRecordError as error:
            record = bounded_repr(error.record)
            failure = failure_of(error, "input", split.path, error.offset, record)
            raise UserCodeError(failure) from None
        file.close()

    def _map(self, batch: Batch, start: int, end: int) -> None:
        """Call the mapper for some records. What `Emitter.take` does is written out here: it
        is the innermost loop of every job, and a call costs as much as a short word."""
        mapper = self._step.mapper or identity
        emitter = self._emitter
        keys = emitter.keys
        add_key, add_value = keys.append, emitter.values.append
        self._left, self._end, self._batch = iter(batch.keys[start:end]), end, batch
        records = zip(self._left, batch.values[start:end], strict=True)
        for number, (name, content) in enumerate(records, start):
            try:
                pairs = mapper(name, content)
                if pairs is None:
                    continue
                pairs = iter(pairs)
                for key, value in islice(pairs, LOOK_RECORDS):
                    add_key(key)
                    add_value(value)
            except (Exception, SystemExit) as error:  # noqa: BLE001
                self._number = number
                raise self._fault(error) from None
            if len(keys) >= emitter.mark:
                self._number = number
                emitter.look()
                emitter.take_rest(pairs)

    def _map_raw(self, mapper: Callable[..., Any]) -> None:
        """Give the whole file to the job's `mapper_raw`."""
        path = self._task.split.path
        file, is_copy = open_local(self._env, path, lambda: self._tell(0.0))
        self._raw = RawFile(file, self._task.split.file_bytes, self._tell)
        self._phase = "mapper_raw"
        try:
            pairs = mapper(path, self._raw.buffered())
        except (Exception, SystemExit) as error:  # noqa: BLE001
            raise self._fault(error) from None
        self._emitter.take(pairs)
        if self._raw.fault is not None:
            raise self._raw.fault
        self._records += 1
        file.close()
        if is_copy:
            self._env.remove_scratch(NAME)

    def _tell(self, fraction: float) -> None:
        self._env.progress(self._records, min(max(fraction, 0.0), 1.0), self._counters.status)

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

    def _fault(self, error: BaseException) -> BaseException:
        if self._raw is not None and self._raw.fault is not None:
            return self._raw.fault
        path, batch, at = self._task.split.path, self._batch, self._number
        if batch is None:
            return UserCodeError(failure_of(error, self._phase, path))
        record = bounded_repr(batch.values[at])
        return UserCodeError(failure_of(error, self._phase, path, batch.offsets[at], record))


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
            self._counters.add("spilled", self._spills.written_bytes, BYTES)
        else:
            index = write_run(file, self._task.index, key_type, rest)
        if self._combiner:
            self._counters.add("combine_input", self._taken, RECORDS)
            self._counters.add("combine_output", self._combiner.records, RECORDS)
        shown = "" if not sum(index.records) else show_type(key_type)
        size_bytes = index.size_bytes
        self._counters.add("map_output", size_bytes, BYTES)
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
