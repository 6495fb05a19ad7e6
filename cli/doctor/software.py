"""Python, the packages and the libraries in them.

Compiled libraries are imported in a child process: one that does not fit the machine takes the
process down with it.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

from cli.cluster.programs import JOBS_MISSING, jobs_possible
from cli.doctor.verdict import Check, fail, ok, warn
from dfs.version import VERSION

PYTHON_MIN = (3, 11)
PACKAGES = ("pyzmq", "lmdb", "xxhash", "msgspec", "click")
IMPORT_LIMIT_S = 30


class Library(NamedTuple):
    """A compiled library: the code that prints its version, and what helps if that fails."""

    name: str
    code: str
    remedy: str


LIBRARIES = (
    Library("libzmq", "import zmq; print(zmq.zmq_version())", "pip install --force pyzmq"),
    Library(
        "LMDB engine",
        "import lmdb; print('.'.join(map(str, lmdb.version())))",
        "pip install --force 'lmdb>=2.3'",
    ),
)
POLARS = Library(
    "polars", "import polars; print(polars.__version__)", "pip install 'polars[rtcompat]'"
)


def software() -> Iterator[Check]:
    """All checks of what is installed."""
    yield judge_python(sys.version_info[:3])
    yield judge_packages({name: _installed(name) for name in PACKAGES})
    for library in LIBRARIES:
        yield judge_import(library, *_import(library.code))
    if jobs_possible():
        yield judge_import(POLARS, *_import(POLARS.code))
    else:
        yield warn("polars", "is not installed", JOBS_MISSING)


def judge_python(found: tuple[int, int, int]) -> Check:
    """Is the interpreter new enough?"""
    text = ".".join(map(str, found))
    if found[:2] < PYTHON_MIN:
        wanted = ".".join(map(str, PYTHON_MIN))
        return fail("Python", text, f"install Python {wanted} or later")
    return ok("Python", f"{text}, {sys.executable}")


def judge_packages(found: dict[str, str | None]) -> Check:
    """Is everything there that minidfs needs?"""
    missing = [name for name, number in found.items() if number is None]
    if missing:
        return fail("packages", f"missing: {', '.join(missing)}", "pip install minidfs")
    numbers = ", ".join(f"{name} {number}" for name, number in found.items())
    return ok("packages", f"minidfs {VERSION}, {numbers}")


def judge_import(library: Library, status: int, out: str) -> Check:
    """Could a child import it? ``status`` is the child's, ``out`` what it printed."""
    if status == 0:
        return ok(library.name, out)
    if status < 0:
        found = f"the import ended with {signal.Signals(-status).name}"
    else:
        found = f"cannot be imported: {out}"
    return fail(library.name, found, library.remedy)


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _import(code: str) -> tuple[int, str]:
    """Exit status of a child that runs ``code``, and the last line it printed."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", code],
            capture_output=True,
            text=True,
            timeout=IMPORT_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 1, f"it takes more than {IMPORT_LIMIT_S} s"
    lines = (done.stdout + done.stderr).strip().splitlines()
    return done.returncode, lines[-1] if lines else ""
