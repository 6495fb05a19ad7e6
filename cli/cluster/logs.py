"""``minidfs logs``: what the processes of this machine print."""

from __future__ import annotations

import time

import click

from cli.invocation import Invocation, common, invocation
from cli.render import json_line
from dfs.errors import NotFound
from dfs.limits import LOG_LOOK_NS, SECOND_NS
from dfs.local.layout import Home, keeper_of
from dfs.local.log_reading import LogLine, Logs, logged_ids

LINES_DEFAULT = 100


@click.command("logs")
@click.option("-f", "follow", is_flag=True, help="Go on with what is added, until Ctrl-C.")
@click.option(
    "-n", "lines", type=click.IntRange(0), default=LINES_DEFAULT, show_default=True, metavar="N",
    help="So many of the last lines.",
)  # fmt: skip
@click.argument("given", required=False, metavar="[ID]")
@common
@invocation
def command(call: Invocation, given: str | None, lines: int, follow: bool) -> None:
    """Show a process's log; without ID those of all processes here, in the order of time.

    ID is as in status; node-1 is datanode-1, worker-1 and their keeper, keeper that of the
    namenode. Processes that were started in the foreground print there and have no log.
    """
    home = Home(call.home)
    logs = Logs(home, _meant(home, given))
    _show(call, logs.last(lines))
    while follow:
        time.sleep(LOG_LOOK_NS / SECOND_NS)
        _show(call, logs.new())


def _meant(home: Home, given: str | None) -> list[str]:
    """The logs to show; raises NotFound."""
    there_are = logged_ids(home)
    if not there_are:
        raise NotFound(
            f"no process has a log in {home.logs}: 'minidfs up' starts processes that have one",
            str(home.logs),
        )
    if given is None:
        return there_are
    meant = [name for name in there_are if given == name or _keeps(given, name)]
    if not meant:
        raise NotFound(f"there is no log of {given!r}: it can be {', '.join(there_are)}")
    return meant


def _keeps(given: str, name: str) -> bool:
    return given.startswith("node-") and keeper_of(name) == given


def _show(call: Invocation, lines: list[LogLine]) -> None:
    for line in lines:
        if call.json:
            fields = {"id": line.process_id, "time": line.time or None, "text": line.text}
            click.echo(json_line(fields))
        else:
            click.echo(line.text)
