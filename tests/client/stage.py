"""A stage for operations: one core, virtual time, and a dumb cluster behind it.

``Stage.run`` plays an operation to its end. Nothing here waits: when no message is under way,
time jumps to the core's next deadline.
"""

from __future__ import annotations

from typing import Any

from dfs.client.core import ClientCore, Finished
from dfs.client.effects import Operation
from dfs.client.namenode import ClientSettings, Namenode
from dfs.events import NAMENODE, Action, Event, Now, Peer, Received, Role, Send
from dfs.limits import SECOND_NS
from tests.client.dumb_cluster import CLUSTER, DumbCluster

HOST = "here"

__all__ = ["HOST", "NAMENODE", "Stage", "datanode"]


class Stage:
    """The core, the dumb cluster, and what is under way between them."""

    def __init__(self, nodes: int = 3, timeout_ns: int = 60 * SECOND_NS) -> None:
        self.core = ClientCore()
        self.now_ns = SECOND_NS
        self.cluster = DumbCluster(nodes)
        self.nodes = self.cluster.nodes
        self.dumb = self.cluster.namenode
        self.notices: list[str] = []
        settings = ClientSettings(CLUSTER, ("tcp://nn:1",), HOST, timeout_ns)
        self.namenode = Namenode(settings, self.notices.append)
        self.finished: dict[int, Finished] = {}
        self.sent: list[Send] = []
        self.duplicates = False
        self._events: list[Event] = []

    def now(self) -> Now:
        return Now(self.now_ns, 0)

    def start(self, operation: Operation[Any]) -> int:
        number, actions = self.core.start(operation, self.now())
        self.carry_out(actions)
        return number

    def feed(self, operation: int, *items: object) -> None:
        for item in items:
            self.carry_out(self.core.feed(operation, item, self.now()))

    def run(self, operation: Operation[Any]) -> Any:
        return self.result(self.start(operation))

    def result(self, number: int) -> Any:
        """Play until this operation has ended; its result, or its error raised."""
        while number not in self.finished:
            assert self.step(), "the operation waits for nothing"
        end = self.finished.pop(number)
        if end.error is not None:
            raise end.error
        return end.result

    def step(self) -> bool:
        """Deliver one message, or let time pass up to the next deadline; False: nothing to do."""
        if self._events:
            event = self._events.pop(0)
            self.carry_out(self.core.handle(event, self.now()))
            if self.duplicates and isinstance(event, Received):
                self.carry_out(self.core.handle(event, self.now()))
        else:
            deadline_ns = self.core.next_deadline()
            if deadline_ns is None:
                return False
            self.now_ns = max(self.now_ns, deadline_ns)
            self.carry_out(self.core.on_deadline(self.now()))
        for end in self.core.take_finished():
            self.finished[end.operation] = end
        return True

    def carry_out(self, actions: list[Action]) -> None:
        for action in actions:
            assert isinstance(action, Send)
            self.sent.append(action)
            self._events += self.cluster.deliver(action)
        for end in self.core.take_finished():
            self.finished[end.operation] = end


def datanode(name: str) -> Peer:
    """The peer of that name."""
    return Peer(Role.DATANODE, name)
