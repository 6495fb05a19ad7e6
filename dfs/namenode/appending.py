"""Deciding what belongs to appending: the lease on a closed file, syncs, and its close.

Nothing is copied: chunks are keyed by the offset at which they start, so the first new
one begins where the file ends. Only a file stored inline is written anew, by its writer,
who gets the content and repeats it in front; it stays inline as long as it is small, and
the first chunk holds at least all of it.
While the lease lasts ``size`` in the file's row is what readers see, and chunks beyond it
are not looked at.

The digest of the whole file is unknown (empty) after an append, unless its writer has
seen every byte.
"""

from __future__ import annotations

from dfs.errors import BadArgument, IsADirectory
from dfs.events import Now
from dfs.limits import INLINE_MAX_BYTES
from dfs.namenode import commands as c
from dfs.namenode.changes import Ending, Maker, check_reserved
from dfs.namenode.keys import number_key
from dfs.namenode.leases import being_written
from dfs.namenode.module import Command
from dfs.namenode.namespace import Place, inode_row, lease_row
from dfs.namenode.placement import copies_needed
from dfs.namenode.table import Table
from dfs.wire import namespace as m
from dfs.wire.appending import Append


def begin_append(
    table: Table, place: Place, change: Append, registered: int, maker: Maker
) -> tuple[Command, m.Created]:
    """The lease on an existing file. ``change.min_durable`` has its default filled in."""
    entry = place.entry
    assert entry is not None, f"{place.path}: a file that is not there cannot be appended to"
    if entry.is_dir:
        raise IsADirectory(f"{place.path} is a directory", place.path)
    check_reserved(table, place)
    lease = lease_row(table, entry.inode)
    if lease is not None:
        raise being_written(place.path, lease)
    row = inode_row(table, entry.inode)
    if change.min_durable > row.replication:
        raise BadArgument(
            f"{place.path}: min-durable {change.min_durable} is more than its replication "
            f"{row.replication}",
            place.path,
        )
    content = table.get("inline", number_key(entry.inode)) or b""
    is_inline = len(content) == row.size and change.min_durable <= 1
    need = copies_needed(change.min_durable, row.replication, registered)
    chunk_bytes = max(row.chunk_bytes, len(content))
    begun = c.AppendBegun(
        entry.inode,
        place.path,
        change.session,
        maker.owner,
        need,
        chunk_bytes,
        maker.wall_ns,
    )
    created = m.Created(
        entry.inode,
        row.replication,
        chunk_bytes,
        need,
        INLINE_MAX_BYTES if is_inline else 0,
        row.size,
        content,
    )
    return begun, created


def sync_append(table: Table, inode: int, ending: Ending, now: Now) -> Command:
    """What shows the chunks of a file that is appended to, up to the one just committed."""
    _check_longer(table, inode, ending)
    return c.AppendSynced(inode, ending.size, ending.digest, now.wall_ns)


def close_append(table: Table, inode: int, ending: Ending, now: Now) -> c.AppendEnded:
    """The end of an append. Without a byte added the file stays exactly as it was."""
    _check_longer(table, inode, ending)
    row = inode_row(table, inode)
    if ending.size == row.size:
        return c.AppendEnded(inode, row.size, row.digest, ending.content, row.mtime_ns)
    return c.AppendEnded(inode, ending.size, ending.digest, ending.content, now.wall_ns)


def _check_longer(table: Table, inode: int, ending: Ending) -> None:
    size = inode_row(table, inode).size
    if ending.size < size:
        raise BadArgument(f"an append cannot make {size} bytes into {ending.size}")
