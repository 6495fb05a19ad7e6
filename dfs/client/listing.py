"""Questions whose answers come in pages, asked to the end."""

from __future__ import annotations

from collections.abc import Sequence

from dfs.client.effects import Operation
from dfs.client.namenode import Namenode
from dfs.limits import STAT_MAX_PATHS
from dfs.wire.admin import FolderUsage, GetUsage, UsagePage
from dfs.wire.lookup import FoundMany, StatMany
from dfs.wire.namespace import (
    Entry,
    Glob,
    List,
    Listing,
    Locate,
    Located,
    LocatedChunk,
)


def list_directory(namenode: Namenode, path: str) -> Operation[list[Entry]]:
    """All entries of a directory, by name; of a file the file itself."""
    entries: list[Entry] = []
    after, more = "", True
    while more:
        page = yield from namenode.ask(List(path, after))
        assert isinstance(page, Listing), page
        entries += page.entries
        more = page.more and bool(page.entries)
        after = entries[-1].path.rpartition("/")[2] if entries else ""
    return entries


def stat_many(namenode: Namenode, paths: Sequence[str]) -> Operation[list[Entry | None]]:
    """What is at each of these paths; None where nothing is."""
    entries: list[Entry | None] = []
    while len(entries) < len(paths):
        page = tuple(paths[len(entries) :][:STAT_MAX_PATHS])
        found = yield from namenode.ask(StatMany(page))
        assert isinstance(found, FoundMany), found
        entries += found.entries
    return entries


def glob(namenode: Namenode, pattern: str) -> Operation[list[Entry]]:
    """All entries that match a pattern, by path."""
    entries: list[Entry] = []
    after, more = "", True
    while more:
        page = yield from namenode.ask(Glob(pattern, after))
        assert isinstance(page, Listing), page
        entries += page.entries
        more, after = page.more, page.after
    return entries


def locate_all(namenode: Namenode, path: str) -> Operation[list[LocatedChunk]]:
    """All chunks of a file, in order, of one version of it."""
    chunks: list[LocatedChunk] = []
    offset, inode, more = 0, 0, True
    while more:
        page = yield from namenode.ask(Locate(path, offset, -1, inode))
        assert isinstance(page, Located), page
        chunks += page.chunks
        inode = page.entry.inode
        more = page.more and bool(page.chunks)
        offset = chunks[-1].start + chunks[-1].length if chunks else 0
    return chunks


def usage(namenode: Namenode, path: str) -> Operation[list[FolderUsage]]:
    """What each directory at and below a path holds itself; of a file, the file."""
    folders: list[FolderUsage] = []
    after, more = "", True
    while more:
        page = yield from namenode.ask(GetUsage(path, after))
        assert isinstance(page, UsagePage), page
        folders += page.folders
        more, after = page.more, page.after
    return folders
