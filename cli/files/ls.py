"""``minidfs ls``: names, one a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from cli.errors import Failures
from cli.files.entries import entry_fields, long_row, modified_ns
from cli.files.operands import Source, expand
from cli.invocation import Invocation, common, invocation
from cli.render import json_line, table

if TYPE_CHECKING:
    from dfs.client.entries import Entry

LONG_RIGHT = frozenset({1, 4})
LONG_ROWS_AT_ONCE = 1000
"""Columns are aligned within so many rows, so that a huge directory needs no memory."""


@dataclass(frozen=True, slots=True)
class Look:
    """How entries are chosen, ordered and shown."""

    long: bool
    recursive: bool
    human: bool
    by_time: bool
    by_size: bool
    backward: bool
    itself: bool
    json: bool


@click.command("ls")
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@click.option("-l", "long", is_flag=True, help="Mode, replication, owner, group, size, time.")
@click.option("-R", "recursive", is_flag=True, help="Directories below too.")
@click.option("-h", "human", is_flag=True, help="Sizes as 1.5K, 12M.")
@click.option("-t", "by_time", is_flag=True, help="Newest first.")
@click.option("-S", "by_size", is_flag=True, help="Largest first.")
@click.option("-r", "backward", is_flag=True, help="The other way round.")
@click.option("-d", "itself", is_flag=True, help="Directories themselves, not what they hold.")
@common
@invocation
def command(call: Invocation, /, paths: tuple[str, ...], **options: bool) -> None:
    """List what is at each PATH ('/' without one): of a directory, the names in it."""
    look = Look(**options, json=call.json)
    failures = Failures(call)
    files: list[Entry] = []
    folders: list[tuple[Source, Entry]] = []
    operands = 0
    for operand in paths or ("/",):
        with failures.collect():
            for source in expand(call, operand):
                operands += 1
                entry = source.fs.stat(source.path)
                if entry.is_dir and not look.itself:
                    folders.append((source, entry))
                else:
                    files.append(entry)
    _show([(entry, entry.path) for entry in _ordered(files, look)], look)
    titled = operands > 1 or look.recursive
    for number, (source, entry) in enumerate(folders):
        with failures.collect():
            _show_folder(source, entry.path, look, titled, first=not files and number == 0)
    failures.finish()


def _show_folder(source: Source, path: str, look: Look, titled: bool, first: bool) -> None:
    """One directory, and with ``-R`` those below it, each under its own title."""
    todo = [path]
    while todo:
        folder = todo.pop()
        if titled and not look.json:
            click.echo(f"{'' if first else chr(10)}{folder}:")
        first = False
        entries: Iterable[Entry] = source.fs.list(folder)
        if look.by_time or look.by_size or look.backward:
            entries = _ordered(list(entries), look)
        below: list[str] = []
        _show(_named(entries, below if look.recursive else None), look)
        todo += reversed(below)


def _named(entries: Iterable[Entry], below: list[str] | None) -> Iterator[tuple[Entry, str]]:
    """Entries with their names; directories are noted in ``below``."""
    for entry in entries:
        if entry.is_dir and below is not None:
            below.append(entry.path)
        yield entry, entry.name


def _ordered(entries: list[Entry], look: Look) -> list[Entry]:
    if look.by_size:
        entries.sort(key=lambda entry: (-entry.size, entry.path))
    elif look.by_time:
        entries.sort(key=lambda entry: (-modified_ns(entry), entry.path))
    return entries[::-1] if look.backward else entries


def _show(named: Iterable[tuple[Entry, str]], look: Look) -> None:
    rows: list[tuple[str, ...]] = []
    for entry, name in named:
        if look.json:
            click.echo(json_line(entry_fields(entry)))
        elif look.long:
            rows.append(long_row(entry, name, look.human))
            if len(rows) == LONG_ROWS_AT_ONCE:
                click.echo("\n".join(table(rows, LONG_RIGHT)))
                rows.clear()
        else:
            click.echo(name)
    if rows:
        click.echo("\n".join(table(rows, LONG_RIGHT)))
