"""``minimr list``."""

from __future__ import annotations

import time

import click

from cli.invocation import Invocation, common, invocation
from cli.jobs.ask import jobs
from cli.jobs.reports import HEADER, job_fields, job_row
from cli.render import json_line, table


@click.command("list")
@click.option("--all", "ended_too", is_flag=True, help="Jobs that have ended too.")
@common
@invocation
def command(call: Invocation, ended_too: bool) -> None:
    """List the jobs that have not ended, the newest first."""
    found = jobs(call, ended_too)
    if call.json:
        for report in found:
            click.echo(json_line(job_fields(report)))
        return
    now_ns = time.time_ns()
    for line in table([HEADER, *(job_row(report, now_ns) for report in found)]):
        click.echo(line)
