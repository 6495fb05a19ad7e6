"""``minimr kill``."""

from __future__ import annotations

import click

from cli.invocation import Invocation, common, invocation
from cli.jobs.ask import ask, job_report
from dfs.wire.common import Ok
from mapreduce.wire import KillJob


@click.command("kill")
@click.argument("job", metavar="JOB")
@common
@invocation
def command(call: Invocation, job: str) -> None:
    """End a job; nothing of its output remains. A job that has ended stays as it is."""
    report = job_report(call, job)
    ask(call, KillJob(report.job), Ok)
    click.echo(f"{report.job} {job_report(call, report.job).state}")
