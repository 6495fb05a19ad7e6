"""``minimr wait``."""

from __future__ import annotations

import click

from cli.invocation import Invocation, common, invocation
from cli.jobs.ask import watch
from cli.jobs.reports import job_fields
from cli.render import json_line
from dfs.errors import JobKilled
from dfs.limits import SECOND_NS
from mapreduce.errors import JobFailed
from mapreduce.wire import JobReport, JobState

WAIT_NS = 2 * SECOND_NS
"""Shorter than a client waits for an answer."""


@click.command("wait")
@click.argument("job", metavar="JOB")
@common
@invocation
def command(call: Invocation, job: str) -> None:
    """Wait for the end of a job; ends with 10 when it failed and 11 when it was killed."""
    news = watch(call, job, 0, 0)
    while not news.report.state.is_final:
        news = watch(call, news.report.job, news.cursor, WAIT_NS)
    report = news.report
    if call.json:
        click.echo(json_line(job_fields(report)))
    else:
        click.echo(f"{report.job} {report.state}")
    raise_unless_succeeded(report)


def raise_unless_succeeded(report: JobReport) -> None:
    """Raise JobFailed or JobKilled for a job that has ended so."""
    if report.state is JobState.FAILED:
        raise JobFailed(report.error or f"{report.job} failed", report.job)
    if report.state is JobState.KILLED:
        raise JobKilled(f"{report.job} was killed")
