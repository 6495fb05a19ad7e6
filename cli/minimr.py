"""The command ``minimr``: jobs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import ClassVar, NoReturn

import click

from cli.errors import run
from cli.invocation import common
from cli.lazy import LazyGroup, Verb


class MinimrGroup(LazyGroup):
    """All verbs of ``minimr``."""

    verbs: ClassVar[Mapping[str, Verb]] = {
        "run": Verb("cli.jobs.run", "run a job and wait for its end"),
        "list": Verb("cli.jobs.listing", "the jobs that have not ended, or all"),
        "status": Verb("cli.jobs.status", "how a job is"),
        "wait": Verb("cli.jobs.wait", "wait for the end of a job"),
        "kill": Verb("cli.jobs.kill", "end a job; nothing of its output remains"),
        "tasks": Verb("cli.jobs.tasks", "the tasks of a job"),
        "counters": Verb("cli.jobs.counters", "what a job has counted"),
        "logs": Verb("cli.jobs.logs", "what the tasks of a job printed"),
        "events": Verb("cli.jobs.events", "what happened to a job, a line each"),
        "why": Verb("cli.jobs.why", "the story of one task: each attempt, where and why there"),
        "workers": Verb("cli.jobs.workers", "the workers and what they run"),
        "worker": Verb("cli.cluster.roles", "run a worker in the foreground", "worker"),
    }


@click.command(cls=MinimrGroup, context_settings={"max_content_width": 100})
@common
def minimr() -> None:
    """Jobs on a minidfs cluster, or in this process.

    JOB is an id such as j-20261121-0001, a unique beginning of one, or @last.
    """


def run_job_file(path: str, arguments: Sequence[str]) -> int:
    """``minimr run PATH ARGUMENTS``; returns the exit code. For job files that are run."""
    return run(minimr, ["run", path, *arguments], "minimr")


def main() -> NoReturn:
    """The console script."""
    sys.exit(run(minimr, sys.argv[1:], "minimr"))


if __name__ == "__main__":
    main()
