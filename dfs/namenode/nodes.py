"""Which datanodes there are, how they feel, and what they hold. Soft state.

A node is *live* while it sends heartbeats, *stale* when it was silent for a while
(it gets no new work, its replicas are offered last), *dead* when it was silent for
longer (its replicas do not count; repair waits a while for it to come back). After
a restart of the namenode every node that ever registered is waited for:
``expected`` names those that were not heard of yet.

``replicas`` maps chunk to generation as the node reported it. Whether a generation
is the right one is asked at use, against the table, never at report time: a report
may arrive before the command that its replica belongs to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from dfs.config.schema import Times
from dfs.wire.namespace import NodeAddress


class Health(StrEnum):
    """How recently a node was heard of."""

    LIVE = "live"
    STALE = "stale"
    DEAD = "dead"


@dataclass(slots=True)
class NodeState:
    """A datanode that registered since the namenode started."""

    address: NodeAddress
    free_bytes: int
    used_bytes: int
    seen_ns: int
    died_ns: int | None = None
    report: int = 0
    next_page: int = 0
    reported: bool = False
    replicas: dict[int, int] = field(default_factory=dict)
    incoming: dict[int, int] = field(default_factory=dict)


class Nodes:
    """All datanodes by name."""

    def __init__(self, times: Times, expected: tuple[str, ...]) -> None:
        self._times = times
        self._nodes: dict[str, NodeState] = {}
        self._expected = dict.fromkeys(expected)

    def register(self, address: NodeAddress, free: int, used: int, now_ns: int) -> None:
        """A node says hello; what it held counts on until its new report is complete."""
        self._expected.pop(address.node, None)
        old = self._nodes.get(address.node)
        state = NodeState(address, free, used, now_ns)
        if old is not None:
            state.replicas = old.replicas
        self._nodes[address.node] = state

    def heartbeat(self, node: str, free: int, used: int, now_ns: int) -> bool:
        """Note a sign of life; False when the node has to register (again)."""
        state = self._nodes.get(node)
        if state is None or state.died_ns is not None:
            return False
        state.seen_ns, state.free_bytes, state.used_bytes = now_ns, free, used
        return True

    def page(self, node: str, report: int, page: int, last: bool, found: dict[int, int]) -> bool:
        """Take a page of a report; False when pages are missing before it."""
        state = self._nodes.get(node)
        if state is None:
            return False
        if page == 0:
            state.report, state.next_page, state.incoming = report, 0, {}
        if report != state.report or page != state.next_page:
            return False
        state.incoming.update(found)
        state.next_page += 1
        if last:
            state.replicas, state.incoming, state.reported = state.incoming, {}, True
        return True

    def add_replica(self, node: str, chunk: int, generation: int) -> None:
        """A node durably holds a replica (a receipt or its own word)."""
        state = self._nodes.get(node)
        if state is not None:
            state.replicas[chunk] = generation
            if not state.reported:
                state.incoming[chunk] = generation

    def drop_replica(self, node: str, chunk: int) -> None:
        """A node no longer holds a good replica."""
        state = self._nodes.get(node)
        if state is not None:
            state.replicas.pop(chunk, None)
            state.incoming.pop(chunk, None)

    def bury(self, now_ns: int) -> list[str]:
        """The nodes that are dead from now on."""
        dead = []
        for name, state in self._nodes.items():
            if state.died_ns is None and now_ns - state.seen_ns >= self._times.dead_ns:
                state.died_ns = now_ns
                dead.append(name)
        return dead

    def health(self, node: str, now_ns: int) -> Health:
        """Live, stale or dead; a node not heard of since the start is dead."""
        state = self._nodes.get(node)
        if state is None or state.died_ns is not None:
            return Health.DEAD
        silent = now_ns - state.seen_ns
        return Health.STALE if silent >= self._times.stale_ns else Health.LIVE

    def get(self, node: str) -> NodeState | None:
        """The state of a node that registered since the start."""
        return self._nodes.get(node)

    def live(self, now_ns: int) -> list[NodeState]:
        """The nodes that may get work, by name."""
        return [s for n, s in sorted(self._nodes.items()) if self.health(n, now_ns) is Health.LIVE]

    def known(self) -> list[str]:
        """All names, those not heard of included."""
        return sorted({*self._nodes, *self._expected})

    def silent(self) -> list[str]:
        """Nodes whose full report is still missing, dead ones left out."""
        waiting = [n for n, s in self._nodes.items() if not s.reported and s.died_ns is None]
        return sorted([*self._expected, *waiting])

    def unheard(self) -> tuple[str, ...]:
        """Nodes whose replicas are not all known: dead ones, and those that did not report."""
        dead = [n for n, s in self._nodes.items() if s.died_ns is not None]
        return tuple(sorted([*self.silent(), *dead]))

    def holders(self, chunk: int, generation: int, now_ns: int) -> list[NodeState]:
        """Nodes with a replica of that generation: live ones first, dead ones left out."""
        found = [s for s in self._holding(chunk, generation) if s.died_ns is None]
        return sorted(found, key=lambda s: now_ns - s.seen_ns >= self._times.stale_ns)

    def expected_copies(self, chunk: int, generation: int, now_ns: int) -> int:
        """Replicas that exist, or will again if a node that just died comes back in time."""
        grace = self._times.repair_after_ns
        return sum(
            1
            for s in self._holding(chunk, generation)
            if s.died_ns is None or now_ns - s.died_ns < grace
        )

    def _holding(self, chunk: int, generation: int) -> Iterator[NodeState]:
        for _, state in sorted(self._nodes.items()):
            if state.replicas.get(chunk) == generation:
                yield state

    def next_deadline(self) -> int | None:
        """When the next node may have to be buried."""
        times = [s.seen_ns for s in self._nodes.values() if s.died_ns is None]
        return min(times) + self._times.dead_ns if times else None
