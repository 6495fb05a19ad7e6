"""Which task a free slot gets: a pure ranking of what waits.

A map whose input lies on the worker's own node goes first. Any other map may go once it has
waited ``LOCALITY_WAIT_NS`` (delay scheduling: Zaharia et al., "Delay Scheduling", EuroSys
2010), or at once when no live worker stands beside its input. Among equals the oldest goes
first, then the smallest index. Only the first ``LOCALITY_WINDOW_TASKS`` are looked at, so that
a choice costs the same however long the queue is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from mapreduce.limits import LOCALITY_WAIT_NS, LOCALITY_WINDOW_TASKS

NODE_LOCAL = "node"
REMOTE = "remote"


class Waiting(Protocol):
    """A map that waits. ``nodes`` hold its input best; None: nobody has looked yet."""

    index: int
    since_ns: int
    nodes: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Pick:
    """A choice: where the input is from there, and if it is not local, why."""

    index: int
    locality: str
    miss: str = ""


def pick_task(
    waiting: Iterable[Waiting], node: str, staffed: Collection[str], now_ns: int
) -> Pick | None:
    """The map for a free slot beside ``node``; ``waiting`` comes oldest first.

    ``staffed`` are the nodes that have a live worker beside them.
    """
    other: Pick | None = None
    for task in islice(waiting, LOCALITY_WINDOW_TASKS):
        if task.nodes and node in task.nodes:
            return Pick(task.index, NODE_LOCAL)
        if other is None:
            miss = why_remote(task, staffed, now_ns)
            other = Pick(task.index, REMOTE, miss) if miss else None
    return other


def why_remote(task: Waiting, staffed: Collection[str], now_ns: int) -> str:
    """Why a map need not wait for a slot beside its input any longer; '' while it should."""
    waited = now_ns - task.since_ns >= LOCALITY_WAIT_NS
    if task.nodes is None:
        return "no replica of its input is known" if waited else ""
    if not task.nodes:
        return "its input is stored with the namenode"
    if not any(node in staffed for node in task.nodes):
        return f"no live worker on {', '.join(task.nodes)}"
    return f"no free slot on {', '.join(task.nodes)} for 3 s" if waited else ""


def best_nodes(
    extents: Iterable[tuple[int, int, tuple[str, ...]]], start: int, end: int
) -> tuple[str, ...]:
    """The nodes that hold the most bytes of the range, sorted; () when nobody holds any.

    ``extents`` are (start, length, nodes) of the chunks.
    """
    held: dict[str, int] = {}
    for chunk_start, length, nodes in extents:
        size = min(end, chunk_start + length) - max(start, chunk_start)
        for node in nodes if size > 0 else ():
            held[node] = held.get(node, 0) + size
    most = max(held.values(), default=0)
    return tuple(sorted(node for node, size in held.items() if size == most))
