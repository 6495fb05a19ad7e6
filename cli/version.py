"""``minidfs version``."""

from __future__ import annotations

import platform

import click

from cli.invocation import Invocation, common, invocation
from cli.render import json_line
from dfs.version import VERSION


@click.command("version")
@common
@invocation
def command(call: Invocation) -> None:
    """Say which version this is, and of what it is made."""
    own, python = VERSION, platform.python_version()
    if call.json:
        click.echo(json_line({"version": own, "python": python}))
    else:
        click.echo(f"minidfs {own} (Python {python})")
