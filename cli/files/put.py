"""``minidfs put``: local files into the cluster."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.errors import Failures
from cli.files.copying import copy_all, copy_options
from cli.files.operands import Source, find, is_folder_target, joined, need_name
from cli.invocation import SIZE, Invocation, common, invocation
from cli.render import json_line
from dfs.errors import BadArgument, IsADirectory

if TYPE_CHECKING:
    from dfs.client.entries import Stored
    from dfs.client.options import FileKeywords

STDIN = "-"


@dataclass(frozen=True, slots=True)
class HowToStore:
    """What was asked for the new files, and who is told of each one that is stored."""

    options: FileKeywords
    overwrite: bool
    recursive: bool
    report: Callable[[Stored], None]


@click.command("put")
@click.argument("sources", metavar="LOCAL...", nargs=-1, required=True)
@click.argument("target", metavar="DFS")
@copy_options
@click.option("--replication", type=click.IntRange(1), default=None, metavar="R", help="Copies.")
@click.option("--chunk-size", type=SIZE, metavar="S", help="Largest size of a chunk.")
@click.option(
    "--min-durable",
    type=click.IntRange(1),
    metavar="N",
    help="Copies that must be on disk before a file counts as stored.",
)
@common
@invocation
def command(
    call: Invocation,
    /,
    sources: tuple[str, ...],
    target: str,
    parallel: int,
    **options: int | None,
) -> None:
    """Copy local files to DFS; '-' is stdin. Missing parents are made."""
    chosen: FileKeywords = {
        "replication": options["replication"],
        "chunk_size": options["chunk_size"],
        "min_durable": options["min_durable"],
    }
    how = HowToStore(
        chosen, bool(options["force"]), bool(options["recursive"]), partial(_report, call)
    )
    fs, path = call.locate(target)
    found = find(fs, path)
    into = is_folder_target(found, target, len(sources))
    failures = Failures(call)
    if STDIN in sources:
        if found is not None and found.is_dir:
            raise IsADirectory(f"{path} is a directory: name the file that stdin becomes", path)
        if into:
            raise BadArgument("stdin has no name: name the one file it becomes", target)
        how.report(fs.put_stream(sys.stdin.buffer, path, overwrite=how.overwrite, **how.options))
        return
    copies = _all_copies(sources, Source(fs, path), into, how, failures)
    copy_all(copies, parallel, failures)
    failures.finish()


def _all_copies(
    sources: tuple[str, ...], target: Source, into: bool, how: HowToStore, failures: Failures
) -> Iterator[Callable[[], object]]:
    """The copies of all operands; what is wrong with one of them does not stop the others."""
    for source in sources:
        with failures.collect(counts=False):
            place = target
            if into:
                name = need_name(Path(source).resolve().name, source)
                place = Source(target.fs, joined(target.path, name))
            if not os.path.isdir(source):
                yield partial(_put_file, Path(source), place, how)
            elif how.recursive:
                yield from _tree(Path(source), place, how, failures)
            else:
                raise IsADirectory(f"{source} is a directory: -r copies it", source)


def _tree(
    top: Path, place: Source, how: HowToStore, failures: Failures
) -> Iterator[Callable[[], object]]:
    """The copies that make up a directory; its directories are made on the way."""
    todo = [(top, place.path)]
    while todo:
        folder, path = todo.pop()
        place.fs.mkdir(path, parents=True, exist_ok=True)
        with failures.collect(counts=False):
            for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
                child = joined(path, entry.name)
                if entry.is_dir(follow_symlinks=False):
                    todo.append((Path(entry.path), child))
                else:
                    yield partial(_put_file, Path(entry.path), Source(place.fs, child), how)


def _put_file(source: Path, place: Source, how: HowToStore) -> None:
    if source.is_dir():
        raise IsADirectory(f"{source} is a link to a directory: name the directory", str(source))
    how.report(place.fs.put(str(source), place.path, overwrite=how.overwrite, **how.options))


def _report(call: Invocation, stored: Stored) -> None:
    """With --json or -v: on how many disks and hosts the file is. Else silence is success."""
    path, copies, hosts = stored.entry.path, stored.durable, stored.hosts
    if call.json:
        fields = {"path": path, "size": stored.entry.size, "durable": copies, "hosts": hosts}
        click.echo(json_line(fields))
    elif call.verbose:
        number = "1 copy" if copies == 1 else f"{copies} copies"
        where = "1 host" if hosts == 1 else f"{hosts} hosts"
        click.echo(f"{path}: {number} on disk, on {where}", err=True)
