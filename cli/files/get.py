"""``minidfs get``: files of the cluster to here."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click

from cli.errors import Failures
from cli.files.cat import copy_out
from cli.files.copying import copy_all, copy_options
from cli.files.operands import Source, expand, need_name
from cli.invocation import Invocation, common, invocation
from dfs.errors import Exists, IsADirectory, NotADirectory

STDOUT = "-"


@dataclass(frozen=True, slots=True)
class HowToGet:
    """Where the copies go and what was allowed; ``sources`` operands were given."""

    target: str
    sources: int
    force: bool
    recursive: bool


@click.command("get")
@click.argument("sources", metavar="DFS...", nargs=-1, required=True)
@click.argument("target", metavar="LOCAL")
@copy_options
@common
@invocation
def command(
    call: Invocation,
    sources: tuple[str, ...],
    target: str,
    force: bool,
    recursive: bool,
    parallel: int,
) -> None:
    """Copy files to LOCAL; '-' is stdout. A file appears when it is complete."""
    failures = Failures(call)
    if target == STDOUT:
        for operand in sources:
            with failures.collect():
                for source in expand(call, operand):
                    copy_out(source, sys.stdout.buffer)
    else:
        how = HowToGet(target, len(sources), force, recursive)
        copy_all(_all_copies(call, sources, how, failures), parallel, failures)
    failures.finish()


def _all_copies(
    call: Invocation, sources: tuple[str, ...], how: HowToGet, failures: Failures
) -> Iterator[Callable[[], object]]:
    """The copies of all operands; what is wrong with one of them does not stop the others."""
    for operand in sources:
        with failures.collect(counts=False):
            matches = expand(call, operand)
            into = _is_folder(how.target, max(how.sources, len(matches)))
            for source in matches:
                place = Path(how.target)
                if into:
                    place.mkdir(exist_ok=True)
                    place /= need_name(source.name, source.path)
                yield from _copies_of(source, place, how)


def _is_folder(target: str, sources: int) -> bool:
    """Do copies go into ``target``?"""
    wanted = target.endswith(os.sep) or sources > 1
    if wanted and os.path.exists(target) and not os.path.isdir(target):
        raise NotADirectory(f"{target} is a file: the destination must be a directory", target)
    return wanted or os.path.isdir(target)


def _copies_of(source: Source, place: Path, how: HowToGet) -> Iterator[Callable[[], object]]:
    """The copies that one file or a whole directory needs."""
    if not source.fs.stat(source.path).is_dir:
        yield partial(_get_file, source, place, how.force)
    elif how.recursive:
        yield from _tree(source, place, how.force)
    else:
        raise IsADirectory(f"{source.path} is a directory: -r copies it", source.path)


def _tree(source: Source, place: Path, force: bool) -> Iterator[Callable[[], object]]:
    """The copies that make up a directory; its directories are made on the way."""
    todo = [(source.path, place)]
    while todo:
        path, folder = todo.pop()
        folder.mkdir(exist_ok=True)
        for entry in source.fs.list(path):
            if entry.is_dir:
                todo.append((entry.path, folder / entry.name))
            else:
                found = Source(source.fs, entry.path)
                yield partial(_get_file, found, folder / entry.name, force)


def _get_file(source: Source, place: Path, force: bool) -> None:
    if place.is_dir():
        raise IsADirectory(f"{place} is a directory and is not replaced by a file", str(place))
    if place.exists() and not force:
        raise Exists(f"{place} exists: -f replaces it", str(place))
    source.fs.get(source.path, str(place), overwrite=force)
