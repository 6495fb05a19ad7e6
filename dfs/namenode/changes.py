"""Deciding changes of the namespace: a request against the table, to commands.

Every function checks all that can go wrong and makes every choice; what it returns
can be applied blindly. Errors are raised before any command exists, so a refused
request changes nothing. Ids come from an ``Ids``, so that one decision may make
several inodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from dfs.errors import BadArgument, Exists, IsADirectory, NotADirectory, NotEmpty, NotFound
from dfs.limits import REAP_MAX_ROWS
from dfs.namenode import commands as c
from dfs.namenode.keys import (
    NEXT_INODE,
    ROOT,
    ChunkRow,
    EntryRow,
    InodeRow,
    LeaseRow,
    entry_key,
    entry_name,
    get_number,
    get_row,
    load_row,
    number_key,
    number_of,
    second_of,
)
from dfs.namenode.leases import being_written
from dfs.namenode.lost_history import may_be_stored
from dfs.namenode.module import Command
from dfs.namenode.namespace import (
    Place,
    find_deepest,
    find_entry,
    find_place,
    inode_row,
    is_attached,
)
from dfs.namenode.table import Table, scan_prefix
from dfs.paths import join_path, split_path

DIRECTORY_MODE = 0o755
FILE_MODE = 0o644


class Ids:
    """Inode numbers for one decision, from the counter in the table."""

    def __init__(self, table: Table) -> None:
        self._next = get_number(table, NEXT_INODE, ROOT + 1)

    def take(self) -> int:
        """The next free inode number."""
        self._next += 1
        return self._next - 1


@dataclass(frozen=True, slots=True)
class Maker:
    """Who makes something, and when: what new inodes carry."""

    owner: str
    group: str
    wall_ns: int


@dataclass(frozen=True, slots=True)
class FileSettings:
    """How a file is stored."""

    replication: int
    chunk_bytes: int
    min_durable: int


@dataclass(frozen=True, slots=True)
class Ending:
    """What a file is when it is closed; ``content`` (None: in chunks) is stored inline."""

    size: int
    digest: bytes
    content: bytes | None


def make_parents(table: Table, path: str, ids: Ids, maker: Maker) -> tuple[Place, list[Command]]:
    """The place of ``path``, with commands that make the directories missing above it."""
    place, rest = find_deepest(table, path)
    commands: list[Command] = []
    names = split_path(path)
    depth = len(names) - len(rest)
    while rest:
        inode = ids.take()
        commands.append(_directory(place.parent, place.name, inode, maker))
        depth += 1
        place = Place(join_path(names[:depth]), inode, rest[0], None)
        rest = rest[1:]
    return place, commands


def _directory(parent: int, name: str, inode: int, maker: Maker) -> c.DirectoryMade:
    return c.DirectoryMade(
        parent, name, inode, maker.owner, maker.group, DIRECTORY_MODE, maker.wall_ns
    )


def mkdir(table: Table, path: str, parents: bool, exist_ok: bool, maker: Maker) -> list[Command]:
    """Make a directory; with ``parents`` those above it too."""
    ids = Ids(table)
    if parents:
        place, commands = make_parents(table, path, ids, maker)
    else:
        place, commands = find_place(table, path), []
    if place.entry is not None:
        if place.entry.is_dir and exist_ok:
            return []
        kind = "directory" if place.entry.is_dir else "file"
        raise Exists(f"{place.path}: a {kind} of that name exists", place.path)
    commands.append(_directory(place.parent, place.name, ids.take(), maker))
    return commands


def _check_target(table: Table, place: Place, overwrite: bool) -> int:
    """The inode that a new file at ``place`` replaces (0: none), or the reason why it may not."""
    if place.is_root or (place.entry is not None and place.entry.is_dir):
        raise IsADirectory(f"{place.path} is a directory", place.path)
    if place.entry is None:
        return 0
    if not overwrite:
        raise Exists(f"{place.path} exists; -f replaces it", place.path)
    return place.entry.inode


def check_reserved(table: Table, place: Place) -> None:
    """Raise ``Exists`` when somebody writes a file that is to get this name."""
    data = table.get("reserved", entry_key(place.parent, place.name))
    if data is None:
        return
    lease = get_row(table, "leases", data, LeaseRow)
    assert lease is not None, f"{place.path} is reserved by inode {number_of(data)} without lease"
    raise being_written(place.path, lease)


def begin_file(
    table: Table,
    path: str,
    overwrite: bool,
    session: int,
    settings: FileSettings,
    maker: Maker,
) -> tuple[int, list[Command]]:
    """Reserve the name of a new file; returns its inode."""
    ids = Ids(table)
    place, commands = make_parents(table, path, ids, maker)
    _check_target(table, place, overwrite)
    check_reserved(table, place)
    inode = ids.take()
    commands.append(
        c.FileBegun(
            inode,
            place.parent,
            place.name,
            place.path,
            session,
            maker.owner,
            maker.group,
            FILE_MODE,
            settings.replication,
            settings.chunk_bytes,
            settings.min_durable,
            overwrite,
            maker.wall_ns,
        )
    )
    return inode, commands


def put_file(
    table: Table,
    path: str,
    overwrite: bool,
    ending: Ending,
    settings: FileSettings,
    maker: Maker,
) -> tuple[int, str, list[Command]]:
    """Make and close a small file; returns its inode and path."""
    assert ending.content is not None, f"{path}: a file put at once has its content with it"
    ids = Ids(table)
    place, commands = make_parents(table, path, ids, maker)
    replaced = _check_target(table, place, overwrite)
    check_reserved(table, place)
    inode = ids.take()
    commands.append(
        c.FilePut(
            place.parent,
            place.name,
            inode,
            maker.owner,
            maker.group,
            FILE_MODE,
            settings.replication,
            settings.chunk_bytes,
            ending.content,
            ending.digest,
            replaced,
            maker.wall_ns,
        )
    )
    return inode, place.path, commands


def close_file(table: Table, lease: LeaseRow, inode: int, ending: Ending, wall_ns: int) -> Command:
    """Give a file under construction its name; the tree may have changed since it began."""
    if not is_attached(table, lease.parent):
        raise NotFound(f"{lease.path}: its directory was removed meanwhile", lease.path)
    entry = get_row(table, "entries", entry_key(lease.parent, lease.name), EntryRow)
    place = Place(lease.path, lease.parent, lease.name, entry)
    replaced = _check_target(table, place, lease.overwrite)
    return c.FileClosed(inode, ending.size, ending.digest, ending.content, replaced, wall_ns)


def rename(table: Table, source: str, target: str, overwrite: bool, wall_ns: int) -> list[Command]:
    """Move an entry; ``overwrite`` replaces a file by a file, never a directory."""
    from_place, entry = find_entry(table, source)
    to_place = find_place(table, target)
    if from_place.is_root:
        raise BadArgument("the root cannot be renamed", "/")
    if to_place.is_root:
        raise Exists("/ exists and cannot be replaced", "/")
    if entry.is_dir:
        _refuse_into_itself(table, entry.inode, from_place, to_place)
    replaced = 0
    if to_place.entry is not None:
        if to_place.entry.inode == entry.inode:
            return []
        replaced = _check_replaced(to_place, entry, overwrite)
    check_reserved(table, to_place)
    return [
        c.Renamed(
            from_place.parent,
            from_place.name,
            to_place.parent,
            to_place.name,
            replaced,
            wall_ns,
        )
    ]


def _check_replaced(target: Place, entry: EntryRow, overwrite: bool) -> int:
    assert target.entry is not None
    if target.entry.is_dir:
        raise Exists(f"{target.path}: a directory of that name exists", target.path)
    if entry.is_dir:
        raise NotADirectory(f"{target.path} is a file", target.path)
    if not overwrite:
        raise Exists(f"{target.path} exists; -f replaces it", target.path)
    return target.entry.inode


def _refuse_into_itself(table: Table, inode: int, source: Place, target: Place) -> None:
    above = target.parent
    while above != ROOT:
        if above == inode:
            raise BadArgument(
                f"{source.path} cannot be moved into itself ({target.path})", source.path
            )
        above = inode_row(table, above).parent


def remove(
    table: Table, path: str, recursive: bool, files_only: bool, wall_ns: int
) -> list[Command]:
    """Unlink an entry; what hangs below it is reaped in slices."""
    place, entry = find_entry(table, path)
    if place.is_root:
        raise BadArgument("the root cannot be removed", "/")
    if entry.is_dir:
        if files_only:
            raise IsADirectory(f"{place.path} is a directory; -r removes it", place.path)
        if not recursive and _has_entries(table, entry.inode):
            raise NotEmpty(f"{place.path} is not empty; -r removes all of it", place.path)
    return [c.Removed(place.parent, place.name, entry.inode, wall_ns)]


def _has_entries(table: Table, inode: int) -> bool:
    return next(scan_prefix(table, "entries", number_key(inode), batch=1), None) is not None


class Freed(NamedTuple):
    """A chunk that no file names any more; ``is_doubted``: a lost history may have it."""

    row: ChunkRow
    is_doubted: bool


def reap_slice(table: Table) -> tuple[list[c.Reaped], list[Freed]]:
    """The next slice of reclaiming unlinked inodes, and the chunks that no file names any more.

    At most ``REAP_MAX_ROWS`` rows, so that no step grows long.
    """
    commands: list[c.Reaped] = []
    freed: list[Freed] = []
    budget = REAP_MAX_ROWS
    for key, _ in table.scan("reap", b"\0", REAP_MAX_ROWS):
        if budget <= 0:
            break
        inode = number_of(key)
        row = get_row(table, "inodes", key, InodeRow)
        assert row is not None, f"inode {inode} is to be reaped and has no row"
        name = "entries" if row.is_dir else "chunks"
        rows = []
        for found in scan_prefix(table, name, key):
            rows.append(found)
            if len(rows) >= budget:
                break
        done = len(rows) < budget
        budget -= len(rows) + 1
        if row.is_dir:
            names = tuple(entry_name(k) for k, _ in rows)
            commands.append(c.Reaped(inode, (), names, done))
        else:
            starts = tuple(second_of(k) for k, _ in rows)
            commands.append(c.Reaped(inode, starts, (), done))
            was_closed = row.name != ""
            for _, value in rows:
                chunk = load_row(ChunkRow, value)
                is_doubted = not was_closed and may_be_stored(table, chunk.chunk)
                freed.append(Freed(chunk, is_doubted))
    return commands, freed
