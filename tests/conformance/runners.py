"""The runners under test, and how to add that of another engine.

A runner is a function that is given the folder of the inputs and an empty folder to work in; it
starts what the engine needs, yields a function from a `Case` to the files of its output (name and
bytes, `_SUCCESS` and files of side outputs included), and stops what it started. To add one, write
such a function here and name it in `RUNNERS`: each case is run by it then, and must give the bytes
that `inline` gives, file by file. That holds if the engine

* makes the splits of `mapreduce.splits.plan_splits` and the tasks of `mapreduce.plan.plan_of`,
* gives jobs the paths of the inputs that they have in the folder (grep prints them),
* writes one part for each partition, also for an empty one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeAlias

import pytest

import dfs
from tests.conformance.case import Case
from tests.integration.cluster_here import ClusterHere

Run: TypeAlias = Callable[[Case], dict[str, bytes]]
Runner: TypeAlias = Callable[[Path, Path], AbstractContextManager[Run]]


@contextmanager
def inline(inputs: Path, work: Path) -> Iterator[Run]:
    """All in this process: the reference."""
    yield lambda case: _run_here(case, inputs, work / f"inline-{case.name}", "inline")


@contextmanager
def local(inputs: Path, work: Path) -> Iterator[Run]:
    """Processes of this machine."""
    yield lambda case: _run_here(case, inputs, work / f"local-{case.name}", "local")


@contextmanager
def cluster(inputs: Path, work: Path) -> Iterator[Run]:
    """A cluster of three nodes; the inputs have the paths there that they have here."""
    here = ClusterHere(work / "home")
    here.minidfs("up")
    try:
        here.minidfs("put", *sorted(inputs.iterdir()), f"{inputs}/")
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("MINIDFS_CLUSTER", raising=False)
            patch.setenv("MINIDFS_HOME", str(here.folder))
            yield lambda case: _run_on_cluster(case, inputs)
    finally:
        here.minidfs("down", code=None)


RUNNERS: dict[str, Runner] = {"inline": inline, "local": local, "cluster": cluster}


def _run_here(case: Case, inputs: Path, output: Path, runner: str) -> dict[str, bytes]:
    _run(case, inputs, str(output), runner)
    files = [path for path in output.rglob("*") if path.is_file()]
    return {str(path.relative_to(output)): path.read_bytes() for path in files}


def _run_on_cluster(case: Case, inputs: Path) -> dict[str, bytes]:
    output = f"/out/{case.name}"
    _run(case, inputs, output, "cluster")
    with dfs.connect() as fs:
        files = [f"{folder}/{name}" for folder, _, names in fs.walk(output) for name in names]
        return {path.removeprefix(f"{output}/"): fs.read_bytes(path) for path in files}


def _run(case: Case, inputs: Path, output: str, runner: str) -> None:
    paths = [str(inputs / name) for name in case.inputs]
    case.job().run(paths, output, runner, case.settings)
