"""The right to write a file: who has it, what it lets him commit, how it ends.

A *lease* is a row under the file's inode. It is held by a session and lasts as long as
that gives a sign of life in time (``dfs.namenode.sessions``).

* A new file under construction has a lease and a reserved name. When the lease ends
  without a close, inode and chunks are reclaimed; what the name stood for stays.
* A file that is appended to has a lease beside its name. When the lease ends without a
  close, the file ends where its committed chunks end. Removing or replacing it ends the
  lease, a rename does not.
* At most one chunk of a lease is allocated and not committed. When the lease ends, its
  replicas are unwanted. Chunk ids are never reused and an allocated id is never offered
  again, so no late replica can be taken for another, and generations stay at 1.
* A writer whose lease ended is refused, whatever it sends: the row is gone, and with it
  every way to commit.
"""

from __future__ import annotations

from dfs.checksum import DIGEST_BYTES
from dfs.errors import BadArgument, Exists, LeaseLost, PermissionDenied, TooFewNodes
from dfs.events import Now
from dfs.namenode import commands as c
from dfs.namenode.keys import ChunkRow, LeaseRow, load_row, number_key, pair_key, second_of
from dfs.namenode.module import Command
from dfs.namenode.namespace import inode_row, is_named, lease_row
from dfs.namenode.nodes import Nodes
from dfs.namenode.table import Table
from dfs.wire.namespace import SealedChunk


def being_written(path: str, lease: LeaseRow) -> Exists:
    """The refusal of a second writer: who is the first, and since when."""
    return Exists(
        f"{path} is being written by {lease.holder} (session {lease.session}, since "
        f"{_utc(lease.since_ns)}); wait until it is closed or its lease ends",
        path,
    )


def own_lease(table: Table, inode: int, session: int) -> LeaseRow:
    """The lease that this session holds. Raises ``LeaseLost``, ``PermissionDenied``."""
    lease = lease_row(table, inode)
    if lease is None:
        raise LeaseLost("the lease of its writer has ended: nothing was heard of it for too long")
    if lease.session != session:
        raise PermissionDenied(f"{lease.path} is being written by another session", lease.path)
    return lease


def held_lease(table: Table, inode: int, session: int) -> LeaseRow:
    """The lease with which this session may go on writing. Raises as ``own_lease``."""
    lease = own_lease(table, inode, session)
    if lease.appends and not is_named(table, inode):
        raise LeaseLost("it was removed or replaced while it was written", lease.path)
    return lease


def committed(
    table: Table, nodes: Nodes, inode: int, lease: LeaseRow, sealed: SealedChunk | None
) -> list[c.ChunkCommitted]:
    """The command that commits the sealed chunk, if it is the one that was allocated."""
    if sealed is None:
        return []
    offered = (lease.chunk, lease.generation, lease.start)
    if (sealed.chunk, sealed.generation, sealed.start) != offered:
        raise LeaseLost(f"chunk {sealed.chunk} is not the one being written", lease.path)
    row = inode_row(table, inode)
    if not 0 < sealed.length <= row.chunk_bytes:
        raise BadArgument(f"{lease.path}: a chunk of {sealed.length} bytes is not allowed")
    if sealed.start == 0 and lease.appends and sealed.length < row.size:
        raise BadArgument(f"{lease.path}: chunk 0 must hold the {row.size} bytes that were inline")
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


def check_file_digest(path: str, digest: bytes) -> None:
    """Raise ``BadArgument`` unless this is the digest of a file, or none."""
    if digest:
        _check_digest(path, digest)


def _check_digest(path: str, digest: bytes) -> None:
    if len(digest) != DIGEST_BYTES:
        raise BadArgument(f"{path}: a digest of {len(digest)} bytes is none", path)


def written_end(table: Table, inode: int, sealed: SealedChunk | None) -> int:
    """Where the file's committed chunks end, the sealed one included; 0 when it has none."""
    if sealed is not None:
        return sealed.start + sealed.length
    last = table.last("chunks", pair_key(inode + 1, 0))
    if last is None or not last[0].startswith(number_key(inode)):
        return 0
    return second_of(last[0]) + load_row(ChunkRow, last[1]).length


def end_lease(table: Table, inode: int, now: Now) -> Command:
    """What becomes of a file whose writer is gone or gave it up."""
    lease = lease_row(table, inode)
    assert lease is not None, f"inode {inode} has no lease that could end"
    if not lease.appends:
        return c.FileAbandoned(inode)
    row = inode_row(table, inode)
    end = written_end(table, inode, None)
    if end > row.size:
        return c.AppendEnded(inode, end, b"", None, now.wall_ns)
    return c.AppendEnded(inode, row.size, row.digest, None, row.mtime_ns)


def _utc(wall_ns: int) -> str:
    seconds, day = wall_ns // 1_000_000_000, 86_400
    hours, rest = divmod(seconds % day, 3600)
    return f"{hours:02}:{rest // 60:02}:{rest % 60:02} UTC"
