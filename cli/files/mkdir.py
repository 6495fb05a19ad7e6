"""``minidfs mkdir``."""

from __future__ import annotations

import click

from cli.errors import Failures
from cli.invocation import Invocation, common, invocation


@click.command("mkdir")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option("-p", "parents", is_flag=True, help="Make parents too; existing ones are fine.")
@common
@invocation
def command(call: Invocation, paths: tuple[str, ...], parents: bool) -> None:
    """Make directories."""
    failures = Failures(call)
    for operand in paths:
        with failures.collect():
            fs, path = call.locate(operand)
            fs.mkdir(path, parents=parents, exist_ok=parents)
    failures.finish()
