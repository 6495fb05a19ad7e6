"""The command lines of this program's own processes, and what is installed to run them."""

from __future__ import annotations

import sys
from importlib.util import find_spec

JOB_LIBRARIES = ("polars", "cloudpickle")
JOBS_MISSING = "storage only: jobs need pip install 'minidfs[mapreduce]'"


def program(*arguments: str) -> list[str]:
    """The command line that runs ``minidfs ARGUMENTS`` with this very interpreter."""
    return [sys.executable, "-P", "-m", "cli.minidfs", *arguments]


def worker_program(*arguments: str) -> list[str]:
    """The command line that runs ``minimr ARGUMENTS`` with this very interpreter."""
    return [sys.executable, "-P", "-m", "cli.minimr", *arguments]


def jobs_possible() -> bool:
    """Is the extra ``mapreduce`` installed? Nothing is imported to find out."""
    return all(find_spec(library) is not None for library in JOB_LIBRARIES)
