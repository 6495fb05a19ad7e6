"""Choosing the datanodes of a chunk. Pure: the same question has the same answer.

Nodes where no single disk has the room, or that the writer could not reach, are left
out. The rest is ranked: hosts and racks not yet used come first, so that copies do
not fail together; then emptier nodes, in steps of a sixteenth of their capacity, so
that small differences do not send all writers to one node; then a rotation by chunk
number, which spreads writers over equals.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from dfs.namenode.nodes import NodeState

FULLNESS_STEPS = 16


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many nodes are wanted for which chunk, with room for how much."""

    count: int
    chunk: int
    room_bytes: int


def choose_targets(
    nodes: Sequence[NodeState],
    wanted: Wanted,
    avoid: Collection[str] = (),
    used: Sequence[NodeState] = (),
) -> list[NodeState]:
    """Up to ``wanted.count`` of ``nodes``, best first, beside those already ``used``."""
    able = [
        node
        for node in nodes
        if node.address.node not in avoid and node.largest_free_bytes >= wanted.room_bytes
    ]
    chosen: list[NodeState] = []
    while able and len(chosen) < wanted.count:
        hosts = {n.address.host for n in (*used, *chosen)}
        racks = {n.address.rack for n in (*used, *chosen)}
        best = min(
            range(len(able)),
            key=lambda at: (
                able[at].address.host in hosts,
                able[at].address.rack in racks,
                fullness(able[at]),
                (at - wanted.chunk) % len(able),
            ),
        )
        chosen.append(able.pop(best))
    return chosen


def fullness(node: NodeState) -> int:
    """How full a node is, in steps; ``FULLNESS_STEPS`` is full or unknown."""
    total = node.free_bytes + node.used_bytes
    return node.used_bytes * FULLNESS_STEPS // total if total else FULLNESS_STEPS


def copies_needed(asked: int, replication: int, registered: int) -> int:
    """How many receipts make a chunk durable: what was asked for, else 2 or all there can be.

    ``registered``: datanodes of the cluster, up or not. A cluster of one needs one copy.
    """
    if asked:
        return min(asked, replication)
    return max(1, min(2, replication, registered))


def too_few_text(live: int, registered: int, need: int) -> str:
    """Why a chunk cannot be placed, and what to do about it."""
    are = "is" if live == 1 else "are"
    copies = "copy" if need == 1 else "copies"
    text = f"{live} of {registered} datanodes {are} up and a write needs {need} {copies}"
    if live == 0:
        return f"{text}: start one"
    return f"{text}: start one, or repeat with --min-durable {live}"
