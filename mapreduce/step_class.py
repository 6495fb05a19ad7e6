"""`Step`: the functions of one step of a job, as `Job.steps` names them.

    def steps(self):
        return [
            mr.Step(mapper=self.words, combiner=self.add, reducer=self.add),
            mr.Step(mapper=self.by_count, reducer=self.largest, partitions=1),
        ]

A function is a bound method, a plain function of the class (which gets the job as `self`), or
anything else that can be called with a record. What a step does not name it does not have: no
mapper stands for the identity, no reducer for a step of maps alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from types import FunctionType, MethodType
from typing import Any

from dfs.errors import BadArgument
from mapreduce.job import StepSpec, check_partitions

Function = Callable[..., Any] | None


@dataclass(frozen=True, kw_only=True)
class Step:
    """A map phase and, with a reducer, a reduce phase behind it. See the module's text."""

    mapper: Function = None
    mapper_raw: Function = None
    """In place of `mapper`, in the first step: gets each input file."""
    combiner: Function = None
    reducer: Function = None
    partition: Function = None
    sort_key: Function = None
    group_key: Function = None
    mapper_init: Function = None
    mapper_final: Function = None
    combiner_init: Function = None
    combiner_final: Function = None
    reducer_init: Function = None
    reducer_final: Function = None
    sort_values: Any = False
    """True, or a function of the value."""
    partitions: int | None = None
    """How many; None: as many as the job's class says."""

    def bound(self, job: object) -> Step:
        """The same step, its functions ready to be called for this job."""
        ready: dict[str, Any] = {name: bound(getattr(self, name), job) for name in FUNCTIONS}
        if not takes_one(self.sort_values):
            ready["sort_values"] = bound(self.sort_values, job)
        return replace(self, **ready)

    def check(self, where: str) -> None:
        """Raise BadArgument if one of its functions is none."""
        for name in FUNCTIONS:
            function = getattr(self, name)
            if function is not None and not callable(function):
                raise BadArgument(f"{where}: {name} is {function!r}: a function is needed")
        check_mappers(self, where)
        check_order(self, where)

    def describe(self, partitions: int) -> StepSpec:
        """The step as plain data; raises BadArgument for a bad number of partitions."""
        has_combiner, has_reducer = self.combiner is not None, self.reducer is not None
        return StepSpec(check_partitions(partitions), has_combiner, has_reducer)


FUNCTIONS = tuple(
    field.name for field in fields(Step) if field.name not in {"partitions", "sort_values"}
)
"""The names of a step's functions; a Job class has attributes of the same names."""

OPTIONS = ("partition", "sort_values", "sort_key", "group_key")
"""What a Job class says about its step; beside `steps` it would say it about none."""


def check_mappers(said: type | Step, where: str) -> None:
    """Raise BadArgument if a step, or a class with one, has both mappers."""
    if all(callable(getattr(said, name, None)) for name in ("mapper", "mapper_raw")):
        raise BadArgument(f"{where} has mapper and mapper_raw: keep one")


def check_order(said: type | Step, where: str) -> None:
    """Raise BadArgument if a step, or a class with one, wants an order that cannot be kept."""
    found = {name: getattr(said, name) for name in (*OPTIONS, "reducer")}
    sort_values = found["sort_values"]
    if not isinstance(sort_values, bool) and not callable(sort_values):
        raise BadArgument(f"{where}: sort_values is {sort_values!r}: True or a function")
    if sort_values is not False and found["sort_key"] is not None:
        raise BadArgument(f"{where}: sort_values and sort_key are two orders: keep one")
    for name in ("sort_key", "group_key", "partition"):
        if found[name] is not None and not callable(found[name]):
            raise BadArgument(f"{where}: {name} is {found[name]!r}: write a method")
    if found["reducer"] is None:
        for name in OPTIONS:
            if found[name] not in (None, False):
                raise BadArgument(f"{where}: {name} needs a reducer: without one nothing is sorted")


def takes_one(function: object) -> bool:
    """Is it a plain function that takes the value and no `self`?"""
    return isinstance(function, FunctionType) and function.__code__.co_argcount == 1


def identity(key: Any, value: Any) -> tuple[tuple[Any, Any]]:
    """The mapper of a step that names none."""
    return ((key, value),)


def bound(function: Function, job: object) -> Function:
    """A plain function of the job's class as its method, all else as it is."""
    if isinstance(function, FunctionType) and _is_of_class(function, type(job)):
        return MethodType(function, job)
    return function


def _is_of_class(function: FunctionType, job_class: type) -> bool:
    """Does the function stand in the body of the class, or of one that it derives from?"""
    owner = function.__qualname__.rpartition(".")[0]
    return any(
        owner == base.__qualname__ or function in vars(base).values() for base in job_class.__mro__
    )
