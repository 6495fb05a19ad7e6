"""``minimr events``."""

from __future__ import annotations

import time

import click

from cli.invocation import Invocation, common, invocation
from cli.jobs.ask import events
from cli.jobs.story import event_fields, event_line
from cli.render import json_line

FOLLOW_PAUSE_S = 1.0


@click.command("events")
@click.argument("job", metavar="JOB")
@click.option("-f", "follow", is_flag=True, help="Go on with what happens, until the job ends.")
@common
@invocation
def command(call: Invocation, job: str, follow: bool) -> None:
    """Show what happened to a job, its tasks and their attempts. Times are UTC."""
    cursor = 0
    while True:
        for page in events(call, job, cursor=cursor):
            for event in page.events:
                click.echo(json_line(event_fields(event)) if call.json else event_line(event))
            job, cursor = page.job, page.cursor
        if page.ended or not follow:
            return
        time.sleep(FOLLOW_PAUSE_S)
