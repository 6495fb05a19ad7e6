"""Applying the commands of module ``dfs``: writes rows, decides nothing.

Deterministic and without expected failure: the same commands from the same rows
give the same rows on every machine and at every replay. A missing row here is a
broken invariant and stops the process.
"""

from __future__ import annotations

from typing import assert_never

import msgspec

from dfs.namenode import commands as c
from dfs.namenode.invariants import CHECKS
from dfs.namenode.keys import (
    EPOCH,
    NEXT_CHUNK,
    NEXT_INODE,
    ROOT,
    TABLES,
    ChunkRow,
    EntryRow,
    InodeRow,
    LeaseRow,
    MemberRow,
    NodeRow,
    OwnerRow,
    R,
    SessionRow,
    entry_key,
    get_number,
    get_row,
    number_key,
    pair_key,
    put_number,
    put_row,
    second_of,
)
from dfs.namenode.module import Command, Module
from dfs.namenode.table import Table, scan_prefix


def apply(table: Table, index: int, command: Command) -> None:
    """Write what a command of this module decided; ``index`` is its place in the log."""
    match command:
        case c.FilePut() | c.FileBegun() | c.ChunkAllocated() | c.ChunkCommitted():
            _apply_file(table, index, command)
        case c.FileClosed():
            _close(table, index, command)
        case c.AppendBegun() | c.AppendSynced() | c.AppendEnded():
            _apply_append(table, index, command)
        case c.Answered() | c.SessionStarted() | c.SessionEnded():
            _apply_session(table, index, command)
        case c.Reaped():
            _reap(table, command)
        case _:
            _apply_tree(table, index, command)


def _apply_file(
    table: Table,
    index: int,
    command: c.FilePut | c.FileBegun | c.ChunkAllocated | c.ChunkCommitted,
) -> None:
    match command:
        case c.FilePut():
            _put_file(table, index, command)
        case c.FileBegun():
            _begin_file(table, index, command)
        case c.ChunkAllocated():
            _bump(table, NEXT_CHUNK, command.chunk)
            key = number_key(command.inode)
            offered = msgspec.structs.replace(
                _must(table, "leases", key, LeaseRow),
                chunk=command.chunk,
                generation=command.generation,
                start=command.start,
                targets=command.targets,
            )
            put_row(table, "leases", key, offered)
        case c.ChunkCommitted():
            _commit_chunk(table, index, command)
        case _:
            assert_never(command)


def _apply_append(
    table: Table, index: int, command: c.AppendBegun | c.AppendSynced | c.AppendEnded
) -> None:
    key = number_key(command.inode)
    match command:
        case c.AppendBegun():
            lease = LeaseRow(
                command.session,
                command.holder,
                command.wall_ns,
                parent=0,
                name="",
                path=command.path,
                overwrite=False,
                min_durable=command.min_durable,
                appends=True,
            )
            put_row(table, "leases", key, lease)
            row = _must(table, "inodes", key, InodeRow)
            changed = msgspec.structs.replace(row, chunk_bytes=command.chunk_bytes)
            put_row(table, "inodes", key, changed)
        case c.AppendSynced():
            _grow(table, index, command, command.wall_ns)
        case c.AppendEnded():
            _grow(table, index, command, command.mtime_ns)
            if command.content:
                table.put("inline", key, command.content)
            table.delete("leases", key)
        case _:
            assert_never(command)


def _grow(table: Table, index: int, command: c.AppendSynced | c.AppendEnded, mtime_ns: int) -> None:
    key = number_key(command.inode)
    grown = msgspec.structs.replace(
        _must(table, "inodes", key, InodeRow),
        size=command.size,
        digest=command.digest,
        mtime_ns=mtime_ns,
        born=index,
    )
    put_row(table, "inodes", key, grown)


def _apply_session(
    table: Table, index: int, command: c.Answered | c.SessionStarted | c.SessionEnded
) -> None:
    match command:
        case c.Answered():
            _answer(table, command)
        case c.SessionStarted():
            row = SessionRow(command.user, command.wall_ns)
            put_row(table, "sessions", number_key(index), row)
        case c.SessionEnded():
            for key, _ in list(scan_prefix(table, "sessions", number_key(command.session))):
                table.delete("sessions", key)
        case _:
            assert_never(command)


def _apply_tree(table: Table, index: int, command: Command) -> None:
    match command:
        case c.Formatted():
            root = InodeRow(True, command.owner, command.owner, 0o755, command.wall_ns, index)
            put_row(table, "inodes", number_key(ROOT), root)
            put_number(table, NEXT_INODE, ROOT + 1)
            put_number(table, NEXT_CHUNK, 1)
            put_number(table, EPOCH, 1)
        case c.DirectoryMade():
            _make_directory(table, index, command)
        case c.FileAbandoned():
            lease = _must(table, "leases", number_key(command.inode), LeaseRow)
            table.delete("leases", number_key(command.inode))
            table.delete("reserved", entry_key(lease.parent, lease.name))
            table.put("reap", number_key(command.inode), b"")
        case c.Renamed():
            _rename(table, index, command)
        case c.Removed():
            table.delete("entries", entry_key(command.parent, command.name))
            table.put("reap", number_key(command.inode), b"")
            _touch(table, command.parent, command.wall_ns)
        case c.NodeJoined():
            put_row(table, "nodes", command.node.encode(), NodeRow(command.host, command.rack))
        case c.EpochRaised():
            put_number(table, EPOCH, command.epoch)
            begin = get_number(table, NEXT_CHUNK, 1)
            if begin < command.next_chunk:
                table.put("doubtful", number_key(begin), number_key(command.next_chunk))
            _bump(table, NEXT_CHUNK, command.next_chunk - 1)
        case c.ChunksDoubted():
            for begin, end in command.ranges:
                table.put("doubtful", number_key(begin), number_key(end))
        case c.MemberEnrolled(key, role, name, wall_ns):
            put_row(table, "members", key, MemberRow(role, name, wall_ns))
        case c.MemberRevoked(key, wall_ns):
            old = _must(table, "members", key, MemberRow)
            put_row(table, "members", key, MemberRow(old.role, old.name, wall_ns, True))
        case _:
            raise AssertionError(f"{command!r} is no command of module dfs")


def _make_directory(table: Table, index: int, command: c.DirectoryMade) -> None:
    _bump(table, NEXT_INODE, command.inode)
    row = msgspec.structs.replace(
        _new_inode(index, command), parent=command.parent, name=command.name
    )
    put_row(table, "inodes", number_key(command.inode), row)
    _link(table, index, command.parent, command.name, command.inode, True)
    _touch(table, command.parent, command.wall_ns)


def _new_inode(index: int, command: c.DirectoryMade | c.FileBegun | c.FilePut) -> InodeRow:
    return InodeRow(
        isinstance(command, c.DirectoryMade),
        command.owner,
        command.group,
        command.mode,
        command.wall_ns,
        index,
    )


def _begin_file(table: Table, index: int, command: c.FileBegun) -> None:
    _bump(table, NEXT_INODE, command.inode)
    row = msgspec.structs.replace(
        _new_inode(index, command),
        replication=command.replication,
        chunk_bytes=command.chunk_bytes,
    )
    lease = LeaseRow(
        command.session,
        command.owner,
        command.wall_ns,
        command.parent,
        command.name,
        command.path,
        command.overwrite,
        command.min_durable,
    )
    key = number_key(command.inode)
    put_row(table, "inodes", key, row)
    put_row(table, "leases", key, lease)
    table.put("reserved", entry_key(command.parent, command.name), key)


def _put_file(table: Table, index: int, command: c.FilePut) -> None:
    _bump(table, NEXT_INODE, command.inode)
    row = msgspec.structs.replace(
        _new_inode(index, command),
        parent=command.parent,
        name=command.name,
        size=len(command.content),
        replication=command.replication,
        chunk_bytes=command.chunk_bytes,
        digest=command.digest,
    )
    put_row(table, "inodes", number_key(command.inode), row)
    _show_file(table, index, command, command.parent, command.name)


def _close(table: Table, index: int, command: c.FileClosed) -> None:
    key = number_key(command.inode)
    lease = _must(table, "leases", key, LeaseRow)
    row = _must(table, "inodes", key, InodeRow)
    closed = msgspec.structs.replace(
        row,
        size=command.size,
        digest=command.digest,
        mtime_ns=command.wall_ns,
        born=index,
        parent=lease.parent,
        name=lease.name,
    )
    put_row(table, "inodes", key, closed)
    table.delete("leases", key)
    table.delete("reserved", entry_key(lease.parent, lease.name))
    _show_file(table, index, command, lease.parent, lease.name)


def _show_file(
    table: Table, index: int, command: c.FilePut | c.FileClosed, parent: int, name: str
) -> None:
    """A file whose row is written gets its content and its name, in place of another's."""
    if command.content:
        table.put("inline", number_key(command.inode), command.content)
    if command.replaced:
        table.put("reap", number_key(command.replaced), b"")
    _link(table, index, parent, name, command.inode, False)
    _touch(table, parent, command.wall_ns)


def _rename(table: Table, index: int, command: c.Renamed) -> None:
    source = entry_key(command.source_parent, command.source_name)
    row = _must(table, "entries", source, EntryRow)
    table.delete("entries", source)
    if command.replaced:
        table.put("reap", number_key(command.replaced), b"")
    key = number_key(row.inode)
    moved = msgspec.structs.replace(
        _must(table, "inodes", key, InodeRow),
        parent=command.target_parent,
        name=command.target_name,
    )
    put_row(table, "inodes", key, moved)
    _link(table, index, command.target_parent, command.target_name, row.inode, row.is_dir)
    _touch(table, command.source_parent, command.wall_ns)
    _touch(table, command.target_parent, command.wall_ns)


def _reap(table: Table, command: c.Reaped) -> None:
    for start in command.starts:
        key = pair_key(command.inode, start)
        row = _must(table, "chunks", key, ChunkRow)
        table.delete("chunks", key)
        table.delete("owners", number_key(row.chunk))
    for name in command.names:
        key = entry_key(command.inode, name)
        child = _must(table, "entries", key, EntryRow)
        table.delete("entries", key)
        table.put("reap", number_key(child.inode), b"")
    if command.done:
        key = number_key(command.inode)
        table.delete("inodes", key)
        table.delete("inline", key)
        table.delete("leases", key)
        table.delete("reap", key)


def _commit_chunk(table: Table, index: int, command: c.ChunkCommitted) -> None:
    row = ChunkRow(command.chunk, command.generation, command.length, command.digest, index)
    put_row(table, "chunks", pair_key(command.inode, command.start), row)
    owner = OwnerRow(command.inode, command.start)
    put_row(table, "owners", number_key(command.chunk), owner)
    key = number_key(command.inode)
    lease = _must(table, "leases", key, LeaseRow)
    waiting = msgspec.structs.replace(
        lease,
        chunk=0,
        generation=0,
        start=0,
        targets=(),
        copies=min(lease.copies or command.copies, command.copies),
        hosts=min(lease.hosts or command.hosts, command.hosts),
    )
    put_row(table, "leases", key, waiting)
    if lease.appends and command.start == 0:  # it begins with what was stored inline
        table.delete("inline", key)


def _answer(table: Table, command: c.Answered) -> None:
    key = number_key(command.session)
    session = _must(table, "sessions", key, SessionRow)
    for old, _ in list(scan_prefix(table, "sessions", key, key + b"\0")):
        if second_of(old) >= command.ack_below:
            break
        table.delete("sessions", old)
    if command.ack_below > session.ack_below:
        put_row(
            table, "sessions", key, msgspec.structs.replace(session, ack_below=command.ack_below)
        )
    table.put("sessions", pair_key(command.session, command.sequence), command.answer)


def _link(table: Table, index: int, parent: int, name: str, inode: int, is_dir: bool) -> None:
    put_row(table, "entries", entry_key(parent, name), EntryRow(inode, is_dir, index))


def _touch(table: Table, inode: int, wall_ns: int) -> None:
    key = number_key(inode)
    row = _must(table, "inodes", key, InodeRow)
    put_row(table, "inodes", key, msgspec.structs.replace(row, mtime_ns=wall_ns))


def _bump(table: Table, counter: bytes, used: int) -> None:
    put_number(table, counter, max(get_number(table, counter, 1), used + 1))


def _must(table: Table, name: str, key: bytes, cls: type[R]) -> R:
    row = get_row(table, name, key, cls)
    assert row is not None, f"no {cls.__name__} at {name}[{key.hex()}]"
    return row


MODULE = Module(
    name="dfs",
    commands=(
        c.Formatted,
        c.SessionStarted,
        c.SessionEnded,
        c.Answered,
        c.DirectoryMade,
        c.FileBegun,
        c.ChunkAllocated,
        c.ChunkCommitted,
        c.FileClosed,
        c.FileAbandoned,
        c.FilePut,
        c.Renamed,
        c.Removed,
        c.Reaped,
        c.AppendBegun,
        c.AppendSynced,
        c.AppendEnded,
        c.NodeJoined,
        c.EpochRaised,
        c.ChunksDoubted,
        c.MemberEnrolled,
        c.MemberRevoked,
    ),
    tables=TABLES,
    apply=apply,
    checks=CHECKS,
)
