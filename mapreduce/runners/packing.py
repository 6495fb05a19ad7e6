"""A job's code as the bundle that task processes open."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dfs.errors import BadArgument
from mapreduce import bundle as bundles
from mapreduce.bundle import Bundle
from mapreduce.job_class import Job, source_of


def bundle_of(job: Job, py_files: Sequence[Path]) -> Bundle:
    """The job file with these modules and packages. Raises BadArgument for a job that lies in no
    file, NotFound for a file that is not there."""
    source = source_of(type(job))
    if not source:
        raise BadArgument(
            "the job's code lies in no file: save it as one, or use the runner 'inline'"
        )
    return bundles.build(Path(source), py_files)
