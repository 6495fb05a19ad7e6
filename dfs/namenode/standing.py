"""How one chunk stands: which file wants it, and what its replicas are worth.

=========  =====================================================================
good       of the chunk's generation, on a node that is not dead
dead       of the chunk's generation, on a dead node: it may come back
stale      of an older generation: never served, never counted
corrupt    the node found it bad and set it aside
missing    the node was thought to hold it and does not
writing    the chunk is allocated and its writer was sent to this node
=========  =====================================================================

Only good ones count.
"""

from __future__ import annotations

from dataclasses import dataclass

from dfs.namenode.held import Held
from dfs.namenode.keys import (
    ChunkRow,
    InodeRow,
    LeaseRow,
    OwnerRow,
    get_row,
    number_key,
    pair_key,
)
from dfs.namenode.nodes import Nodes, NodeState
from dfs.namenode.table import Table


@dataclass(frozen=True, slots=True)
class FileChunk:
    """A committed chunk and the file that wants ``replication`` replicas of it."""

    inode: int
    start: int
    row: ChunkRow
    replication: int


def find_chunk(table: Table, chunk: int) -> FileChunk | None:
    """The committed chunk of that id; None when no file has it."""
    owner = get_row(table, "owners", number_key(chunk), OwnerRow)
    if owner is None:
        return None
    row = get_row(table, "chunks", pair_key(owner.inode, owner.start), ChunkRow)
    file = get_row(table, "inodes", number_key(owner.inode), InodeRow)
    assert row is not None and file is not None, f"chunk {chunk} has an owner and no file"
    return FileChunk(owner.inode, owner.start, row, file.replication)


def is_closed(table: Table, inode: int) -> bool:
    """Was this file closed, so that its chunks must be there?"""
    lease = get_row(table, "leases", number_key(inode), LeaseRow)
    return lease is None or lease.appends


def replica_states(nodes: Nodes, row: ChunkRow) -> list[tuple[str, str]]:
    """(node, state) of every replica of a committed chunk that is known of, by node."""
    found: list[tuple[str, str]] = []
    for node in nodes.all():
        if node.replicas.holds(row.chunk, row.generation):
            found.append((node.name, "good" if node.died_ns is None else "dead"))
        elif (reason := node.bad.get(Held(row.chunk, row.generation))) is not None:
            found.append((node.name, reason))
        elif node.replicas.generations(row.chunk):
            found.append((node.name, "stale"))
    return found


def writing_states(lease: LeaseRow) -> list[tuple[str, str]]:
    """(node, state) of the chunk that a lease has allocated, empty when there is none."""
    return [(node, "writing") for node in lease.targets] if lease.chunk else []


def stale_holders(nodes: Nodes, row: ChunkRow) -> list[tuple[NodeState, Held]]:
    """Replicas of older generations of a committed chunk."""
    if row.generation <= 1:
        return []
    return [
        (node, Held(row.chunk, generation))
        for node in nodes.all()
        for generation in node.replicas.generations(row.chunk)
        if generation < row.generation
    ]
