"""``minimr status``."""

from __future__ import annotations

import time

import click

from cli.invocation import Invocation, common, invocation
from cli.jobs.ask import job_report
from cli.jobs.reports import HEADER, job_fields, job_row, locality_line
from cli.render import json_line, table
from mapreduce.wire import JobState

WATCH_PAUSE_S = 1.0


@click.command("status")
@click.argument("job", metavar="JOB")
@click.option("-w", "watching", is_flag=True, help="Show it again each second until it ends.")
@common
@invocation
def command(call: Invocation, job: str, watching: bool) -> None:
    """Show how a job is."""
    while True:
        report = job_report(call, job)
        if call.json:
            click.echo(json_line(job_fields(report)))
        else:
            for line in table([HEADER, job_row(report, time.time_ns())]):
                click.echo(line)
            if report.maps.done:
                click.echo(locality_line(report))
            if report.output and report.state not in (JobState.FAILED, JobState.KILLED):
                click.echo(f"output: {report.output}")
            if report.error:
                click.echo(report.error)
        if not watching or report.state.is_final:
            return
        time.sleep(WATCH_PAUSE_S)
