"""``minimr counters``."""

from __future__ import annotations

import click

from cli.invocation import Invocation, common, invocation
from cli.jobs.ask import job_report
from cli.render import json_line, table
from dfs.errors import NotFound


@click.command("counters")
@click.argument("job", metavar="JOB")
@click.argument("which", metavar="[GROUP[:NAME]]", required=False)
@common
@invocation
def command(call: Invocation, job: str, which: str | None) -> None:
    """Show what a job has counted; of one counter, GROUP:NAME, the number alone."""
    report = job_report(call, job)
    found = report.counters
    group, colon, name = (which or "").partition(":")
    if which is not None:
        if group not in found:
            raise NotFound(f"{report.job} has no counters in the group {group!r}")
        found = {group: found[group]}
    if colon:
        if name not in found[group]:
            raise NotFound(f"{report.job} has no counter {which!r}")
        found = {group: {name: found[group][name]}}
    if call.json:
        click.echo(json_line({"job": report.job, "counters": found}))
    elif colon:
        click.echo(found[group][name])
    else:
        rows = [
            (f"{one}:{counter}", str(count))
            for one, counts in found.items()
            for counter, count in counts.items()
        ]
        for line in table(rows, frozenset({1})):
            click.echo(line)
