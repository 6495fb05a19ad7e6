"""Reading the namespace: paths to inodes, entries, listings, chunks of a file.

Pure functions of a table. Nothing here changes anything; ``changes`` decides.
"""

from __future__ import annotations

from typing import NamedTuple

from dfs.errors import NotADirectory, NotFound
from dfs.limits import LISTING_MAX_ROWS
from dfs.namenode.keys import (
    ROOT,
    ChunkRow,
    EntryRow,
    InodeRow,
    LeaseRow,
    entry_key,
    entry_name,
    get_row,
    load_row,
    number_key,
    number_of,
    pair_key,
    second_of,
)
from dfs.namenode.table import Table, scan_prefix
from dfs.paths import RESERVED, child_path, join_path, split_path
from dfs.wire.namespace import Entry


class Place(NamedTuple):
    """Where a path leads: its parent directory, its name, and what is there (None: nothing)."""

    path: str
    parent: int
    name: str
    entry: EntryRow | None

    @property
    def is_root(self) -> bool:
        """The root has no parent and no name."""
        return self.name == ""


_ROOT_ENTRY = EntryRow(ROOT, True, 0)


def find_deepest(table: Table, path: str) -> tuple[Place, tuple[str, ...]]:
    """Walk down a path as far as it exists.

    Returns the place of the last component that could be looked at, and the names that
    are missing *behind* its parent: () when the place is the path itself (which may be
    empty), else the rest below the missing place. Raises ``NotADirectory``.
    """
    names = split_path(path)
    if not names:
        return Place("/", 0, "", _ROOT_ENTRY), ()
    parent = ROOT
    for depth, name in enumerate(names):
        entry = get_row(table, "entries", entry_key(parent, name), EntryRow)
        rest = names[depth + 1 :]
        here = join_path(names[: depth + 1])
        if entry is None or not rest:
            return Place(here, parent, name, entry), rest
        if not entry.is_dir:
            raise NotADirectory(f"{here} is a file, so {join_path(names)} cannot exist", here)
        parent = entry.inode
    raise AssertionError(path)


def find_place(table: Table, path: str) -> Place:
    """The place of a path whose parent must exist. Raises ``NotFound``, ``NotADirectory``."""
    place, rest = find_deepest(table, path)
    if rest:
        raise NotFound(f"{place.path}: no such directory", place.path)
    return place


def find_entry(table: Table, path: str) -> tuple[Place, EntryRow]:
    """The place of a path that must exist. Raises ``NotFound``, ``NotADirectory``."""
    place, rest = find_deepest(table, path)
    if rest or place.entry is None:
        whole = join_path(split_path(path))
        raise NotFound(f"{whole}: no such file or directory", whole)
    return place, place.entry


def inode_row(table: Table, inode: int) -> InodeRow:
    """The row of an inode that an entry or lease names: it exists."""
    row = get_row(table, "inodes", number_key(inode), InodeRow)
    assert row is not None, f"inode {inode} is named and has no row"
    return row


def is_attached(table: Table, inode: int) -> bool:
    """Does this directory still hang on the root, or was it or one above it removed?"""
    while inode != ROOT:
        key = number_key(inode)
        row = get_row(table, "inodes", key, InodeRow)
        if row is None or table.get("reap", key) is not None:
            return False
        inode = row.parent
    return True


def is_named(table: Table, inode: int) -> bool:
    """Does this file still have its name, or was it or a directory above it removed?"""
    row = inode_row(table, inode)
    entry = get_row(table, "entries", entry_key(row.parent, row.name), EntryRow)
    return entry is not None and entry.inode == inode and is_attached(table, row.parent)


def path_in(table: Table, parent: int, name: str) -> str:
    """The path of a name in a directory as that is called now."""
    names = [name]
    while parent != ROOT:
        row = inode_row(table, parent)
        names.append(row.name)
        parent = row.parent
    return join_path(tuple(reversed(names)))


def describe(path: str, inode: int, row: InodeRow, open_file: bool = False) -> Entry:
    """The entry that a caller sees."""
    return Entry(
        path=path,
        is_dir=row.is_dir,
        size=row.size,
        mtime_ns=row.mtime_ns,
        replication=row.replication,
        chunk_bytes=row.chunk_bytes,
        owner=row.owner,
        group=row.group,
        mode=row.mode,
        inode=inode,
        digest=row.digest,
        under_construction=open_file,
    )


def stat(table: Table, path: str) -> Entry:
    """The entry at a path."""
    place, entry = find_entry(table, path)
    return describe(place.path, entry.inode, inode_row(table, entry.inode))


def list_directory(table: Table, path: str, after: str) -> tuple[list[Entry], bool]:
    """A page of a directory's entries by name, and whether there are more.

    Of a file: the file itself. The root's reserved names are left out.
    """
    place, entry = find_entry(table, path)
    if not entry.is_dir:
        return [describe(place.path, entry.inode, inode_row(table, entry.inode))], False
    prefix = number_key(entry.inode)
    found: list[Entry] = []
    start = prefix + after.encode() + b"\0" if after else prefix
    for key, value in scan_prefix(table, "entries", prefix, start):
        name = entry_name(key)
        if entry.inode == ROOT and name in RESERVED:
            continue
        if len(found) == LISTING_MAX_ROWS:
            return found, True
        child = load_row(EntryRow, value)
        found.append(
            describe(child_path(place.path, name), child.inode, inode_row(table, child.inode))
        )
    return found, False


def file_chunks(
    table: Table, inode: int, offset: int, end: int, limit: int
) -> tuple[list[tuple[int, ChunkRow]], bool]:
    """(start, chunk) of the chunks that cover ``offset`` to ``end``, and whether there are more."""
    below = pair_key(inode, offset + 1)
    first = table.last("chunks", below)
    start = pair_key(inode, offset)
    if first is not None and number_of(first[0]) == inode:
        start = first[0]
    rows = table.scan("chunks", start, limit + 1)
    found: list[tuple[int, ChunkRow]] = []
    for key, value in rows:
        at = second_of(key)
        if number_of(key) != inode or at >= end:
            return found, False
        if len(found) == limit:
            return found, True
        row = load_row(ChunkRow, value)
        if at + row.length > offset:
            found.append((at, row))
    return found, False


def lease_row(table: Table, inode: int) -> LeaseRow | None:
    """The lease of a file that somebody writes."""
    return get_row(table, "leases", number_key(inode), LeaseRow)
