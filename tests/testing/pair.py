"""Two simulated processes that ask each other, and keep what happens to them."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from dfs.events import (
    Action,
    Event,
    LinkLost,
    Now,
    Peer,
    Received,
    Reply,
    Role,
    Send,
)
from dfs.limits import SECOND_NS
from dfs.net.step import PlainStep
from dfs.testing.node import Node, Process
from dfs.testing.world import World
from dfs.wire.common import Ok, Ping

A = Peer(Role.DATANODE, "datanode-1")
B = Peer(Role.DATANODE, "datanode-2")


class Recorder:
    """A machine whose core keeps its events and answers pings; it may do more by ``react``."""

    def __init__(self, react: Callable[[Event], list[Action]] | None = None) -> None:
        self.events: list[Event] = []
        self.worked: list[Any] = []
        self.lost_power = 0
        self._react = react or (lambda event: [])

    def boot(self, now: Now) -> Process:
        self.events.clear()
        return Process(PlainStep(self), self.execute)

    def execute(self, task: Any) -> Any:
        if task == "bad":
            raise OSError("the disk is gone")
        self.worked.append(task)
        return task

    def lose_process(self) -> None:
        pass

    def lose_power(self, rng: Random) -> None:
        self.lost_power += 1

    def handle(self, event: Event, now: Now) -> list[Action]:
        self.events.append(event)
        if isinstance(event, Received) and event.message == Ping():
            return [Reply(event.origin, Ok()), *self._react(event)]
        return self._react(event)

    def on_deadline(self, now: Now) -> list[Action]:
        return []

    def next_deadline(self) -> int | None:
        return None


class Pair:
    """Two recorders in one world."""

    def __init__(self, react: Callable[[Event], list[Action]] | None = None) -> None:
        self.world = World(1, "the command")
        self.a, self.b = Recorder(), Recorder(react)
        self.node_a = self.world.add(A, ("sim://a",), self.a)
        self.node_b = self.world.add(B, ("sim://b",), self.b)

    def act(self, node: Node, *actions: Action) -> None:
        self.world.inject(node, lambda now: list(actions))

    def ping(self, request: int = 1) -> None:
        self.act(self.node_a, Send(B, Ping(), request, endpoints=("sim://b",)))

    def settle(self) -> None:
        self.world.run_for(SECOND_NS)

    def lost(self, recorder: Recorder) -> list[LinkLost]:
        return [e for e in recorder.events if isinstance(e, LinkLost)]
