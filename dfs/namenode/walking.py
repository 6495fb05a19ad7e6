"""Walking a whole tree in pages: everything at and below a path, in the order of its names.

A directory comes before what is in it. A page begins behind the path at which the last one
ended, whether that is still there or not.
"""

from __future__ import annotations

from collections.abc import Iterator

from dfs.namenode.keys import EntryRow, InodeRow, entry_name, load_row, number_key
from dfs.namenode.namespace import find_entry, inode_row
from dfs.namenode.table import Table, scan_prefix
from dfs.paths import RESERVED, join_path, split_path

Names = tuple[str, ...]

BATCH_ROWS = 16
"""Entries read at once: most directories have few, and what is read behind them is lost work."""


def walk(
    table: Table, path: str, after: str, with_system: bool
) -> Iterator[tuple[str, int, InodeRow]]:
    """(path, inode, row) of all that lies at and below ``path``, behind ``after`` ("": all).

    ``with_system``: the reserved directories of ``/`` too. Raises ``NotFound``,
    ``NotADirectory``.
    """
    place, entry = find_entry(table, path)
    top = split_path(place.path)
    seen = split_path(after) if after else None
    row = inode_row(table, entry.inode)
    if seen is None:
        yield place.path, entry.inode, row
    elif seen[: len(top)] != top:
        return
    if row.is_dir:
        yield from _below(table, top, entry.inode, seen, with_system)


def _below(
    table: Table, top: Names, inode: int, seen: Names | None, with_system: bool
) -> Iterator[tuple[str, int, InodeRow]]:
    open_folders = [(top, _children(table, inode, top, seen))]
    while open_folders:
        above, children = open_folders[-1]
        child = next(children, None)
        if child is None:
            open_folders.pop()
            continue
        name, entry = child
        if not above and name in RESERVED and not with_system:
            continue
        names = (*above, name)
        if seen is None or names > seen:
            yield join_path(names), entry.inode, inode_row(table, entry.inode)
        if entry.is_dir:
            open_folders.append((names, _children(table, entry.inode, names, seen)))


def _children(
    table: Table, inode: int, names: Names, seen: Names | None
) -> Iterator[tuple[str, EntryRow]]:
    """The entries of a directory from the one on, in which ``seen`` lies or is."""
    prefix = number_key(inode)
    inside = seen is not None and len(seen) > len(names) and seen[: len(names)] == names
    start = prefix + seen[len(names)].encode() if inside and seen is not None else prefix
    for key, value in scan_prefix(table, "entries", prefix, start, BATCH_ROWS):
        yield entry_name(key), load_row(EntryRow, value)
