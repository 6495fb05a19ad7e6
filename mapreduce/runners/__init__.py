"""Runners, which all write the same bytes: `inline` in one process, the reference; `local` in
processes of this machine; `cluster` on the workers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dfs.config_file import locate
from dfs.errors import BadArgument
from mapreduce.job import parse_settings
from mapreduce.result import Result

if TYPE_CHECKING:
    from mapreduce.job_class import Job

RUNNERS = ("inline", "local", "cluster")


def chosen_runner(runner: str | None) -> str:
    """The runner asked for, else MINIMR_RUNNER, else `cluster` if a configuration is found."""
    name = runner or os.environ.get("MINIMR_RUNNER") or _default_runner()
    if name not in RUNNERS:
        raise BadArgument(f"no runner {name!r}: there are {', '.join(RUNNERS)}")
    return name


def _default_runner() -> str:
    return "cluster" if locate(None, os.environ, Path.home()).exists() else "local"


def run(
    job: Job,
    inputs: Sequence[str],
    output: str | None,
    runner: str | None,
    settings: Mapping[str, str | int],
) -> Result:
    """Run a job and wait; raises JobFailed, or what is wrong with the arguments."""
    from mapreduce.worker.process_tree import TAG_VARIABLE

    if TAG_VARIABLE in os.environ:
        raise BadArgument(
            "a task cannot run a job: in the job file, call run() or main() below"
            " `if __name__ == '__main__':`"
        )
    checked = parse_settings(settings)
    name = chosen_runner(runner)
    if name == "cluster":
        from mapreduce.runners import cluster

        return cluster.run(job, inputs, output, checked)
    if name == "local":
        from mapreduce.runners import local
        from mapreduce.runners.submission import Submission

        return local.run(job, inputs, output, Submission(checked))
    from mapreduce.runners import inline

    return inline.run(job, inputs, output, checked)
