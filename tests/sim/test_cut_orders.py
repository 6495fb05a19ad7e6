"""A link is cut, or a process stops, at each message of a repair and of a registration.

The cut lasts longer than any deadline. Afterwards the debt is paid, and nothing is left over.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from dfs.client.client import Client
from dfs.datanode import registration
from dfs.datanode.replicas import ROW_BYTES
from dfs.events import NAMENODE, Action, Peer, Reply, Role, Send
from dfs.limits import FRAME_BYTES, ORDER_DEADLINE_NS, SECOND_NS
from dfs.testing.cluster import StorageCluster
from dfs.testing.convergence import containers
from dfs.testing.node import Node
from dfs.wire.admin import GetReport, Report
from dfs.wire.codec import Message
from dfs.wire.data import ReadChunk
from dfs.wire.node import CopyReplica, Register, ReplicaNews, ReportPage

OUTAGE_NS = ORDER_DEADLINE_NS + 30 * SECOND_NS
LIMIT_NS = 120 * SECOND_NS
STEPS_MAX = 60
DATA = bytes(range(256)) * (FRAME_BYTES // 256 + 1)
"""A chunk of two frames."""

IN_FLIGHT = ("._copies._copies", "._writes._writes", "._orders._sent", "._repair._copying")
REPAIR = (CopyReplica, ReadChunk, ReplicaNews)
REGISTRATION = (Register, ReportPage, ReplicaNews)


class Outage:
    """Something happens when a daemon is about to send the ``step``-th message that is a request of
    these kinds or the answer to one; it is over after ``OUTAGE_NS``."""

    def __init__(self, seed: str, kinds: tuple[type[Message], ...]) -> None:
        self.cluster = StorageCluster(seed)
        self.world = self.cluster.world
        self.cluster.settle()
        self.client: Client = self.cluster.client(timeout_ns=2 * OUTAGE_NS)
        self.has_happened = self.is_under_way = False
        self._kinds = kinds
        self._left = 0
        self._asked: set[tuple[Peer, int]] = set()
        self._happens: Callable[[], None] = lambda: None

    def at(self, step: int, happens: Callable[[], None]) -> None:
        self._left, self._happens = step, happens
        self.world.watch = self._see

    def _see(self, node: Node, action: Action) -> None:
        match action:
            case Send() if isinstance(action.message, self._kinds):
                self._asked.add((node.peer, action.request))
            case Reply() if (action.origin.peer, action.origin.request) in self._asked:
                pass
            case _:
                return
        if node.peer.role is Role.CLIENT:
            return
        self._left -= 1
        if self._left == 0:
            self.has_happened = self.is_under_way = True
            self._happens()
            self.world.after(OUTAGE_NS, self._end)

    def _end(self) -> None:
        self.is_under_way = False
        self.world.network.heal()
        for node in (self.cluster.namenode, *self.cluster.datanodes):
            self.world.resume(node)
            self.world.boot(node)

    def lose_disks(self, node: Node) -> None:
        """All chunks of one node are gone."""
        self.world.kill(node)
        self.cluster.replace_disks(node)
        self.world.boot(node)

    def check(self) -> None:
        """What must be there is there, and nothing else."""
        world = self.world
        end_ns = world.now.mono_ns + LIMIT_NS
        while (trouble := self._trouble()) or self.is_under_way:
            if self.is_under_way:
                end_ns = world.now.mono_ns + LIMIT_NS
            elif world.now.mono_ns >= end_ns:
                world.fail(trouble)
            world.run_for(5 * SECOND_NS)
        for node in (self.cluster.namenode, *self.cluster.datanodes):
            assert node.process is not None
            sizes = containers(node.process.step, node.peer.name)
            left = [(path, size) for path, size in sizes if path.endswith(IN_FLIGHT) and size]
            assert not left
        assert self.client.read_bytes("/f") == DATA

    def _trouble(self) -> str:
        """What is not as it was before."""
        report = self.client.run(self.client.namenode.ask(GetReport()))
        assert isinstance(report, Report)
        debts = (report.under_replicated, report.missing, report.surplus, report.deletions)
        chunks = [c for e in self.client.list("/") for c in self.client.locations(e.path)]
        copies, files = [len(c.nodes) for c in chunks], self._files()
        calm = report.state == "serving" and not any((*debts, report.repairs))
        if calm and set(copies) == {3} and files == 3 * len(chunks):
            return ""
        return f"{report}; {files} files for {copies} copies"

    def _files(self) -> int:
        """Chunk files on all disks, the unfinished ones too."""
        disks = [d for node in self.cluster.datanodes for d in self.cluster.disks_of(node)]
        return sum(n.startswith("chunks/") for disk in disks for n in disk.all_names())


Strike = Callable[[Outage], None]


def cut(one: str, other: str, *, both_ways: bool) -> Strike:
    def strike(outage: Outage) -> None:
        first, second = (_node(outage, name).peer for name in (one, other))
        outage.world.network.part(first, second, both_ways=both_ways)

    return strike


def stop(name: str, *, power: bool = False, pause: bool = False) -> Strike:
    def strike(outage: Outage) -> None:
        node = _node(outage, name)
        end = outage.world.pause if pause else partial(outage.world.kill, power=power)
        outage.world.after(0, lambda: end(node))

    return strike


def _node(outage: Outage, name: str) -> Node:
    return next(n for peer, n in outage.world.nodes.items() if peer.name == name)


SOURCE, TARGET = "datanode-1", "datanode-2"
STRIKES: dict[str, Strike] = {
    "source and target": cut(SOURCE, TARGET, both_ways=True),
    "source to target": cut(SOURCE, TARGET, both_ways=False),
    "target to source": cut(TARGET, SOURCE, both_ways=False),
    "namenode and target": cut(NAMENODE.name, TARGET, both_ways=True),
    "namenode to target": cut(NAMENODE.name, TARGET, both_ways=False),
    "target to namenode": cut(TARGET, NAMENODE.name, both_ways=False),
    "source paused": stop(SOURCE, pause=True),
    "target paused": stop(TARGET, pause=True),
    "namenode paused": stop(NAMENODE.name, pause=True),
    "source killed": stop(SOURCE),
    "target killed": stop(TARGET),
    "target loses power": stop(TARGET, power=True),
    "namenode killed": stop(NAMENODE.name),
}


@pytest.mark.parametrize("name", STRIKES)
def test_a_repair_is_made_in_the_end(name: str) -> None:
    """Only one node lacks a chunk that two others hold."""
    for step in range(1, STEPS_MAX):
        outage = Outage(f"repair {name} {step}", REPAIR)
        outage.client.write_bytes("/f", DATA, chunk_size=4 * FRAME_BYTES)
        outage.at(step, partial(STRIKES[name], outage))
        outage.lose_disks(_node(outage, TARGET))
        outage.check()
        if not outage.has_happened:
            break
    assert not outage.has_happened, f"{STEPS_MAX} steps were not enough"


@pytest.mark.parametrize("name", [n for n in STRIKES if "source" not in n])
def test_a_node_is_known_in_the_end(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It registers and reports on several pages."""
    monkeypatch.setattr(registration, "_PAGE_BYTES", 2 * ROW_BYTES)
    for step in range(1, STEPS_MAX):
        outage = Outage(f"report {name} {step}", REGISTRATION)
        for number in range(7):
            outage.client.write_bytes(f"/{number}", b"x" * 9000, chunk_size=FRAME_BYTES)
        outage.client.write_bytes("/f", DATA, chunk_size=4 * FRAME_BYTES)
        outage.at(step, partial(STRIKES[name], outage))
        outage.world.kill(_node(outage, TARGET))
        outage.world.boot(_node(outage, TARGET))
        outage.check()
        if not outage.has_happened:
            break
    assert not outage.has_happened, f"{STEPS_MAX} steps were not enough"
