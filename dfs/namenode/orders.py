"""Orders to datanodes: sent, awaited, sent again. Soft state.

An order that is not answered in time counts as not done: a copy goes back to the
repair queue, deletions are sent again while the node is up. Orders are safe to
repeat, so at most the work is done twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dfs.events import Action, Peer, Role, Send
from dfs.limits import REPAIR_DEADLINE_NS, REPAIRS_PER_NODE
from dfs.wire.codec import Message
from dfs.wire.node import DeleteReplicas, ReplicaId

DELETES_PER_ORDER = 1000


@dataclass(frozen=True, slots=True)
class Order:
    """One order on its way: what it is about, and when it is given up."""

    node: str
    message: Message
    deadline_ns: int


@dataclass(slots=True)
class Orders:
    """All orders by request number, and the deletions that wait for their turn."""

    _sent: dict[int, Order] = field(default_factory=dict)
    _deletes: dict[str, dict[int, ReplicaId]] = field(default_factory=dict)
    _next: int = 1

    def send(self, node: str, message: Message, now_ns: int) -> Action:
        """Send an order to a node that is connected."""
        number, self._next = self._next, self._next + 1
        self._sent[number] = Order(node, message, now_ns + REPAIR_DEADLINE_NS)
        return Send(Peer(Role.DATANODE, node), message, number)

    def answered(self, node: str, number: int) -> Order | None:
        """Take the order that a node answers; None for one already given up."""
        order = self._sent.get(number)
        if order is None or order.node != node:
            return None
        return self._sent.pop(number)

    def overdue(self, now_ns: int) -> list[Order]:
        """Take the orders whose time is over."""
        late = [n for n, order in self._sent.items() if order.deadline_ns <= now_ns]
        return [self._sent.pop(n) for n in late]

    def lost(self, node: str) -> list[Order]:
        """Take the orders to a node whose connection broke."""
        gone = [n for n, order in self._sent.items() if order.node == node]
        return [self._sent.pop(n) for n in gone]

    def in_flight(self, node: str, kind: type[Message]) -> int:
        """How many orders of a kind a node has."""
        return sum(1 for o in self._sent.values() if o.node == node and type(o.message) is kind)

    def has_room(self, node: str, kind: type[Message]) -> bool:
        """May a node get one more order of a kind?"""
        return self.in_flight(node, kind) < REPAIRS_PER_NODE

    def want_deleted(self, node: str, replica: ReplicaId) -> None:
        """A replica that no file needs any more."""
        self._deletes.setdefault(node, {})[replica.chunk] = replica

    def send_deletes(self, nodes: list[str], epoch: int, now_ns: int) -> list[Action]:
        """One batch of deletions for each of these nodes that has none on its way."""
        actions = []
        for node in nodes:
            waiting = self._deletes.get(node)
            if waiting and not self.in_flight(node, DeleteReplicas):
                batch = tuple(list(waiting.values())[:DELETES_PER_ORDER])
                actions.append(self.send(node, DeleteReplicas(epoch, batch), now_ns))
        return actions

    def deleted(self, node: str, replicas: tuple[ReplicaId, ...]) -> None:
        """A node confirmed deletions."""
        waiting = self._deletes.get(node, {})
        for replica in replicas:
            waiting.pop(replica.chunk, None)
        if not waiting:
            self._deletes.pop(node, None)

    def next_deadline(self) -> int | None:
        """When the next order is given up."""
        return min((o.deadline_ns for o in self._sent.values()), default=None)
