"""Deciding the changes that clients ask for: from a message to commands and an answer.

Each function returns what must become durable and what the client is told once it
is. Errors are raised before there is any command.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from dfs.checksum import DIGEST_BYTES
from dfs.config.schema import Files
from dfs.errors import (
    BadArgument,
    DfsError,
    LeaseLost,
    PermissionDenied,
    TooFewNodes,
    Unavailable,
)
from dfs.events import Now, Peer
from dfs.limits import (
    CHUNK_MAX_BYTES,
    CHUNK_MIN_BYTES,
    INLINE_MAX_BYTES,
    REPLICATION_MAX,
)
from dfs.namenode import changes
from dfs.namenode import commands as c
from dfs.namenode.changes import Ending, FileSettings, Maker
from dfs.namenode.keys import (
    NEXT_CHUNK,
    ChunkRow,
    InodeRow,
    LeaseRow,
    get_number,
    load_row,
    number_key,
    pair_key,
    second_of,
)
from dfs.namenode.module import Command
from dfs.namenode.namespace import describe, inode_row, lease_row
from dfs.namenode.nodes import Nodes
from dfs.namenode.placement import Wanted, choose_targets, copies_needed, too_few_text
from dfs.namenode.table import Table
from dfs.wire import namespace as m
from dfs.wire.codec import Message
from dfs.wire.common import Ok

GROUP = "users"
"""The group of new entries, until users and groups are managed."""


ADDITIONS = (m.Mkdir, m.Create, m.AddChunk, m.PutInline)
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
        case m.AbandonFile():
            if lease_row(table, change.inode) is None:
                return Outcome([], done)
            _held_lease(table, change.inode, change.session)
            return Outcome([c.FileAbandoned(change.inode)], done, change.inode)
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


def _held_lease(table: Table, inode: int, session: int) -> LeaseRow:
    lease = lease_row(table, inode)
    if lease is None:
        raise LeaseLost("the file was discarded: its writer was silent for too long")
    if lease.session != session:
        raise PermissionDenied(f"{lease.path} is being written by another session", lease.path)
    return lease


def _committed(
    table: Table, nodes: Nodes, inode: int, lease: LeaseRow, sealed: m.SealedChunk | None
) -> list[c.ChunkCommitted]:
    """The command that commits the sealed chunk, if it is the one that was allocated."""
    if sealed is None:
        return []
    offered = (lease.chunk, lease.generation, lease.start)
    if (sealed.chunk, sealed.generation, sealed.start) != offered:
        raise LeaseLost(f"{lease.path}: chunk {sealed.chunk} is not the one being written")
    row = inode_row(table, inode)
    if not 0 < sealed.length <= row.chunk_bytes:
        raise BadArgument(f"{lease.path}: a chunk of {sealed.length} bytes is not allowed")
    _check_digest(lease.path, sealed.digest)
    receipts = sorted(set(sealed.nodes) & set(lease.targets))
    if len(receipts) < lease.min_durable:
        raise TooFewNodes(
            f"{lease.path}: {len(receipts)} datanodes hold chunk {sealed.chunk} "
            f"and {lease.min_durable} are needed",
            lease.path,
        )
    return [
        c.ChunkCommitted(
            inode,
            sealed.chunk,
            sealed.generation,
            sealed.start,
            sealed.length,
            sealed.digest,
            len(receipts),
            len({s.address.host for n in receipts if (s := nodes.get(n)) is not None}),
        )
    ]


def _check_digest(path: str, digest: bytes) -> None:
    if len(digest) != DIGEST_BYTES:
        raise BadArgument(f"{path}: a digest of {len(digest)} bytes is none", path)


def _written_end(table: Table, inode: int, sealed: m.SealedChunk | None) -> int:
    """Where the file's committed bytes end, the sealed chunk included."""
    if sealed is not None:
        return sealed.start + sealed.length
    last = table.last("chunks", pair_key(inode + 1, 0))
    if last is None or not last[0].startswith(number_key(inode)):
        return 0
    return second_of(last[0]) + load_row(ChunkRow, last[1]).length


def _add_chunk(table: Table, cluster: Cluster, change: m.AddChunk, now: Now) -> Outcome:
    lease = _held_lease(table, change.inode, change.session)
    commands: list[Command] = [
        *_committed(table, cluster.nodes, change.inode, lease, change.sealed)
    ]
    if change.start != _written_end(table, change.inode, change.sealed):
        raise BadArgument(f"{lease.path}: a chunk at {change.start} would leave a gap")
    row = inode_row(table, change.inode)
    chunk = get_number(table, NEXT_CHUNK, 1)
    live = cluster.nodes.live(now.mono_ns)
    wanted = Wanted(row.replication, chunk, row.chunk_bytes)
    targets = choose_targets(live, wanted, change.avoid)
    if len(targets) < lease.min_durable:
        raise _cannot_place(cluster, lease, change, len(live), len(targets))
    names = tuple(t.address.node for t in targets)
    commands.append(c.ChunkAllocated(change.inode, chunk, 1, change.start, names))
    chain = tuple(t.address for t in targets)
    return Outcome(commands, m.ChunkTargets(chunk, 1, chain, lease.min_durable), change.inode)


def _cannot_place(
    cluster: Cluster, lease: LeaseRow, change: m.AddChunk, live: int, able: int
) -> DfsError:
    """Why a chunk gets no targets; for a while after a start it is worth waiting."""
    need, registered = lease.min_durable, cluster.registered
    if live < need:
        text = too_few_text(live, registered, need)
        if cluster.settling and registered >= need:
            return Unavailable(f"{text}; the namenode has just started and waits", lease.path)
        return TooFewNodes(text, lease.path)
    full = max(0, live - able - len(change.avoid))
    return TooFewNodes(
        f"{lease.path}: {able} of {live} live datanodes can take a chunk and a write needs {need} "
        f"(too little room: {full}, failed: {len(change.avoid)}): free or add space",
        lease.path,
    )


def _close(table: Table, cluster: Cluster, change: m.CloseFile, now: Now) -> Outcome:
    lease = _held_lease(table, change.inode, change.session)
    if change.digest:
        _check_digest(lease.path, change.digest)
    last = _committed(table, cluster.nodes, change.inode, lease, change.sealed)
    end = _written_end(table, change.inode, change.sealed)
    if change.content is not None:
        if end or len(change.content) > INLINE_MAX_BYTES:
            raise BadArgument(f"{lease.path}: this content cannot be stored inline", lease.path)
        end = len(change.content)
    if end != change.size:
        raise BadArgument(
            f"{lease.path}: {end} bytes were written and {change.size} are to be closed"
        )
    ending = Ending(change.size, change.digest, change.content)
    closing = changes.close_file(table, lease, change.inode, ending, now.wall_ns)
    closed = replace(
        inode_row(table, change.inode),
        size=change.size,
        digest=change.digest,
        mtime_ns=now.wall_ns,
    )
    entry = describe(lease.path, change.inode, closed)
    copies = [n for n in (lease.copies, *(chunk.copies for chunk in last)) if n]
    hosts = [n for n in (lease.hosts, *(chunk.hosts for chunk in last)) if n]
    kept = cluster.log_copies
    closed_answer = m.Closed(entry, min(copies, default=kept), min([kept, *hosts]))
    return Outcome([*last, *closing], closed_answer, change.inode)


def _put_inline(table: Table, cluster: Cluster, change: m.PutInline, maker: Maker) -> Outcome:
    if len(change.content) > INLINE_MAX_BYTES:
        raise BadArgument(f"{change.path}: content over {INLINE_MAX_BYTES} bytes is not inline")
    if change.digest:
        _check_digest(change.path, change.digest)
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
