"""From a job file to a Job class: `JOB.py`, or `JOB.py:NAME`.

A file holds one Job class, or several of which one is named, or plain functions `mapper` (or
`mapper_raw`), `reducer`, `combiner`, `partition`, `sort_key` and `group_key`. Whatever is wrong
with it is said in one line.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from dfs.errors import BadArgument, IsADirectory, NotFound, PermissionDenied
from mapreduce import pickled_job
from mapreduce.errors import UserCodeError
from mapreduce.input_class import Input
from mapreduce.job import DEFAULT_PARTITIONS, JobSpec
from mapreduce.job_class import Job
from mapreduce.task.failure import failure_of
from mapreduce.unbuilt import NotBuilt, check_functions

MODULE_NAME = "minimr_job"
"""The name under which a job file is imported; pickles of its classes carry it."""

ARCHIVES = frozenset({".zip", ".egg", ".whl"})
"""Endings of files out of which Python imports."""

_MAPPERS = ("mapper", "mapper_raw")
_FUNCTIONS = ("reducer", "combiner", "partition", "sort_key", "group_key")
_SETTINGS = ("partitions", "sort_values", "input_format", "output_format", "inputs")


def module_of(job_class: type[Job]) -> str:
    """The module in which this process knows what tasks know as MODULE_NAME."""
    return MODULE_NAME if job_class.source_file else job_class.__module__


def split_target(target: str) -> tuple[str, str]:
    """`JOB.py:NAME` as file and name; the name may be ''."""
    path, colon, name = target.rpartition(":")
    return (path, name) if colon and name.isidentifier() else (target, "")


def load_job(target: str) -> type[Job]:
    """The job class of `JOB.py[:NAME]`; the file's directory becomes importable."""
    path, name = split_target(target)
    return find_job(import_file(Path(path)), name)


def load_from_bundle(directory: Path, spec: JobSpec) -> Job:
    """The job of an opened bundle with its parameters; for task processes."""
    make_importable(path for path in sorted(directory.iterdir()) if path.suffix in ARCHIVES)
    if spec.entry == pickled_job.ENTRY:
        job_class = pickled_job.load((directory / spec.entry).read_bytes())
    else:
        job_class = find_job(import_file(directory / spec.entry), spec.class_name)
    job = job_class(**spec.params)
    job.cut_at(spec.cuts)
    return job


def make_importable(py_files: Iterable[Path]) -> None:
    """Let this process import modules, packages (directories) and what archives hold. Raises
    NotFound."""
    for path in py_files:
        if not path.exists():
            raise NotFound(f"--py-files {path}: no such file or directory", str(path))
        place = str(path.resolve() if path.suffix in ARCHIVES else path.resolve().parent)
        if place not in sys.path:
            sys.path.insert(0, place)


def import_file(path: Path) -> ModuleType:
    """Run a job file; raises NotFound, BadArgument (syntax) or UserCodeError (it raised)."""
    code = _compile(path)
    path = path.resolve()
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_loader(MODULE_NAME, loader=None, origin=str(path))
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    module.__file__ = str(path)
    sys.modules[MODULE_NAME] = module
    try:
        exec(code, module.__dict__)
    except NotBuilt:
        raise
    except (Exception, SystemExit) as error:  # the user's code: anything may happen  # noqa: BLE001
        raise UserCodeError(failure_of(error, "job file")) from None
    return module


def _compile(path: Path) -> Any:
    try:
        source = path.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"no such job file: {path}", str(path)) from None
    except IsADirectoryError:
        raise IsADirectory(f"{path} is a directory: a job is a Python file", str(path)) from None
    except PermissionError:
        raise PermissionDenied(f"cannot read the job file {path}", str(path)) from None
    try:
        return compile(source, str(path.resolve()), "exec", dont_inherit=True)
    except SyntaxError as error:
        raise BadArgument(f"{path}:{error.lineno}: syntax error: {error.msg}", str(path)) from None
    except ValueError as error:
        raise BadArgument(f"{path} is not Python source: {error}", str(path)) from None


def find_job(module: ModuleType, name: str = "") -> type[Job]:
    """The job in a module; raises BadArgument if there is none or the choice is not clear."""
    path = str(module.__file__)
    classes = _job_classes(module)
    if name:
        if name not in classes:
            near = get_close_matches(name, classes, 1)
            hint = f"did you mean {near[0]}?" if near else f"it has {_names(classes)}"
            raise BadArgument(f"{path} has no Job class {name}: {hint}", path)
        return _checked(classes[name], path)
    if len(classes) > 1:
        raise BadArgument(
            f"{path} has several jobs, {_names(classes)}:"
            f" name one, as {path}:{next(iter(classes))}",
            path,
        )
    if classes:
        return _checked(next(iter(classes.values())), path)
    if any(callable(getattr(module, name, None)) for name in _MAPPERS) or _has_inputs(module):
        return _of_functions(module, path)
    raise BadArgument(f"{path} has no mapper: define mapper(key, value) or a mr.Job class", path)


def _names(classes: dict[str, type[Job]]) -> str:
    return ", ".join(classes) or "no Job class"


def _job_classes(module: ModuleType) -> dict[str, type[Job]]:
    """The Job classes that the file itself defines; those with `_` before are bases."""
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, Job)
        and value.__module__ == module.__name__
        and not name.startswith("_")
    }


def _checked(job_class: type[Job], path: str) -> type[Job]:
    job_class.check_complete(f"{path}: the job {job_class.__name__}")
    return job_class


def _has_inputs(module: ModuleType) -> bool:
    inputs = getattr(module, "inputs", None)
    return isinstance(inputs, list) and any(isinstance(one, Input) for one in inputs)


def _of_functions(module: ModuleType, path: str) -> type[Job]:
    """A Job class around the module's functions."""
    body: dict[str, Any] = {
        name: staticmethod(function)
        for name in (*_MAPPERS, *_FUNCTIONS)
        if callable(function := getattr(module, name, None))
    }
    body |= {name: getattr(module, name) for name in _SETTINGS if hasattr(module, name)}
    check_functions(vars(module), path)
    body["source_file"] = path
    body["__doc__"] = module.__doc__
    body.setdefault("partitions", DEFAULT_PARTITIONS)
    job_class: type[Job] = type(Path(path).stem, (Job,), body)
    job_class.check_complete(path)
    return job_class
