"""``minidfs mv``."""

from __future__ import annotations

import click

from cli.errors import Failures
from cli.files.operands import (
    Source,
    expand,
    find,
    is_folder_target,
    joined,
    need_name,
)
from cli.invocation import Invocation, common, invocation
from dfs.errors import BadArgument, NotFound


@click.command("mv")
@click.argument("sources", metavar="SRC...", nargs=-1, required=True)
@click.argument("target", metavar="DST")
@click.option("-f", "force", is_flag=True, help="Replace existing files.")
@common
@invocation
def command(call: Invocation, sources: tuple[str, ...], target: str, force: bool) -> None:
    """Give files and directories another name, or another directory if DST is one."""
    fs, path = call.locate(target)
    found = find(fs, path)
    failures = Failures(call)
    for operand in sources:
        with failures.collect():
            matches = expand(call, operand)
            into = is_folder_target(found, target, max(len(sources), len(matches)))
            if into and found is None:
                raise NotFound(f"no such directory: {path}: make it with 'minidfs mkdir'", path)
            for source in matches:
                _move(source, Source(fs, path), into, force)
    failures.finish()


def _move(source: Source, target: Source, into: bool, force: bool) -> None:
    if source.fs is not target.fs:
        raise BadArgument(f"{source.path} is in another cluster: copy it", source.path)
    path = joined(target.path, need_name(source.name, source.path)) if into else target.path
    target.fs.rename(source.path, path, overwrite=force)
