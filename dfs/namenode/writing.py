"""Deciding the changes that clients ask for: from a message to commands and an answer.

Each function returns what must become durable and what the client is told once it
is. Errors are raised before there is any command.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from dfs.config.schema import Files
from dfs.errors import BadArgument, DfsError, TooFewNodes, Unavailable
from dfs.events import Now, Peer
from dfs.limits import (
    CHUNK_MAX_BYTES,
    CHUNK_MIN_BYTES,
    INLINE_MAX_BYTES,
    REPLICATION_MAX,
)
from dfs.namenode import changes
from dfs.namenode import commands as c
from dfs.namenode.appending import begin_append, close_append, sync_append
from dfs.namenode.changes import Ending, FileSettings, Maker
from dfs.namenode.keys import NEXT_CHUNK, InodeRow, LeaseRow, get_number
from dfs.namenode.leases import (
    check_file_digest,
    committed,
    end_lease,
    held_lease,
    own_lease,
    written_end,
)
from dfs.namenode.module import Command
from dfs.namenode.namespace import (
    describe,
    find_deepest,
    inode_row,
    lease_row,
    path_in,
)
from dfs.namenode.nodes import Health, Nodes
from dfs.namenode.placement import Wanted, choose_targets, copies_needed, too_few_text
from dfs.namenode.table import Table
from dfs.wire import namespace as m
from dfs.wire.appending import Append, SyncFile
from dfs.wire.codec import Message
from dfs.wire.common import Ok

GROUP = "users"
"""The group of new entries, until users and groups are managed."""


ADDITIONS = (m.Mkdir, m.Create, Append, m.AddChunk, m.PutInline)
"""The changes that need space for good, and are refused while the namenode has none."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A change that was decided."""

    commands: list[Command]
    answer: Message
    inode: int = 0


@dataclass(frozen=True, slots=True)
class Cluster:
    """What decisions about files need to know beside the table.

    ``settling``: the namenode has just started and waits for its datanodes. ``log_copies``: on how
    many machines a record is before its answer leaves.
    """

    files: Files
    nodes: Nodes
    registered: int
    settling: bool
    log_copies: int = 1


def decide(table: Table, cluster: Cluster, change: m.Change, peer: Peer, now: Now) -> Outcome:
    """Commands and answer of a change, or a ``DfsError``."""
    maker = Maker(peer.name, GROUP, now.wall_ns)
    done = Ok(cluster.log_copies)
    match change:
        case m.Mkdir():
            made = changes.mkdir(table, change.path, change.parents, change.exist_ok, maker)
            return Outcome(made, done)
        case m.Create():
            return _create(table, cluster, change, maker)
        case m.AddChunk():
            return _add_chunk(table, cluster, change, now)
        case m.CloseFile():
            return _close(table, cluster, change, now)
        case Append():
            return _append(table, cluster, change, maker)
        case SyncFile():
            return _sync(table, cluster, change, now)
        case m.AbandonFile():
            if lease_row(table, change.inode) is None:
                return Outcome([], done)
            own_lease(table, change.inode, change.session)
            return Outcome([end_lease(table, change.inode, now)], done, change.inode)
        case m.PutInline():
            return _put_inline(table, cluster, change, maker)
        case m.Rename():
            moved = changes.rename(
                table, change.source, change.target, change.overwrite, now.wall_ns
            )
            return Outcome(moved, done)
        case m.Remove():
            gone = changes.remove(
                table, change.path, change.recursive, change.files_only, now.wall_ns
            )
            return Outcome(gone, done)
        case _:
            raise AssertionError(f"{type(change).__name__} is a change that nobody decides")


def file_settings(
    cluster: Cluster, replication: int, chunk_bytes: int, min_durable: int
) -> FileSettings:
    """What was asked for, with the cluster's defaults filled in and the bounds checked."""
    replication = replication or cluster.files.replication
    chunk_bytes = chunk_bytes or cluster.files.chunk_bytes
    if not 1 <= replication <= REPLICATION_MAX:
        raise BadArgument(f"replication {replication} is outside 1 to {REPLICATION_MAX}")
    if not CHUNK_MIN_BYTES <= chunk_bytes <= CHUNK_MAX_BYTES:
        raise BadArgument(
            f"a chunk size of {chunk_bytes} bytes is outside {CHUNK_MIN_BYTES} to {CHUNK_MAX_BYTES}"
        )
    if min_durable > replication:
        raise BadArgument(f"min-durable {min_durable} is more than replication {replication}")
    asked = min_durable or (cluster.files.min_durable or 0)
    need = copies_needed(asked, replication, cluster.registered)
    return FileSettings(replication, chunk_bytes, need)


def _create(table: Table, cluster: Cluster, change: m.Create, maker: Maker) -> Outcome:
    settings = file_settings(cluster, change.replication, change.chunk_bytes, change.min_durable)
    inode, commands = changes.begin_file(
        table, change.path, change.overwrite, change.session, settings, maker
    )
    created = m.Created(
        inode,
        settings.replication,
        settings.chunk_bytes,
        settings.min_durable,
        0 if change.min_durable > 1 else INLINE_MAX_BYTES,
    )
    return Outcome(commands, created, inode)


def _append(table: Table, cluster: Cluster, change: Append, maker: Maker) -> Outcome:
    place, rest = find_deepest(table, change.path)
    asked = change.min_durable or (cluster.files.min_durable or 0)
    if rest or place.entry is None:
        create = m.Create(
            change.session,
            change.sequence,
            change.ack_below,
            change.path,
            False,
            change.replication,
            change.chunk_bytes,
            change.min_durable,
        )
        return _create(table, cluster, create, maker)
    wanted = replace(change, min_durable=asked)
    begun, created = begin_append(table, place, wanted, cluster.registered, maker)
    return Outcome([begun], created, created.inode)


def _sync(table: Table, cluster: Cluster, change: SyncFile, now: Now) -> Outcome:
    lease = held_lease(table, change.inode, change.session)
    check_file_digest(lease.path, change.digest)
    commands: list[Command] = [*committed(table, cluster.nodes, change.inode, lease, change.sealed)]
    _check_size(lease, written_end(table, change.inode, change.sealed), change.size)
    if lease.appends:
        ending = Ending(change.size, change.digest, None)
        commands.append(sync_append(table, change.inode, ending, now))
    return Outcome(commands, Ok(cluster.log_copies), change.inode)


def _check_size(lease: LeaseRow, written: int, size: int) -> None:
    if written != size:
        raise BadArgument(f"{lease.path}: {written} bytes were written and {size} are named")


def _add_chunk(table: Table, cluster: Cluster, change: m.AddChunk, now: Now) -> Outcome:
    lease = held_lease(table, change.inode, change.session)
    commands: list[Command] = [*committed(table, cluster.nodes, change.inode, lease, change.sealed)]
    if change.start != written_end(table, change.inode, change.sealed):
        raise BadArgument(f"{lease.path}: a chunk at {change.start} would leave a gap")
    row = inode_row(table, change.inode)
    chunk = get_number(table, NEXT_CHUNK, 1)
    live = cluster.nodes.live(now.mono_ns)
    wanted = Wanted(row.replication, chunk, row.chunk_bytes)
    targets = choose_targets(live, wanted, change.avoid)
    if len(targets) < lease.min_durable:
        raise _cannot_place(cluster, lease, change, len(targets), now)
    names = tuple(t.address.node for t in targets)
    commands.append(c.ChunkAllocated(change.inode, chunk, 1, change.start, names))
    chain = tuple(t.address for t in targets)
    return Outcome(commands, m.ChunkTargets(chunk, 1, chain, lease.min_durable), change.inode)


def _cannot_place(
    cluster: Cluster, lease: LeaseRow, change: m.AddChunk, able: int, now: Now
) -> DfsError:
    """Why a chunk gets no targets: to wait is worth it only for nodes that may soon be back."""
    need, live = lease.min_durable, len(cluster.nodes.live(now.mono_ns))
    if live < need:
        text = too_few_text(live, cluster.registered, need)
        if live + _returning(cluster, now) >= need:
            return Unavailable(text, lease.path)
        return TooFewNodes(text, lease.path)
    full = max(0, live - able - len(change.avoid))
    return TooFewNodes(
        f"{lease.path}: {able} of {live} live datanodes can take a chunk and a write needs {need} "
        f"(too little room: {full}, failed: {len(change.avoid)}): free or add space",
        lease.path,
    )


def _returning(cluster: Cluster, now: Now) -> int:
    """Datanodes that fell silent a moment ago, or were not heard of since a start just now."""
    names = cluster.nodes.known()
    stale = [n for n in names if cluster.nodes.health(n, now.mono_ns) is Health.STALE]
    unheard = [n for n in names if cluster.settling and cluster.nodes.get(n) is None]
    return len(stale) + len(unheard)


def _close(table: Table, cluster: Cluster, change: m.CloseFile, now: Now) -> Outcome:
    lease = held_lease(table, change.inode, change.session)
    check_file_digest(lease.path, change.digest)
    last = committed(table, cluster.nodes, change.inode, lease, change.sealed)
    end = written_end(table, change.inode, change.sealed)
    if change.content is not None:
        if end or len(change.content) > INLINE_MAX_BYTES:
            raise BadArgument(f"{lease.path}: this content cannot be stored inline", lease.path)
        end = len(change.content)
    _check_size(lease, end, change.size)
    ending = Ending(change.size, change.digest, change.content)
    closing, entry = _closing(table, lease, change.inode, ending, now)
    copies = [n for n in (lease.copies, *(chunk.copies for chunk in last)) if n]
    hosts = [n for n in (lease.hosts, *(chunk.hosts for chunk in last)) if n]
    kept = cluster.log_copies
    closed_answer = m.Closed(entry, min(copies, default=kept), min([kept, *hosts]))
    return Outcome([*last, closing], closed_answer, change.inode)


def _closing(
    table: Table, lease: LeaseRow, inode: int, ending: Ending, now: Now
) -> tuple[Command, m.Entry]:
    """The command that ends a write, and the entry as it is then."""
    row = inode_row(table, inode)
    if lease.appends:
        ended = close_append(table, inode, ending, now)
        grown = replace(row, size=ended.size, digest=ended.digest, mtime_ns=ended.mtime_ns)
        return ended, describe(path_in(table, row.parent, row.name), inode, grown)
    closed = changes.close_file(table, lease, inode, ending, now.wall_ns)
    made = replace(row, size=ending.size, digest=ending.digest, mtime_ns=now.wall_ns)
    return closed, describe(path_in(table, lease.parent, lease.name), inode, made)


def _put_inline(table: Table, cluster: Cluster, change: m.PutInline, maker: Maker) -> Outcome:
    if len(change.content) > INLINE_MAX_BYTES:
        raise BadArgument(f"{change.path}: content over {INLINE_MAX_BYTES} bytes is not inline")
    check_file_digest(change.path, change.digest)
    settings = file_settings(cluster, change.replication, change.chunk_bytes, 0)
    ending = Ending(len(change.content), change.digest, change.content)
    inode, path, commands = changes.put_file(
        table, change.path, change.overwrite, ending, settings, maker
    )
    row = InodeRow(
        False,
        maker.owner,
        maker.group,
        changes.FILE_MODE,
        maker.wall_ns,
        born=0,
        size=len(change.content),
        replication=settings.replication,
        chunk_bytes=settings.chunk_bytes,
        digest=change.digest,
    )
    kept = cluster.log_copies
    return Outcome(commands, m.Closed(describe(path, inode, row), kept, kept))
