"""``minidfs events``: what happened, a line each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import repeat

import click

from cli.admin.ask import ask
from cli.invocation import Invocation, common, invocation
from cli.render import full_time, json_line, rfc3339
from dfs.errors import DeadlineExceeded, Unavailable
from dfs.wire.admin import EventPage, GetEvents, Happening

END = object()
FOLLOW_PAUSE_S = 1.0
SECONDS_CHARS = len("2026-11-21 05:57:01")


@click.command("events")
@click.option("-f", "follow", is_flag=True, help="Go on with what happens, until Ctrl-C.")
@common
@invocation
def command(call: Invocation, follow: bool) -> None:
    """Show what happened since the namenode started: nodes, repairs, jobs. Times are UTC."""
    fs = call.client()
    pauses = repeat(FOLLOW_PAUSE_S) if follow else ()
    for happening in told(lambda question: ask(fs, question, EventPage), map(time.sleep, pauses)):
        _show(call, happening)


def told(read: Callable[[GetEvents], EventPage], pauses: Iterator[None]) -> Iterator[Happening]:
    """What happened, and what happens as long as there are ``pauses`` to wait between questions.

    Once the namenode has answered, one that is away is waited for: it restarts, and what it then
    tells begins anew. Else raises what ``read`` raises.
    """
    question = GetEvents()
    while True:
        try:
            page = read(question)
        except (Unavailable, DeadlineExceeded):
            if not question.boot or not _waited(pauses):
                raise
            continue
        yield from page.happenings
        last = page.happenings[-1].sequence if page.happenings else question.after
        question = GetEvents(page.boot, last)
        if not page.more and not _waited(pauses):
            return


def _waited(pauses: Iterator[None]) -> bool:
    return next(pauses, END) is not END


def _show(call: Invocation, happening: Happening) -> None:
    if call.json:
        fields = {"time": rfc3339(happening.wall_ns), "event": happening.text}
        click.echo(json_line(fields))
    else:
        click.echo(f"{full_time(happening.wall_ns)[:SECONDS_CHARS]}  {happening.text}")
