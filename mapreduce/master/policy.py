"""How far from its input a map may run, and which job goes first. Pure rankings.

Delay scheduling (Zaharia et al., "Delay Scheduling", EuroSys 2010): a map goes at once to a worker
on a node that holds its input, after ``LOCALITY_WAIT_NS`` to one in the same rack, and after
``RACK_WAIT_NS`` to any. It does not wait for what is not there: a node or rack without a live
worker, input that lies with the namenode. Why a map is not local is kept in words.

Jobs of a higher priority go first. Among equals a job that has less than its fair share of the
slots goes before those that have theirs, then the one that was submitted first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from dfs.limits import SECOND_NS
from mapreduce.limits import LOCALITY_WAIT_NS, RACK_WAIT_NS

NODE_LOCAL = "node"
RACK_LOCAL = "rack"
REMOTE = "remote"


class Waiting(Protocol):
    """A map that waits. ``nodes`` hold its input best; None: nobody has looked yet."""

    index: int
    since_ns: int
    nodes: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Staff:
    """Where live workers are: how many by node and by rack; ``racks`` of nodes that are known."""

    nodes: Mapping[str, int]
    racks_staffed: Mapping[str, int]
    racks: Mapping[str, str]

    def racks_of(self, nodes: Iterable[str]) -> tuple[str, ...]:
        """The racks of these nodes that have a live worker, sorted."""
        racks = {self.racks.get(node, "") for node in nodes}
        return tuple(sorted(rack for rack in racks if rack and self.racks_staffed.get(rack)))


@dataclass(frozen=True, slots=True)
class Reach:
    """Where a map may go that does not wait for its node any longer: into one of ``racks``, and
    with ``anywhere`` to any worker. With the reasons for either."""

    racks: tuple[str, ...]
    why_rack: str
    anywhere: bool
    why_remote: str


NOWHERE = Reach((), "", False, "")


def reach(task: Waiting, staff: Staff, now_ns: int) -> Reach:
    """How far a map may go now, beside the nodes that hold its input."""
    waited_ns = now_ns - task.since_ns
    if task.nodes is None:
        if waited_ns < LOCALITY_WAIT_NS:
            return NOWHERE
        return Reach((), "", True, "no replica of its input is known")
    if not task.nodes:
        return Reach((), "", True, "its input is stored with the namenode")
    staffed = any(staff.nodes.get(node) for node in task.nodes)
    if staffed and waited_ns < LOCALITY_WAIT_NS:
        return NOWHERE
    nodes, racks = ", ".join(task.nodes), staff.racks_of(task.nodes)
    why = f"no live worker on {nodes}"
    if staffed:
        why = f"no free slot on {nodes} for {LOCALITY_WAIT_NS // SECOND_NS} s"
    if not racks:
        return Reach((), "", True, why)
    within = f"{nodes} and in {', '.join(racks)}"
    why_remote = f"no free slot on {within} for {RACK_WAIT_NS // SECOND_NS} s"
    return Reach(racks, why, waited_ns >= RACK_WAIT_NS, why_remote)


def next_ripe_ns(since_ns: int, now_ns: int) -> int | None:
    """When a map may leave its node, or else its rack; None: it may go anywhere already."""
    times = (since_ns + LOCALITY_WAIT_NS, since_ns + RACK_WAIT_NS)
    return next((at for at in times if at > now_ns), None)


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
