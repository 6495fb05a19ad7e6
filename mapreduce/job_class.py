"""`Job`: the class that people derive from. It holds their code, its parameters and formats.

An instance lives for one task (or for the caller's `run`). What a task gives it, counters and
the status text, comes by `for_task`; a method finds its own state on `self` between
`mapper_init` and `mapper_final`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from inspect import getattr_static
from pathlib import Path
from typing import Any, ClassVar, Self

from dfs.errors import BadArgument
from mapreduce.counters import USER, TaskCounters
from mapreduce.errors import UserCodeError
from mapreduce.formats import InputFormat, OutputFormat, made
from mapreduce.formats.text_lines import TextLines
from mapreduce.formats.text_output import TSV
from mapreduce.input_class import Input, check_format, check_inputs
from mapreduce.job import (
    DEFAULT_PARTITIONS,
    JobSpec,
    ParamValue,
    Settings,
    StepSpec,
)
from mapreduce.limits import STEPS_MAX
from mapreduce.params import bind
from mapreduce.result import Result
from mapreduce.side_files import Paths, path_of
from mapreduce.step_class import FUNCTIONS, OPTIONS, Step, check_mappers, check_order, takes_one
from mapreduce.task.failure import failure_of
from mapreduce.total_order import TotalOrder, is_total_order
from mapreduce.unbuilt import check_class

Pairs = Iterable[tuple[Any, Any]] | None
"""What user code gives back: pairs of key and value, or nothing."""


class Job:
    """A MapReduce job: derive, and write at least `mapper(self, key, value)`.

    `mapper` yields (key, value) pairs; `reducer(self, key, values)` gets each key once with a
    one-pass iterator over its values and yields the pairs of the output; `combiner`, of the
    same form, runs zero or more times on the map's side. Without a reducer the mapper's pairs
    are the output. A chain of several such steps is what `steps` returns.

    `mapper_raw(self, path, file)`, in place of `mapper`, gets each file once, open for reading.
    `inputs`, a list of `mr.Input`, names several inputs, each with its mapper and format.

    Keys rise within a partition. `sort_values = True`, or a function of the value, sorts the
    values of a key; `sort_key(self, key, value)` sorts them by key and value; `group_key(self,
    key)` makes one group of keys for which it is equal; `partition(self, key, n)` chooses the
    partition, 0 to n - 1.
    """

    partitions: int = DEFAULT_PARTITIONS
    input_format: ClassVar[Any] = TextLines
    output_format: ClassVar[Any] = TSV
    inputs: ClassVar[Sequence[Input]] = ()

    mapper: Callable[..., Any]
    mapper_raw: ClassVar[Callable[..., Any] | None] = None
    reducer: ClassVar[Callable[..., Any] | None] = None
    combiner: ClassVar[Callable[..., Any] | None] = None
    partition: ClassVar[Callable[..., int] | None] = None
    sort_values: ClassVar[Any] = False
    sort_key: ClassVar[Callable[..., Any] | None] = None
    group_key: ClassVar[Callable[..., Any] | None] = None

    source_file: ClassVar[str] = ""
    """The job file, where it is not the one that defines the class (plain functions)."""

    def __init__(self, **params: Any) -> None:
        self.params: dict[str, ParamValue] = bind(type(self), params)
        for name, value in self.params.items():
            setattr(self, name, value)
        self._counters = TaskCounters()
        self._cuts: tuple[bytes, ...] = ()
        self.side_files: Paths = {}

    def for_task(self, counters: TaskCounters) -> Self:
        """A fresh instance with the same parameters that counts into `counters`."""
        job = type(self)(**self.params)
        job._counters = counters
        job._cuts = self._cuts
        job.side_files = self.side_files
        return job

    def cut_at(self, cuts: tuple[bytes, ...]) -> None:
        """Take the cut points that `TotalOrder` got when the job was planned."""
        self._cuts = cuts

    def give_files(self, paths: Paths) -> None:
        """Let `file` find these."""
        self.side_files = paths

    def file(self, name: str) -> Path:
        """The path of a file that was shipped with the job (`--files`), to be read and not
        changed. Raises NotFound with the names there are."""
        return path_of(self.side_files, name)

    def count(self, name: str, n: int = 1, group: str = USER) -> None:
        """Add `n` to a counter; it shows in the job's result once the attempt is committed."""
        self._counters.add(name, n, group)

    def status(self, text: str) -> None:
        """Say what this task is doing, for people who watch it."""
        self._counters.status = text

    def mapper_init(self) -> Pairs:
        """Called before the first record of a map; may yield pairs."""

    def mapper_final(self) -> Pairs:
        """Called behind the last record of a map; may yield pairs."""

    def combiner_init(self) -> None:
        """Called before a spill is combined."""

    def combiner_final(self) -> None:
        """Called when a spill is combined."""

    def reducer_init(self) -> Pairs:
        """Called before the first key of a reduce; may yield pairs."""

    def reducer_final(self) -> Pairs:
        """Called behind the last key of a reduce; may yield pairs."""

    def steps(self) -> Sequence[Step]:
        """The job's steps: one, of its own functions. Override it for a chain of several."""
        functions: dict[str, Any] = {name: getattr(self, name, None) for name in FUNCTIONS}
        plain = getattr_static(self, "sort_values")
        sort_values = plain if takes_one(plain) else self.sort_values
        return [Step(sort_values=sort_values, **functions)]

    @classmethod
    def is_chain(cls) -> bool:
        """Does the job name its steps itself?"""
        return cls.steps is not Job.steps

    def bound_steps(self) -> list[Step]:
        """The steps, their functions ready to be called. Raises BadArgument for what are no
        steps, UserCodeError when `steps` raises."""
        where = f"the job {type(self).__name__}"
        try:
            found = list(self.steps())
        except Exception as error:  # user code  # noqa: BLE001
            raise UserCodeError(failure_of(error, "steps")) from None
        if not 1 <= len(found) <= STEPS_MAX:
            raise BadArgument(f"{where} has {len(found)} steps: 1 to {STEPS_MAX} are possible")
        for number, step in enumerate(found, start=1):
            if not isinstance(step, Step):
                raise BadArgument(f"{where}: steps() gave {step!r}: mr.Step(...) is needed")
            step.check(f"{where}, step {number}")
            if number > 1:
                _check_later(step, f"{where}, step {number}")
        for name in OPTIONS if self.is_chain() else ():
            if getattr(self, name) and not any(getattr(step, name) for step in found):
                raise BadArgument(f"{where}: no step uses {name}: name it in a Step, or drop it")
        self._check_raw(found[0], where)
        return [self._ready(step) for step in found]

    def _check_raw(self, first: Step, where: str) -> None:
        """Raise BadArgument if there is a format for what `mapper_raw` reads."""
        unmapped = [one.format for one in self.inputs if one.mapper is None]
        formatted = self.input_format is not TextLines or any(unmapped)
        if first.mapper_raw is not None and formatted:
            raise BadArgument(f"{where}: mapper_raw reads the file itself: leave out input_format")

    def _ready(self, step: Step) -> Step:
        """The step, its functions ready to be called."""
        if is_total_order(step.partition):
            step = replace(step, partition=TotalOrder(self._cuts))
        return step.bound(self)

    def first_step(self, number: int) -> Step:
        """The first step as it is for the input of this number, ready to be called."""
        first = self.bound_steps()[0]
        return self.inputs[number].step(first, self) if self.inputs else first

    def whole_files(self) -> list[bool]:
        """For each input: is a split a whole file, whatever its size?"""
        return [
            self.first_step(number).mapper_raw is not None or self.reader(number).whole_files
            for number in range(len(self.inputs) or 1)
        ]

    def describe_steps(self) -> tuple[StepSpec, ...]:
        """The steps as plain data. `partitions`, where it was set on this job, is that of the
        last one. Raises BadArgument for a bad number of partitions."""
        steps = self.bound_steps()
        default = type(self).partitions
        wanted = [default if s.partitions is None else s.partitions for s in steps]
        wanted[-1] = vars(self).get("partitions", wanted[-1])
        return tuple(step.describe(number) for step, number in zip(steps, wanted, strict=True))

    @classmethod
    def check_complete(cls, where: str) -> None:
        """Raise BadArgument, naming the job by ``where``, if it cannot be run: it has no mapper,
        a format that is none, or uses what is not built."""
        check_class(cls, where)
        check_inputs(cls, cls.inputs, where)
        if not cls.is_chain():
            own = any(callable(getattr(cls, name, None)) for name in ("mapper", "mapper_raw"))
            if not own and not (cls.inputs and all(one.mapper for one in cls.inputs)):
                raise BadArgument(f"{where} has no mapper: define mapper(self, key, value)")
            check_mappers(cls, where)
            check_order(cls, where)
        check_format(cls.input_format, "read", f"{where}: input_format")
        check_format(cls.output_format, "encode", f"{where}: output_format")

    @classmethod
    def reader(cls, number: int = 0) -> InputFormat:
        """The format of the input of this number."""
        own = cls.inputs[number].format if cls.inputs else None
        form: InputFormat = made(cls.input_format if own is None else own)
        return form

    @classmethod
    def writer(cls) -> OutputFormat:
        """The output format."""
        form: OutputFormat = made(cls.output_format)
        return form

    def run(
        self,
        inputs: Iterable[str] | str = (),
        output: str | None = None,
        runner: str | None = None,
        settings: Mapping[str, str | int] | None = None,
    ) -> Result:
        """Run the job and wait for its end.

        `inputs` are files, directories or globs; a job that names its own needs none, and given
        as many they stand in their place. Without `output` the result yields the exact records.
        Raises JobFailed with the first failing task's traceback.
        """
        from mapreduce.runners import run

        paths = [inputs] if isinstance(inputs, str) else list(inputs)
        return run(self, paths, output, runner, settings or {})

    def run_inline(self, *lines: Iterable[str]) -> list[tuple[Any, Any]]:
        """The output for these lines of text, in this process, in at least two splits and two
        partitions: for tests. A job with several inputs gets the lines of each."""
        from mapreduce.runners.inline import run_lines

        return run_lines(self, lines)

    @classmethod
    def main(cls) -> None:
        """What `minimr run` does on the file that defines this class; ends the process. Raises
        BadArgument for a class that lies in no file."""
        from cli.minimr import run_job_file

        source = source_of(cls)
        if not source:
            raise BadArgument(f"{cls.__name__} lies in no file: use {cls.__name__}().run(inputs)")
        sys.exit(run_job_file(f"{source}:{cls.__name__}", sys.argv[1:]))


def _check_later(step: Step, where: str) -> None:
    """Raise BadArgument if a step that reads no input files wants them."""
    if step.mapper_raw is not None:
        raise BadArgument(f"{where}: mapper_raw reads input files, which the first step has")
    if is_total_order(step.partition):
        raise BadArgument(f"{where}: TotalOrder samples input files, which the first step has")


def source_of(job_class: type[Job]) -> str:
    """The file in which tasks find a job by its name; '' if there is none: the class lies in a
    notebook or at a prompt, or a function of the file made it."""
    if job_class.source_file:
        return job_class.source_file
    module = sys.modules.get(job_class.__module__)
    path = getattr(module, "__file__", None) or ""
    is_found = getattr(module, job_class.__name__, None) is job_class
    return str(Path(path).resolve()) if is_found and os.path.isfile(path) else ""


def spec_of(job: Job, bundle: str, entry: str, settings: Settings, collect: bool) -> JobSpec:
    """The job as plain data, to be sent with its bundle."""
    job_class = type(job)
    job_class.check_complete(f"the job {job_class.__name__}")
    return JobSpec(
        name=Path(entry).stem if job_class.source_file else job_class.__name__,
        bundle=bundle,
        entry=entry,
        class_name="" if job_class.source_file else job_class.__name__,
        params=job.params,
        steps=job.describe_steps(),
        settings=settings,
        collect=collect,
    )
