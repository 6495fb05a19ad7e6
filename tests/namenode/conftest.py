"""A namenode core over a table in memory: messages in, answers out, commands applied at once."""

from __future__ import annotations

from typing import Any

import pytest

from dfs.config.schema import Files, Times
from dfs.errors import DfsError
from dfs.events import (
    Action,
    Decision,
    LinkLost,
    Now,
    Origin,
    Peer,
    Received,
    Reply,
    Role,
    Send,
    WorkDone,
)
from dfs.limits import SECOND_NS, SWEEP_PAUSE_NS
from dfs.namenode.apply import MODULE
from dfs.namenode.core import NamenodeSettings, NamespaceCore
from dfs.namenode.module import ALONE, NO_SNAPSHOT, Command, View
from dfs.namenode.safemode import CheckView
from dfs.namenode.table import MemoryTable
from dfs.wire import namespace as m
from dfs.wire import node as n
from dfs.wire.codec import Message
from dfs.wire.common import Failed, Ok

ANNA = Peer(Role.CLIENT, "anna")
WALL_NS = 1_800_000_000 * SECOND_NS


class Namenode:
    """Drives a core as the step does, without a log: what is decided is applied at once."""

    def __init__(self, replication: int = 3) -> None:
        self.table = MemoryTable(MODULE.tables)
        self.times = Times(repair_after_ns=10 * SECOND_NS)
        self.files = Files(replication=replication)
        self.index = 0
        self.mono_ns = SECOND_NS
        self.log: list[Command] = []
        self.indexes: list[int] = []
        self.sent: list[Send] = []
        self.session = 0
        self.sequence = 0
        self.is_full = False
        self.snapshot = NO_SNAPSHOT
        self.first_index = 1
        self.copies = ALONE
        self.restart()

    @property
    def now(self) -> Now:
        return Now(self.mono_ns, WALL_NS + self.mono_ns)

    def restart(self, *, is_checked: bool = True) -> None:
        """A new core on the same table, as after a crash with a synced log."""
        self.mono_ns += 1
        settings = NamenodeSettings("c1", "root", self.files, self.times, is_checked=is_checked)
        self.core = NamespaceCore(settings, self.table, self.now)
        self.settle()

    def _take(self, decision: Decision) -> list[Action]:
        if decision.commands:
            self.index += 1
            for command in decision.commands:
                MODULE.apply(self.table, self.index, command)
            self.log += decision.commands
            self.indexes += [self.index] * len(decision.commands)
        self.sent += [a for a in decision.actions if isinstance(a, Send)]
        return decision.actions

    def _view(self) -> View:
        return View(
            self.table,
            self.index + 1,
            self.is_full,
            self.copies,
            snapshot=self.snapshot,
            first_index=self.first_index,
        )

    def settle(self) -> None:
        """Run everything that is due now."""
        for _ in range(10_000):
            due = self.core.next_deadline()
            if due is None or due > self.mono_ns:
                return
            self._take(self.core.on_deadline(self._view(), self.now))
        raise AssertionError("the core never settles")

    def advance(self, seconds: float, beating: tuple[str, ...] = ()) -> None:
        """Let time pass, with heartbeats of these nodes each second."""
        end = self.mono_ns + int(seconds * SECOND_NS)
        while self.mono_ns < end:
            self.mono_ns = min(end, self.mono_ns + SECOND_NS)
            for name in beating:
                beat = n.Heartbeat(100 << 30, 1 << 30, 101 << 30, largest_free_bytes=100 << 30)
                self.tell(name, beat)
            self.settle()

    def ask(self, message: Message, peer: Peer = ANNA, payload: bytes = b"") -> Any:
        """The answer to a message; a Failed one is raised."""
        event = Received(Origin(peer, 1, 7), message, payload)
        actions = self._take(self.core.handle(self._view(), event, self.now))
        self.settle()
        replies = [a.message for a in actions if isinstance(a, Reply)]
        assert len(replies) == 1, f"{message} got {len(replies)} answers"
        if isinstance(replies[0], Failed):
            raise replies[0].error()
        return replies[0]

    def tell(self, node: str, message: Message, payload: bytes = b"") -> Any:
        """A message of a datanode."""
        return self.ask(message, Peer(Role.DATANODE, node), payload)

    def obey(self, node: str, order: Send, answer: Message | None = None) -> None:
        """A datanode answers an order."""
        origin = Origin(Peer(Role.DATANODE, node), 1, order.request)
        event = Received(origin, answer or Ok())
        self._take(self.core.handle(self._view(), event, self.now))
        self.settle()

    def conclude(self, problem: str = "", error: Exception | None = None) -> list[Action]:
        """The verdict on the view."""
        done = WorkDone(CheckView(), problem, error)
        actions = self._take(self.core.handle(self._view(), done, self.now))
        self.settle()
        return actions

    def lose_link(self, node: str) -> None:
        event = LinkLost(Peer(Role.DATANODE, node), 1, "gone")
        self._take(self.core.handle(self._view(), event, self.now))
        self.settle()

    def join(
        self, *names: str, host: str = "", replicas: bytes = b"", highest: int = 0, epoch: int = 1
    ) -> None:
        """Datanodes register and report; each on its own host unless ``host`` is given."""
        for name in names:
            where = host or f"host-of-{name}"
            word = n.Register(
                (f"tcp://{name}:1",),
                where,
                "default",
                101 << 30,
                100 << 30,
                1 << 30,
                highest,
                epoch,
                largest_free_bytes=100 << 30,
            )
            self.tell(name, word)
            self.tell(name, n.ReportPage(1, 0, True), replicas)
            self.tell(name, n.ReplicaNews(1))
            self.pause()

    def pause(self) -> None:
        """Let a sweep that was asked for run to its end."""
        for _ in range(10):
            self.mono_ns += SWEEP_PAUSE_NS
            self.settle()

    def change(self, cls: type[m.Change], **fields: Any) -> Any:
        """A change in the session of the test, opened when it is first needed."""
        if not self.session:
            self.session = self.ask(m.OpenSession()).session
        self.sequence += 1
        return self.ask(cls(self.session, self.sequence, self.sequence, **fields))

    def write(self, path: str, lengths: tuple[int, ...] = (4096,), **fields: Any) -> m.Closed:
        """A file of chunks of these lengths, each with receipts of all its targets."""
        created = self.change(m.Create, path=path, **fields)
        sealed, start = None, 0
        for length in lengths:
            got = self.change(m.AddChunk, inode=created.inode, start=start, sealed=sealed)
            nodes = tuple(t.node for t in got.chain)
            sealed = m.SealedChunk(got.chunk, got.generation, start, length, b"d" * 16, nodes)
            start += length
        closed = self.change(
            m.CloseFile, inode=created.inode, size=start, digest=b"f" * 16, sealed=sealed
        )
        assert isinstance(closed, m.Closed)
        return closed

    def names(self, path: str = "/") -> list[str]:
        return [entry.path for entry in self.ask(m.List(path)).entries]

    def orders(self, kind: type[Message]) -> list[Send]:
        """Take the orders of a kind that were sent since the last look."""
        found = [s for s in self.sent if isinstance(s.message, kind)]
        self.sent = [s for s in self.sent if not isinstance(s.message, kind)]
        return found

    def fails(self, error: type[DfsError], cls: type[m.Change], **fields: Any) -> DfsError:
        with pytest.raises(error) as caught:
            self.change(cls, **fields)
        return caught.value


@pytest.fixture
def namenode() -> Namenode:
    """A namenode with three live datanodes."""
    made = Namenode()
    made.join("datanode-1", "datanode-2", "datanode-3")
    return made


@pytest.fixture
def lone_namenode() -> Namenode:
    """A namenode that no datanode has registered with."""
    return Namenode()
