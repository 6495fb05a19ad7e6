"""``minidfs admin safemode``: no deletion, no repair, and switched on no change at all."""

from __future__ import annotations

import click

from cli.admin.ask import ask, wait_for_safe_mode
from cli.invocation import Invocation, common, invocation
from cli.render import json_line
from dfs.wire.admin import SafeModeIs, SetSafeMode

WANTED = {"get": "", "enter": "on", "leave": "off"}


@click.command("safemode")
@click.argument("what", type=click.Choice([*WANTED, "wait"]), metavar="get|enter|leave|wait")
@common
@invocation
def command(call: Invocation, what: str) -> None:
    """Show or switch safe mode.

    'get' prints on or off. 'enter' makes the cluster read-only until 'leave', or until the
    namenode starts again. 'wait' returns when safe mode is off, within --timeout.
    """
    fs = call.client()
    if what == "wait":
        safe = wait_for_safe_mode(fs, call.timeout_ns, manual_too=True)
    else:
        safe = ask(fs, SetSafeMode(WANTED[what]), SafeModeIs)
    state = "on" if safe.is_on else "off"
    if call.json:
        click.echo(json_line({"safe_mode": state, "reason": safe.text or None}))
        return
    click.echo(state)
    if call.verbose and safe.text:
        click.echo(safe.text)
