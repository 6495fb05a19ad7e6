"""``minidfs events``: what happened, a line each."""

from __future__ import annotations

import time

import click

from cli.admin.ask import ask
from cli.invocation import Invocation, common, invocation
from cli.render import full_time, json_line, rfc3339
from dfs.errors import DeadlineExceeded, Unavailable
from dfs.wire.admin import EventPage, GetEvents, Happening

FOLLOW_PAUSE_S = 1.0
SECONDS_CHARS = len("2026-11-21 05:57:01")


@click.command("events")
@click.option("-f", "follow", is_flag=True, help="Go on with what happens, until Ctrl-C.")
@common
@invocation
def command(call: Invocation, follow: bool) -> None:
    """Show what happened since the namenode started: nodes, repairs, jobs. Times are UTC."""
    fs = call.client()
    boot, after = 0, 0
    while True:
        try:
            page = ask(fs, GetEvents(boot, after), EventPage)
        except (Unavailable, DeadlineExceeded):
            if not follow or not boot:
                raise
            time.sleep(FOLLOW_PAUSE_S)  # it restarts; what it then tells begins anew
            continue
        for happening in page.happenings:
            _show(call, happening)
        boot = page.boot
        after = page.happenings[-1].sequence if page.happenings else after
        if page.more:
            continue
        if not follow:
            return
        time.sleep(FOLLOW_PAUSE_S)


def _show(call: Invocation, happening: Happening) -> None:
    if call.json:
        fields = {"time": rfc3339(happening.wall_ns), "event": happening.text}
        click.echo(json_line(fields))
    else:
        click.echo(f"{full_time(happening.wall_ns)[:SECONDS_CHARS]}  {happening.text}")
