"""Orders to datanodes: sent, awaited, sent again. Soft state.

An order that is not answered in time counts as not done: a copy goes back to the
repair queue, deletions that are known to be right are sent again while the node is up.
Orders are safe to repeat, so at most the work is done twice.

Two kinds of deletion meet here. A replica that no file will ever name again *waits*
until its node confirms that it is gone, however long the node is away. A surplus
replica is *leaving* from the moment the order is sent and counts nowhere until the
answer comes; without one nobody knows, so it is not sent again but decided anew, once the
node is in step. What is to be set *aside* waits like the former, in a queue of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice

from dfs.events import Action, Note, Peer, Role, Send
from dfs.limits import (
    CHECK_DEADLINE_NS,
    DELETE_MAX_REPLICAS,
    DELETIONS_WAITING_MAX_PER_NODE,
    ORDER_DEADLINE_NS,
    REPAIRS_PER_NODE,
)
from dfs.namenode.held import Held
from dfs.quantities import counted
from dfs.wire.codec import Message
from dfs.wire.node import CheckReplica, CopyReplica, DeleteReplicas, QuarantineReplicas, ReplicaId


@dataclass(frozen=True, slots=True)
class Order:
    """One order on its way: what it is about, and when it is given up."""

    node: str
    message: Message
    deadline_ns: int

    @property
    def text(self) -> str:
        """What it wants done."""
        match self.message:
            case CopyReplica():
                return f"copy chunk {self.message.chunk}"
            case DeleteReplicas():
                return f"delete {counted(len(self.message.replicas), 'replica')}"
            case QuarantineReplicas():
                return f"set {counted(len(self.message.replicas), 'replica')} aside"
            case _:
                return "check a replica"


@dataclass(slots=True)
class Orders:
    """All orders by request number, and the deletions that wait for their turn."""

    _sent: dict[int, Order] = field(default_factory=dict)
    _waiting: dict[str, dict[Held, ReplicaId]] = field(default_factory=dict)
    _surplus: dict[str, dict[Held, ReplicaId]] = field(default_factory=dict)
    _leaving: dict[str, dict[Held, None]] = field(default_factory=dict)
    _aside: dict[str, dict[Held, ReplicaId]] = field(default_factory=dict)
    _next: int = 1

    # -- sending and hearing

    def send(self, node: str, message: Message, now_ns: int) -> Action:
        """Send an order to a node that is connected."""
        number, self._next = self._next, self._next + 1
        wait_ns = CHECK_DEADLINE_NS if isinstance(message, CheckReplica) else ORDER_DEADLINE_NS
        self._sent[number] = Order(node, message, now_ns + wait_ns)
        return Send(Peer(Role.DATANODE, node), message, number)

    def answered(self, node: str, number: int) -> Order | None:
        """Take the order that a node answers; None for one already given up."""
        order = self._sent.get(number)
        if order is None or order.node != node:
            return None
        return self._take(number)

    def overdue(self, now_ns: int) -> list[Order]:
        """Take the orders whose time is over."""
        late = [n for n, order in self._sent.items() if order.deadline_ns <= now_ns]
        return [self._take(n) for n in late]

    def lost(self, node: str) -> list[Order]:
        """Take the orders to a node whose connection broke."""
        gone = [n for n, order in self._sent.items() if order.node == node]
        return [self._take(n) for n in gone]

    def _take(self, number: int) -> Order:
        order = self._sent.pop(number)
        if isinstance(order.message, DeleteReplicas):
            self._leaving.pop(order.node, None)
        return order

    def in_flight(self, node: str, *kinds: type[Message]) -> int:
        """How many orders of some kinds a node has."""
        return sum(1 for o in self._sent.values() if o.node == node and type(o.message) in kinds)

    def has_room(self, node: str, kind: type[Message]) -> bool:
        """May a node get one more order of a kind?"""
        return self.in_flight(node, kind) < REPAIRS_PER_NODE

    @property
    def copies(self) -> int:
        """How many copies are on their way."""
        return sum(1 for o in self._sent.values() if isinstance(o.message, CopyReplica))

    # -- setting aside

    def want_aside(self, node: str, replica: ReplicaId) -> bool:
        """A replica that people may still want; False when too many wait already."""
        return _put(self._aside.setdefault(node, {}), replica)

    def send_aside(self, nodes: list[str], epoch: int, now_ns: int) -> list[Action]:
        """One batch to be set aside for each of these nodes that has none on its way."""
        actions: list[Action] = []
        for node in nodes:
            batch = tuple(islice(self._aside.get(node, {}).values(), DELETE_MAX_REPLICAS))
            if not batch or self.in_flight(node, QuarantineReplicas):
                continue
            actions.append(self.send(node, QuarantineReplicas(epoch, batch), now_ns))
            text = f"{counted(len(batch), 'replica')} of a lost history on {node}: set aside"
            actions.append(Note(text))
        return actions

    def set_aside(self, node: str, replicas: tuple[ReplicaId, ...]) -> None:
        """A node confirmed that it set replicas aside."""
        _take(self._aside, node, replicas)

    # -- deletions

    def want_deleted(self, node: str, replica: ReplicaId) -> bool:
        """A replica that no file needs any more; False when too many wait already."""
        return _put(self._waiting.setdefault(node, {}), replica)

    def may_drop(self, node: str) -> bool:
        """May a surplus replica of this node go into the next order?"""
        is_free = not self.in_flight(node, DeleteReplicas)
        return is_free and len(self._surplus.get(node, ())) < DELETE_MAX_REPLICAS

    def drop(self, node: str, replica: ReplicaId) -> None:
        """Put a surplus replica into the next order; ``send_deletes`` must follow."""
        held = Held(replica.chunk, replica.generation)
        self._surplus.setdefault(node, {})[held] = replica
        self._leaving.setdefault(node, {})[held] = None

    def is_leaving(self, node: str, held: Held) -> bool:
        """Is the node ordered to delete this replica?"""
        return held in self._leaving.get(node, ()) or held in self._waiting.get(node, ())

    def staying(self, node: str, chunks: list[int]) -> list[int]:
        """Those of these chunks whose generation 1 the node is not ordered to delete."""
        leaving = self._leaving.get(node, {}), self._waiting.get(node, {})
        if not any(leaving):
            return chunks
        return [chunk for chunk in chunks if not any(Held(chunk, 1) in some for some in leaving)]

    def send_deletes(self, nodes: list[str], epoch: int, now_ns: int) -> list[Action]:
        """One batch of deletions for each of these nodes that has none on its way."""
        actions = []
        for node in nodes:
            surplus = self._surplus.pop(node, {})
            waiting = self._waiting.get(node, {})
            if self.in_flight(node, DeleteReplicas) or not (surplus or waiting):
                assert not surplus, f"{node} has surplus to delete and an order on its way"
                continue
            room = DELETE_MAX_REPLICAS - len(surplus)
            batch = (*surplus.values(), *islice(waiting.values(), room))
            self._leaving[node] = {Held(r.chunk, r.generation): None for r in batch}
            actions.append(self.send(node, DeleteReplicas(epoch, batch), now_ns))
        return actions

    def deleted(self, node: str, replicas: tuple[ReplicaId, ...]) -> None:
        """A node confirmed deletions."""
        _take(self._waiting, node, replicas)

    @property
    def deletions(self) -> int:
        """How many deletions wait or are on their way."""
        surplus = sum(len(batch) for batch in self._leaving.values())
        waiting = sum(len(batch) for batch in self._waiting.values())
        both = sum(h in self._waiting.get(n, ()) for n, b in self._leaving.items() for h in b)
        return surplus + waiting - both

    def is_idle(self, node: str) -> bool:
        """Has the node no order about deletion or quarantine?"""
        return not self.in_flight(node, DeleteReplicas, QuarantineReplicas, CheckReplica)

    def next_deadline(self) -> int | None:
        """When the next order is given up."""
        return min((o.deadline_ns for o in self._sent.values()), default=None)


def _put(waiting: dict[Held, ReplicaId], replica: ReplicaId) -> bool:
    if len(waiting) >= DELETIONS_WAITING_MAX_PER_NODE:
        return False
    waiting[Held(replica.chunk, replica.generation)] = replica
    return True


def _take(
    queues: dict[str, dict[Held, ReplicaId]], node: str, replicas: tuple[ReplicaId, ...]
) -> None:
    waiting = queues.get(node, {})
    for replica in replicas:
        waiting.pop(Held(replica.chunk, replica.generation), None)
    if not waiting:
        queues.pop(node, None)
