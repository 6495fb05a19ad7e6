"""``minidfs du``: how much lies where."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from cli.errors import Failures
from cli.files.operands import expand
from cli.invocation import Invocation, common, invocation
from cli.render import human_size, json_line
from dfs.wire.admin import FolderUsage, GetUsage, UsagePage

if TYPE_CHECKING:
    from dfs.client.client import Client


@click.command("du")
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@click.option("-s", "total", is_flag=True, help="One line for each PATH, with its bytes.")
@click.option("-h", "human", is_flag=True, help="Sizes as 1.5K, 12M.")
@common
@invocation
def command(call: Invocation, paths: tuple[str, ...], total: bool, human: bool) -> None:
    """Show the bytes in each directory below each PATH ('/' without one), and on disk.

    The first number is what the files hold, the second what this takes on the datanodes with
    all copies. With -s only the sum of each PATH, without the second number.
    """
    failures = Failures(call)
    for operand in paths or ("/",):
        with failures.collect():
            for source in expand(call, operand):
                for folder in sums(_pages(source.fs, source.path), total):
                    _show(call, folder, total, human)
    failures.finish()


def _show(call: Invocation, folder: FolderUsage, total: bool, human: bool) -> None:
    if call.json:
        fields = {
            "path": folder.path,
            "size": folder.size,
            "stored": folder.stored,
            "files": folder.files,
            "directories": folder.directories,
        }
        click.echo(json_line(fields))
        return
    sizes = (folder.size,) if total else (folder.size, folder.stored)
    shown = [human_size(size) if human else str(size) for size in sizes]
    click.echo("  ".join([*shown, folder.path]))


def _pages(fs: Client, path: str) -> Iterator[UsagePage]:
    after, more = "", True
    while more:
        page = fs.run(fs.namenode.ask(GetUsage(path, after)))
        assert isinstance(page, UsagePage), page
        yield page
        more, after = page.more, page.after


def sums(pages: Iterable[UsagePage], total: bool) -> Iterator[FolderUsage]:
    """Each directory with all below it, when it is complete: those inside it come first.

    ``total``: only the topmost. Only the directories from there to the one that is being read
    are held.
    """
    open_folders: list[FolderUsage] = []
    for page in pages:
        for here in page.folders:
            while open_folders and not _holds(open_folders[-1].path, here.path):
                yield from _close(open_folders, total)
            if open_folders and open_folders[-1].path == here.path:
                open_folders[-1] = _added(open_folders[-1], here)
            else:
                open_folders.append(here)
    while open_folders:
        yield from _close(open_folders, total)


def _close(open_folders: list[FolderUsage], total: bool) -> Iterator[FolderUsage]:
    done = open_folders.pop()
    if open_folders:
        open_folders[-1] = _added(open_folders[-1], done)
    if not total or not open_folders:
        yield done


def _holds(folder: str, path: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _added(to: FolderUsage, more: FolderUsage) -> FolderUsage:
    return FolderUsage(
        to.path,
        to.files + more.files,
        to.directories + more.directories,
        to.size + more.size,
        to.stored + more.stored,
    )
