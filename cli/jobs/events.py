"""``minimr events``."""

from __future__ import annotations

import click

from cli.invocation import Invocation, common, invocation
from cli.jobs.ask import events
from cli.jobs.story import event_fields, event_line
from cli.render import json_line


@click.command("events")
@click.argument("job", metavar="JOB")
@click.option("-f", "follow", is_flag=True, help="Go on with what happens, until the job ends.")
@common
@invocation
def command(call: Invocation, job: str, follow: bool) -> None:
    """Show what happened to a job, its tasks and their attempts. Times are UTC."""
    for page in events(call, job, follow=follow):
        for event in page.events:
            click.echo(json_line(event_fields(event)) if call.json else event_line(event))
