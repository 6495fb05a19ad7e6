"""A client in a simulation: the production ``Client``, whose waiting is virtual time.

``SimulatedConnection`` has the face of ``dfs.client.connection.Connection``. Where that
waits for its I/O thread, this one lets the world go on. So ``Client`` and its file
objects run unchanged, and faults strike while they wait.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any, Generic, Protocol, TypeVar, cast

from dfs.client.client import Client
from dfs.client.connection import Connection
from dfs.client.core import ClientCore
from dfs.client.effects import Operation
from dfs.client.local_chunks import read_locally
from dfs.client.namenode import ClientSettings, Namenode
from dfs.datanode.chunkfile import ReplicaKey, sealed_path
from dfs.errors import BadArgument, NotFound, StorageFault
from dfs.events import Action, Now, Peer, Role
from dfs.limits import SECOND_NS, WRITE_AHEAD_FRAMES
from dfs.net.step import PlainStep
from dfs.testing.disk import MemoryDisk
from dfs.testing.node import Node, Process
from dfs.testing.users import UserKilled
from dfs.testing.world import World

T = TypeVar("T")

HANG_NS = 600 * SECOND_NS
"""No operation may take longer than this, whatever fails."""


class ClientMachine:
    """The memory of a client process. Killed, it is not started again."""

    def __init__(self, world: World) -> None:
        self.core = ClientCore()
        self._open_chunk = partial(_open_chunk, world)
        self.running: dict[int, SimulatedRunning[Any]] = {}

    def boot(self, now: Now) -> Process:
        return Process(PlainStep(self.core), partial(read_locally, self._open_chunk), self._collect)

    def lose_process(self) -> None:
        for running in self.running.values():
            running.end(None, UserKilled())
        self.running.clear()

    def lose_power(self, rng: Random) -> None:
        self.lose_process()

    def _collect(self) -> None:
        for number in self.core.take_consumed():
            if number in self.running:
                self.running[number].queued -= 1
        for finished in self.core.take_finished():
            running = self.running.pop(finished.operation, None)
            if running is not None:
                running.end(finished.result, finished.error)


class _OpenChunk:
    """The bytes of a chunk file as they were when it was opened."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read_at(self, offset: int, length: int) -> bytes:
        return self._content[offset : offset + length]

    def close(self) -> None:
        pass


class _WithDisks(Protocol):
    disks: list[MemoryDisk]


def _open_chunk(world: World, endpoint: str, chunk: int, generation: int) -> _OpenChunk:
    """As a datanode's descriptor service does it, on whichever of its disks the chunk lies."""
    node = world.nodes[Peer(Role.DATANODE, endpoint.removeprefix("fd:"))]
    if node.process is None or node.is_paused:
        raise StorageFault(f"{endpoint}: connection refused")
    name = sealed_path(ReplicaKey(chunk, generation))
    for disk in cast("_WithDisks", node.machine).disks:
        if name in disk.all_names():
            return _OpenChunk(disk.content(name))
    raise NotFound(f"{endpoint} does not hold chunk {chunk}")


class SimulatedRunning(Generic[T]):
    """An operation under way; see ``dfs.client.io_thread.Running``."""

    def __init__(self, world: World, node: Node, machine: ClientMachine) -> None:
        self._world = world
        self._node = node
        self._machine = machine
        self._result: Any = None
        self._error: BaseException | None = None
        self.done = False
        self.queued = 0
        self.number = 0

    def begin(self, operation: Operation[T]) -> None:
        """Start it in the core."""

        def start(now: Now) -> list[Any]:
            self.number, actions = self._machine.core.start(operation, now)
            self._machine.running[self.number] = self
            return actions

        self._inject(start)

    def wait(self, timeout_ns: int | None = None) -> T:
        """Its result, or its error raised."""
        self._pass_time(lambda: self.done, timeout_ns or HANG_NS)
        if self._error is not None:
            raise self._error
        return cast("T", self._result)

    def feed(self, item: object) -> None:
        """Hand it an item; waits while it has enough."""
        self._pass_time(lambda: self.done or self.queued < WRITE_AHEAD_FRAMES, HANG_NS)
        if self.done:
            raise self._error or BadArgument("the operation has ended")
        self.queued += 1
        self.feed_at_once(item)

    def feed_at_once(self, item: object) -> None:
        """Hand it an item without waiting."""
        feed = self._machine.core.feed
        self._inject(lambda now: feed(self.number, item, now))

    def drain(self) -> None:
        """Wait until it has taken everything fed to it."""
        self._pass_time(lambda: self.done or not self.queued, HANG_NS)
        if self._error is not None:
            raise self._error

    def abandon(self) -> None:
        """Nobody wants its result any more."""
        self._machine.core.abandon(self.number)
        self._machine.running.pop(self.number, None)
        self.end(None, BadArgument("the operation was abandoned"))

    def end(self, result: Any, error: BaseException | None) -> None:
        """It has ended."""
        if not self.done:
            self.done, self._result, self._error = True, result, error

    def _inject(self, call: Callable[[Now], list[Action]]) -> None:
        if self._node.process is None:
            raise UserKilled
        self._world.inject(self._node, call)

    def _pass_time(self, is_true: Callable[[], bool], limit_ns: int) -> None:
        self._world.run_until(is_true, limit_ns, f"operation {self.number} of the client")


class SimulatedConnection:
    """See the module's text."""

    def __init__(self, world: World, name: str, settings: ClientSettings) -> None:
        self.namenode = Namenode(settings)
        self._world = world
        self._machine = ClientMachine(world)
        self._node = world.add(Peer(Role.CLIENT, name), (), self._machine)
        self._keeper = self.start(self.namenode.keep_session())

    @property
    def node(self) -> Node:
        """The process."""
        return self._node

    @property
    def core(self) -> ClientCore:
        """The client's core, for looking at its queues."""
        return self._machine.core

    def start(self, operation: Operation[T]) -> SimulatedRunning[T]:
        """Begin an operation."""
        running: SimulatedRunning[T] = SimulatedRunning(self._world, self._node, self._machine)
        running.begin(operation)
        return running

    def run(self, operation: Operation[T]) -> T:
        """The result of an operation."""
        return self.start(operation).wait()

    def client(self) -> Client:
        """The production client over this connection."""
        return Client(cast("Connection", self))

    def close(self) -> None:
        """End the session."""
        self.run(self.namenode.close_session())
        self._keeper.abandon()
