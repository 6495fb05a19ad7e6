"""``minimr why``."""

from __future__ import annotations

import click

from cli.invocation import Invocation, common, invocation
from cli.jobs.ask import events
from cli.jobs.story import event_fields, task_story
from cli.render import json_line
from dfs.errors import BadArgument, NotFound
from mapreduce.wire import parse_task


@click.command("why")
@click.argument("job", metavar="JOB")
@click.argument("task", metavar="TASK")
@common
@invocation
def command(call: Invocation, job: str, task: str) -> None:
    """Tell the story of one task: where each attempt ran and why there, and how it ended."""
    name = task_named(task)
    pages = list(events(call, job, name))
    found = [event for page in pages for event in page.events]
    if not any(event.attempt for event in found):
        shown = f"'minimr tasks {pages[0].job}' shows its tasks"
        raise NotFound(f"no attempt at {name} of {pages[0].job} was started: {shown}")
    if call.json:
        for event in found:
            click.echo(json_line(event_fields(event)))
        return
    for line in task_story(name, found):
        click.echo(line)


def task_named(text: str) -> str:
    """A task's name in its one spelling, ``m-00017`` for ``m-17``; raises BadArgument."""
    named = parse_task("", text)
    if named.attempt:
        raise BadArgument(f"{text!r} is an attempt: its task is {named.task}")
    return named.task
