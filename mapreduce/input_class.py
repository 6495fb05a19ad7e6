"""`Input`: one of the inputs that a job names itself, with the mapper and the format for it.

    class Orders(mr.Job):
        def users(self, key, line): ...
        def orders(self, key, line): ...

        inputs = [
            mr.Input("users.tsv", mapper=users),
            mr.Input("orders/*.tsv", mapper=orders, format=mr.KeyValue),
        ]

The splits of the inputs come one input after the other, in the order of the list, and each
carries its input's number, counted from 0 (`FileSplit.input`): so a task knows its mapper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any

from dfs.errors import BadArgument
from mapreduce.formats import made
from mapreduce.limits import INPUTS_MAX
from mapreduce.step_class import Step, bound


@dataclass(frozen=True)
class Input:
    """Files, and how their records are read and mapped.

    `path` is a file, a directory or a glob, as INPUT on the command line. `mapper` is a plain
    function of the class, which gets the job as `self`, the name of one, or anything else that
    can be called with a record; without it the job's own mapper. `format` is an input format;
    without it the job's `input_format`.
    """

    path: str
    _: KW_ONLY
    mapper: Any = None
    format: Any = None

    def check(self, job_class: type, where: str) -> None:
        """Raise BadArgument if the input cannot be read or mapped."""
        if not isinstance(self.path, str) or not self.path:
            raise BadArgument(f"{where}: its path is {self.path!r}: a file or a glob is needed")
        mapper = self.mapper
        if isinstance(mapper, str):
            mapper = getattr(job_class, mapper, None)
        if self.mapper is not None and not callable(mapper):
            raise BadArgument(f"{where}: its mapper is {self.mapper!r}: a function is needed")
        if self.format is not None:
            check_format(self.format, "read", f"{where}: its format")

    def step(self, first: Step, job: object) -> Step:
        """The job's first step as it is for this input, ready to be called."""
        if self.mapper is None:
            return first
        named = getattr(job, self.mapper) if isinstance(self.mapper, str) else self.mapper
        return replace(first, mapper=bound(named, job), mapper_raw=None)


def check_inputs(job_class: type, inputs: Any, where: str) -> None:
    """Raise BadArgument if what a class says in `inputs` are none."""
    if not isinstance(inputs, list | tuple) or not all(isinstance(i, Input) for i in inputs):
        raise BadArgument(f"{where}: inputs is {inputs!r}: a list of mr.Input is needed")
    if len(inputs) > INPUTS_MAX:
        raise BadArgument(f"{where} has {len(inputs)} inputs: at most {INPUTS_MAX}; use a glob")
    for number, one in enumerate(inputs, start=1):
        one.check(job_class, f"{where}, input {number}")


def check_format(form: Any, verb: str, what: str) -> None:
    """Raise BadArgument unless it is a format with this method; ``what`` names it."""
    try:
        method = getattr(made(form), verb, None)
    except TypeError as error:
        raise BadArgument(f"{what} lacks its arguments: {error}") from None
    if not callable(method):
        raise BadArgument(f"{what} is {form!r}, which is no format of mapreduce")


def named_paths(inputs: Sequence[Input], given: Sequence[str]) -> list[tuple[int, str]]:
    """The paths to read, each with the number of its input (0 where the job names none).

    What is given where the job is run stands, in order, in the place of the paths that the job
    names. Raises BadArgument where that does not come out even, and for a job without input.
    """
    if not inputs:
        if not given:
            raise BadArgument("the job has no input: give files, directories or globs")
        return [(0, path) for path in given]
    if given and len(given) != len(inputs):
        own = ", ".join(one.path for one in inputs)
        raise BadArgument(
            f"the job names {len(inputs)} inputs ({own}): give none, or {len(inputs)} to read in"
            f" their place, not {len(given)} (a glob in quotes is one)"
        )
    return list(enumerate(given or [one.path for one in inputs]))
