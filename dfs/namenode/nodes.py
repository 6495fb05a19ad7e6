"""Which datanodes there are, how they feel, and what they hold. Soft state.

A node is *live* while it sends heartbeats, *stale* when it was silent for a while
(it gets no new work, its replicas are offered last), *dead* when it was silent for
longer (its replicas do not count; repair waits a while for it to come back). After
a restart of the namenode every node that ever registered is waited for:
``expected`` names those that were not heard of yet.

What a node holds is known from its full report and, behind it, from its news, which
are numbered without a gap. A node whose connection broke says how far its news were
confirmed; if that fits what was taken here, only what changed is sent. A node is *in
step* from the moment it said that no news wait: only then may anything be deleted
elsewhere because of what it holds. Words on another connection than the one it
registered on are not taken, so a late one can do no harm.

Whether a replica is the right one is asked at use, against the table, never at report
time: a report may arrive before the command that its replica belongs to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from dfs.config.schema import Times
from dfs.errors import ProtocolError
from dfs.events import Payload, Peer, Role
from dfs.limits import BAD_REPLICAS_MAX_PER_NODE, UNPROVEN_MAX_PER_NODE
from dfs.namenode.held import Held, HeldReplicas, Report
from dfs.wire.namespace import NodeAddress
from dfs.wire.node import DiskRoom, Register


class Health(StrEnum):
    """How recently a node was heard of."""

    LIVE = "live"
    STALE = "stale"
    DEAD = "dead"


NEVER_REPORTED = -1


@dataclass(slots=True, eq=False)
class NodeState:
    """A datanode that registered since the namenode started.

    ``sequence`` numbers the last news taken (0: the full report, ``NEVER_REPORTED``: nothing
    yet). ``former`` is what it held before the full report that is under way or was just taken.
    ``is_new``: it came, or came back from the dead, and its replicas were not looked at.
    ``bad`` has what it gave up lately, with the reason, and ``given_up`` counts all of it;
    ``unchecked`` counts the replicas that it did not look at when it was told to, and
    ``why_unchecked`` is the last reason;
    ``unproven`` the digests of replicas whose chunk no file has yet. ``is_written_off``: its
    replicas are being copied elsewhere. ``largest_free_bytes``: the longest chunk it can take.
    """

    address: NodeAddress
    free_bytes: int
    used_bytes: int
    seen_ns: int
    link: int = 0
    died_ns: int | None = None
    is_new: bool = True
    is_written_off: bool = False
    replicas: HeldReplicas = field(default_factory=HeldReplicas)
    former: HeldReplicas | None = None
    report: Report | None = None
    last_report: int = 0
    sequence: int = NEVER_REPORTED
    in_step: bool = False
    bad: dict[Held, str] = field(default_factory=dict)
    given_up: int = 0
    unchecked: int = 0
    why_unchecked: str = ""
    unproven: dict[Held, bytes] = field(default_factory=dict)
    quarantined: int = 0
    failed_volumes: tuple[str, ...] = ()
    largest_free_bytes: int = 0
    disks: tuple[DiskRoom, ...] = ()

    @property
    def name(self) -> str:
        """The node's id."""
        return self.address.node

    @property
    def reported(self) -> bool:
        """Has it sent a whole report since the namenode started?"""
        return self.sequence != NEVER_REPORTED

    def give_up(self, replica: Held, reason: str) -> bool:
        """The node lost a replica; why is remembered for a while. Is it news?

        What was set aside as corrupt is missed as well when it is looked for once more.
        """
        if replica in self.bad:
            return False
        self.given_up += 1
        self.bad[replica] = reason
        if len(self.bad) > BAD_REPLICAS_MAX_PER_NODE:
            del self.bad[next(iter(self.bad))]
        return True

    def claim(self, replica: Held, digest: bytes) -> None:
        """The node sealed a replica with this digest; it will be compared at the commit."""
        self.unproven[replica] = digest
        if len(self.unproven) > UNPROVEN_MAX_PER_NODE:
            del self.unproven[next(iter(self.unproven))]


@dataclass(frozen=True, slots=True)
class Introduction:
    """What a node says of itself when it registers; see ``Register``."""

    address: NodeAddress
    free_bytes: int
    used_bytes: int
    link: int = 0
    incarnation: int = 0
    sequence: int = 0
    quarantined: int = 0
    failed_volumes: tuple[str, ...] = ()
    largest_free_bytes: int = 0
    disks: tuple[DiskRoom, ...] = ()


def introduced(name: str, link: int, word: Register) -> Introduction:
    """A node that registers over a connection."""
    return Introduction(
        NodeAddress(name, word.endpoints, word.host, word.rack),
        word.free_bytes,
        word.used_bytes,
        link,
        word.incarnation,
        word.sequence,
        word.quarantined,
        word.failed_volumes,
        word.largest_free_bytes,
        word.disks,
    )


class Nodes:
    """All datanodes by name. ``incarnation`` is this namenode's process."""

    def __init__(self, times: Times, expected: tuple[str, ...], incarnation: int = 1) -> None:
        self._times = times
        self._nodes: dict[str, NodeState] = {}
        self._expected = dict.fromkeys(expected)
        self.incarnation = incarnation

    # -- a node's standing

    def register(self, word: Introduction, now_ns: int) -> bool:
        """A node says hello; True when it has to send a full report.

        What it held counts on until its new report is complete.
        """
        name = word.address.node
        self._expected.pop(name, None)
        old = self._nodes.get(name)
        state = NodeState(word.address, word.free_bytes, word.used_bytes, now_ns, word.link)
        state.quarantined, state.failed_volumes = word.quarantined, word.failed_volumes
        state.largest_free_bytes, state.disks = word.largest_free_bytes, word.disks
        if old is None:
            self._nodes = dict(sorted((*self._nodes.items(), (name, state))))
            return True
        self._nodes[name] = state
        state.is_written_off, state.former = old.is_written_off, old.former
        state.replicas, state.bad, state.unproven = old.replicas, old.bad, old.unproven
        state.given_up, state.unchecked = old.given_up, old.unchecked
        state.why_unchecked = old.why_unchecked
        knows = word.incarnation == self.incarnation and old.reported
        if knows and word.sequence <= old.sequence <= word.sequence + 1:
            state.sequence, state.last_report = old.sequence, old.last_report
            state.is_new = old.is_new or old.died_ns is not None
            return False
        return True

    def hear(self, name: str, link: int) -> NodeState | None:
        """The node that says something on a connection; None when it has to register first."""
        state = self._nodes.get(name)
        if state is None or state.died_ns is not None or state.link != link:
            return None
        return state

    def heartbeat(self, name: str, free: int, used: int, now_ns: int) -> None:
        """Note a sign of life of a node that is registered."""
        state = self._nodes[name]
        state.seen_ns, state.free_bytes, state.used_bytes = now_ns, free, used

    def not_checked(self, name: str, why: str) -> None:
        """A node did not look at a replica that it was to look at."""
        state = self._nodes.get(name)
        if state is not None:
            state.unchecked += 1
            state.why_unchecked = why

    def out_of_step(self, name: str) -> None:
        """The connection to a node broke: it may hold other replicas than it told."""
        state = self._nodes.get(name)
        if state is not None:
            state.in_step = False

    def take_page(self, state: NodeState, report: int, page: int, payload: Payload) -> None:
        """A page of a full report. Raises ``ProtocolError`` when it must begin again."""
        if page == 0 and report > state.last_report:
            state.report, state.last_report = Report(report), report
        if state.report is None or state.report.number != report:
            raise ProtocolError(f"page {page} of report {report} is not expected: begin again")
        state.report.take(page, payload)

    def finish_report(self, state: NodeState) -> None:
        """The last page was taken: from now on the report counts."""
        assert state.report is not None
        if state.former is None:
            state.former = state.replicas
        state.replicas = state.report.held
        state.report, state.sequence = None, 0

    def is_next_news(self, state: NodeState, sequence: int) -> bool:
        """Are these news to be taken? False: they were. Raises ``ProtocolError`` for a gap."""
        if not state.reported or sequence not in (state.sequence, state.sequence + 1):
            raise ProtocolError(f"news {sequence} came instead of {state.sequence + 1}")
        is_next = sequence == state.sequence + 1
        state.sequence = sequence
        return is_next

    def add_replica(self, node: str, chunk: int, generation: int) -> None:
        """A node durably holds a replica (a receipt or its own word)."""
        state = self._nodes.get(node)
        if state is not None:
            state.bad.pop(Held(chunk, generation), None)
            state.replicas.add(chunk, generation)

    def drop_replica(self, node: str, chunk: int, generation: int) -> None:
        """A node no longer holds a good replica."""
        state = self._nodes.get(node)
        if state is not None:
            state.unproven.pop(Held(chunk, generation), None)
            state.replicas.discard(chunk, generation)

    def bury(self, now_ns: int) -> list[NodeState]:
        """The nodes that are dead from now on."""
        dead = []
        for state in self._nodes.values():
            if state.died_ns is None and now_ns - state.seen_ns >= self._times.dead_ns:
                state.died_ns = now_ns
                state.in_step = False
                dead.append(state)
        return dead

    # -- questions

    def health(self, node: str, now_ns: int) -> Health:
        """Live, stale or dead; a node not heard of since the start is dead."""
        state = self._nodes.get(node)
        if state is None or state.died_ns is not None:
            return Health.DEAD
        return Health.LIVE if self.is_live(state, now_ns) else Health.STALE

    def is_live(self, state: NodeState, now_ns: int) -> bool:
        """Was this node heard of just now?"""
        return state.died_ns is None and now_ns - state.seen_ns < self._times.stale_ns

    def get(self, node: str) -> NodeState | None:
        """The state of a node that registered since the start."""
        return self._nodes.get(node)

    def all(self) -> list[NodeState]:
        """The nodes that registered since the start, by name."""
        return list(self._nodes.values())

    def peers(self) -> list[Peer]:
        """Those that are not dead, as peers."""
        return [Peer(Role.DATANODE, s.name) for s in self._nodes.values() if s.died_ns is None]

    def live(self, now_ns: int) -> list[NodeState]:
        """The nodes that may get work, by name."""
        return [s for s in self._nodes.values() if self.is_live(s, now_ns)]

    @property
    def up(self) -> int:
        """How many nodes are not dead."""
        return sum(1 for state in self._nodes.values() if state.died_ns is None)

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
        found = [s for s in self.holding(chunk, generation) if s.died_ns is None]
        return sorted(found, key=lambda s: not self.is_live(s, now_ns))

    def holding(self, chunk: int, generation: int) -> Iterator[NodeState]:
        """Nodes with a replica of that generation, dead ones too, by name."""
        for state in self._nodes.values():
            if state.replicas.holds(chunk, generation):
                yield state

    def comes_back(self, state: NodeState, now_ns: int) -> bool:
        """Is this dead node still waited for?"""
        died_ns = state.died_ns
        return died_ns is not None and now_ns - died_ns < self._times.repair_after_ns

    def next_deadline(self) -> int | None:
        """When the next node may have to be buried."""
        times = [s.seen_ns for s in self._nodes.values() if s.died_ns is None]
        return min(times) + self._times.dead_ns if times else None
