"""Jobs that no file has under their name: their class, pickled. It was made in a notebook, at a
prompt, by `python -c`, or within a function.

The class travels by value, with the functions, classes and data that its functions name, in a
bundle of this one file, which only a task's process opens:

    job.pickle = version "\\n" cloudpickle(class)      version of Python, as "3.11"

Byte code is for one version of Python, so another one refuses the file. What the class's module
held is put back under the module's name: records of classes that were defined beside the job are
pickled by that name, in tasks and where the job came from. For the same reason what a file defines
beside a function that makes a job goes with it, though a process could import it here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import CodeType, FunctionType, ModuleType
from typing import Any

from dfs.errors import BadArgument
from mapreduce.errors import UserCodeError
from mapreduce.job_class import Job
from mapreduce.task.failure import failure_of

ENTRY = "job.pickle"
_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


def dump(job_class: type[Job]) -> bytes:
    """The file for a class. Raises BadArgument that says what of it cannot be pickled."""
    import cloudpickle

    with _by_value(job_class.__module__):
        try:
            pickled: bytes = cloudpickle.dumps(job_class)
        except Exception as error:  # the user's objects: anything may happen  # noqa: BLE001
            culprit = next((text for text, value in _used(job_class) if not _pickles(value)), "it")
            raise BadArgument(
                f"the job {job_class.__name__} cannot be sent to tasks: {culprit} cannot be pickled"
                f" ({_summary(error)}); make it in mapper_init or reducer_init"
            ) from None
    return f"{_VERSION}\n".encode() + pickled


@contextmanager
def _by_value(name: str) -> Iterator[None]:
    """What this module defines is pickled whole: tasks cannot import it."""
    import cloudpickle

    module = sys.modules.get(name)
    if module is None or name in cloudpickle.list_registry_pickle_by_value():
        yield
        return
    cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def load(data: bytes) -> type[Job]:
    """The class. Raises BadArgument for another version of Python, UserCodeError when what the
    class needs is not here."""
    import cloudpickle

    version, _, pickled = data.partition(b"\n")
    if version != _VERSION.encode():
        raise BadArgument(
            f"the job was pickled by Python {version.decode('ascii', 'replace')} and this is"
            f" {_VERSION}: save it as a file, or use one version"
        )
    try:
        job_class: type[Job] = cloudpickle.loads(pickled)
    except Exception as error:  # the user's modules and classes  # noqa: BLE001
        raise UserCodeError(failure_of(error, "loading")) from None
    _restore_module(job_class)
    return job_class


def _restore_module(job_class: type[Job]) -> None:
    """A module with what the functions of the class name; all share one dictionary of globals."""
    module = ModuleType(job_class.__module__)
    for function in _functions(job_class).values():
        if function.__module__ == job_class.__module__:
            vars(module).update(function.__globals__)
    setattr(module, job_class.__name__, job_class)
    sys.modules[job_class.__module__] = module


def _functions(job_class: type[Job]) -> dict[str, FunctionType]:
    """The functions of a class and of those that it derives from, below Job."""
    found: dict[str, FunctionType] = {}
    for base in job_class.__mro__[: job_class.__mro__.index(Job)]:
        for name, value in vars(base).items():
            function = getattr(value, "__func__", value)
            if isinstance(function, FunctionType):
                found.setdefault(name, function)
    return found


def _used(job_class: type[Job]) -> Iterator[tuple[str, Any]]:
    """What goes with a class, each with its name for people: attributes, and what functions use."""
    functions = _functions(job_class)
    for name, value in vars(job_class).items():
        if name not in functions and not name.startswith("__"):
            yield f"the attribute {name!r}", value
    for method, function in functions.items():
        for name, value in _named(function).items():
            if value is not job_class:
                yield f"{name!r}, which {method} uses,", value


def _named(function: FunctionType) -> dict[str, Any]:
    """What a function finds around it, by name: in enclosing functions and in its module."""
    found: dict[str, Any] = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # it has no value yet
            found[name] = cell.cell_contents
    known = function.__globals__
    return found | {name: known[name] for name in _names(function.__code__) if name in known}


def _names(code: CodeType) -> Iterator[str]:
    """The global names in a function and in those that are defined in it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _pickles(value: Any) -> bool:
    import cloudpickle

    try:
        cloudpickle.dumps(value)
    except Exception:  # the user's object  # noqa: BLE001
        return False
    return True


def _summary(error: BaseException) -> str:
    return " ".join(str(error).split())
