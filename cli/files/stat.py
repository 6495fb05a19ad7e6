"""``minidfs stat``: what is known of a file or directory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli.errors import Failures
from cli.files.entries import entry_fields, formatted
from cli.files.operands import expand
from cli.invocation import Invocation, common, invocation
from cli.render import json_line

if TYPE_CHECKING:
    from dfs.client.entries import Entry

WHOLE = """\
  path: %n
  type: %F
  size: %s
 owner: %U:%G
  mode: %a
  time: %y"""


@click.command("stat")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option(
    "-c",
    "form",
    metavar="FORMAT",
    help="%n path, %s size, %F type, %y time, %U owner, %G group, %a mode, %r replication,"
    " %o chunk size.",
)
@common
@invocation
def command(call: Invocation, paths: tuple[str, ...], form: str | None) -> None:
    """Show what is known of each PATH."""
    failures = Failures(call)
    for operand in paths:
        with failures.collect():
            for source in expand(call, operand):
                _show(source.fs.stat(source.path), form, call.json)
    failures.finish()


def _show(entry: Entry, form: str | None, as_json: bool) -> None:
    if as_json:
        click.echo(json_line(entry_fields(entry)))
    elif form is not None:
        click.echo(formatted(entry, form, entry.path))
    else:
        click.echo(formatted(entry, WHOLE, entry.path))
        if not entry.is_dir:
            click.echo(formatted(entry, "copies: %r\n chunk: %o", entry.path))
