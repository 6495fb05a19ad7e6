"""``minidfs rm``."""

from __future__ import annotations

from contextlib import suppress

import click

from cli.errors import Failures
from cli.files.operands import Source, expand
from cli.invocation import Invocation, common, invocation
from dfs.errors import IsADirectory, NotFound


@click.command("rm")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option("-r", "-R", "recursive", is_flag=True, help="Directories with all they hold.")
@click.option("-f", "force", is_flag=True, help="What does not exist is no error.")
@click.option(
    "--skip-trash",
    is_flag=True,
    expose_value=False,
    help="Delete for good, as every deletion does while there is no trash.",
)
@common
@invocation
def command(call: Invocation, paths: tuple[str, ...], recursive: bool, force: bool) -> None:
    """Delete files, and with -r directories."""
    failures = Failures(call)
    for operand in paths:
        with failures.collect(), suppress(*((NotFound,) if force else ())):
            for source in expand(call, operand):
                _remove(source, recursive)
    failures.finish()


def _remove(source: Source, recursive: bool) -> None:
    if not recursive and source.fs.stat(source.path).is_dir:
        raise IsADirectory(
            f"{source.path} is a directory: -r deletes it with all it holds", source.path
        )
    source.fs.remove(source.path, recursive=recursive)
