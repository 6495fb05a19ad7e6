"""A datanode's words and the namenode's map: the same in the end, whatever gets lost."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfs.datanode.chunkfile import ReplicaKey
from dfs.datanode.registration import (
    EpochToken,
    Link,
    Membership,
    Registration,
)
from dfs.datanode.replicas import Inventory, Replicas
from dfs.datanode.tasks import Scan, SpaceMeasured, VolumeFound
from dfs.datanode.volumes import Volumes
from dfs.errors import DfsError, NotFound, ProtocolError
from dfs.events import Action, Origin, Peer, Received, Role, Send, Work, WorkDone
from dfs.limits import SECOND_NS
from dfs.wire import namespace as m
from dfs.wire import node as n
from dfs.wire.admin import CheckFiles
from dfs.wire.common import Failed
from tests.namenode.conftest import Namenode

NODE = Peer(Role.DATANODE, "datanode-1")
VOLUME = VolumeFound("disk", Scan([], [], 0, 1, []), SpaceMeasured(1, 1), 0)


@dataclass
class Pair:
    """A datanode's registration and a namenode, with a wire that the test moves messages on."""

    namenode: Namenode = field(default_factory=Namenode)
    disk: dict[ReplicaKey, int] = field(default_factory=dict)
    wire: list[tuple[int, Send]] = field(default_factory=list)
    back: list[tuple[int, int, Any]] = field(default_factory=list)
    link: int = 1
    now_ns: int = 0

    def __post_init__(self) -> None:
        self.boot()

    def boot(self) -> None:
        """A new process of the datanode on the same disk."""
        self.inventory = Inventory(Replicas(self.disk.items()), 50, Volumes([VOLUME]))
        me = Membership(("nn",), ("tcp://x:1",), "host", "rack")
        self.core = Registration(me, self.inventory, count(1), 1)

    def take(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Send():
                    self.wire.append((self.link, action))
                case Work(token=EpochToken() as token):
                    self.take(self.core.epoch_saved(token, WorkDone(token), self.now_ns))

    def tick(self) -> None:
        due = self.core.next_deadline()
        if due is not None:
            self.now_ns = max(self.now_ns, due)
            self.take(self.core.on_deadline(self.now_ns))
        self.take(self.core.tell(self.now_ns))

    def deliver(self, *, twice: bool = False) -> None:
        """The oldest word arrives at the namenode; its answer waits."""
        if not self.wire:
            return
        link, send = self.wire.pop(0)
        if twice:
            self.wire.insert(0, (link, send))
        event = Received(Origin(NODE, link, send.request), send.message, send.payload)
        nn = self.namenode
        for action in nn._take(nn.core.handle(nn._view(), event, nn.now)):
            if hasattr(action, "origin"):
                self.back.append((link, send.request, action.message))
        nn.settle()

    def answer(self) -> None:
        """The oldest answer arrives at the datanode, unless its connection is gone."""
        if self.back:
            link, request, message = self.back.pop(0)
            if link == self.link:
                self.take(self.core.answered(request, message, self.now_ns))
                self.take(self.core.tell(self.now_ns))

    def cut(self) -> None:
        self.link += 1
        self.take(self.core.lost("cut", self.now_ns))
        self.namenode.lose_link(NODE.name)

    def change(self, what: str, chunk: int) -> None:
        key = ReplicaKey(chunk, 1 + chunk % 2)
        if what == "stored":
            self.inventory.stored(key, 1, b"", 0)
            self.disk[key] = 1
        else:
            (self.inventory.missing if what == "missing" else self.inventory.deleted)(key)
            self.disk.pop(key, None)
        self.take(self.core.tell(self.now_ns))

    def do(self, what: str, chunk: int) -> None:
        match what:
            case "tick":
                self.tick()
            case "deliver" | "again":
                self.deliver(twice=what == "again")
            case "answer":
                self.answer()
            case "drop":
                del self.wire[:1]
            case "forget":
                del self.back[:1]
            case "cut":
                self.cut()
            case "node":
                self.cut()
                self.boot()
            case "namenode":
                self.cut()
                self.namenode.restart()
            case _:
                self.change(what, chunk)

    def settle(self) -> None:
        for _ in range(400):
            self.namenode.mono_ns += SECOND_NS // 100
            self.tick()
            while self.wire or self.back:
                self.deliver()
                self.answer()
            state = self.namenode.core.nodes.get(NODE.name)
            if state is not None and state.in_step and not self.inventory.has_news:
                return
        raise AssertionError("the node never comes into step")


STEPS = ("tick", "deliver", "answer") * 4 + ("stored", "stored", "missing", "deleted") * 2
FAULTS = ("again", "drop", "forget", "cut", "node", "namenode")


@given(st.lists(st.tuples(st.sampled_from(STEPS + FAULTS), st.integers(1, 6)), max_size=80))
def test_the_map_is_what_the_node_holds(steps: list[tuple[str, int]]) -> None:
    pair = Pair()
    for what, chunk in steps:
        pair.do(what, chunk)
    pair.settle()
    state = pair.namenode.core.nodes.get(NODE.name)
    assert state is not None
    assert state.replicas.page(0, 100) == sorted((k.chunk, k.generation) for k in pair.disk)


def words(pair: Pair) -> list[str]:
    """What is said until the node is in step."""
    said = []
    while pair.core.link is not Link.SERVING or pair.wire or pair.inventory.has_news:
        if not pair.wire:
            pair.tick()
        if pair.wire:
            said.append(type(pair.wire[0][1].message).__name__)
        pair.deliver()
        pair.answer()
    return [name for name in said if name != "Heartbeat"]


def test_a_link_that_broke_costs_no_report() -> None:
    pair = Pair()
    pair.change("stored", 3)
    assert words(pair) == ["Register", "ReportPage", "ReplicaNews"]
    pair.cut()
    pair.change("stored", 4)
    assert words(pair) == ["Register", "ReplicaNews"]
    pair.cut()
    pair.boot()
    assert words(pair) == ["Register", "ReportPage", "ReplicaNews"]
    pair.cut()
    pair.namenode.restart()
    assert words(pair) == ["Register", "ReportPage", "ReplicaNews"]


def test_a_word_on_an_old_connection_is_not_taken(namenode: Any) -> None:
    old = Origin(Peer(Role.DATANODE, "datanode-1"), 9, 1)
    event = Received(old, n.Heartbeat(1, 1, 1))
    (reply,) = namenode.core.handle(namenode._view(), event, namenode.now).actions
    assert isinstance(reply.message, Failed)
    assert isinstance(reply.message.error(), NotFound)


def test_news_with_a_gap_and_pages_out_of_turn_are_refused(namenode: Any) -> None:
    def refused(message: Any, payload: bytes = b"") -> DfsError:
        with pytest.raises(ProtocolError) as caught:
            namenode.tell("datanode-1", message, payload)
        return caught.value

    assert "came instead of 2" in refused(n.ReplicaNews(3)).message
    row = struct.pack(">QQQ", 1, 1, 5)
    refused(n.ReportPage(1, 0, True), row)  # a late one: report 1 is over
    namenode.tell("datanode-1", n.ReportPage(2, 0, False), row)
    refused(n.ReportPage(2, 2, True))
    refused(n.ReportPage(3, 1, True))


def test_news_that_are_repeated_are_taken_once(namenode: Any) -> None:
    namenode.write("/f")
    chunk = namenode.ask(m.Locate("/f")).chunks[0].chunk
    lost = n.ReplicaNews(2, lost=(n.LostReplica(n.ReplicaId(chunk, 1, 4096), "missing"),))
    namenode.tell("datanode-1", lost)
    namenode.obey("datanode-1", namenode.orders(n.CopyReplica)[0])
    namenode.tell("datanode-1", lost)
    assert len(namenode.ask(m.Locate("/f")).chunks[0].nodes) == 3


def test_a_replica_that_was_set_aside_is_not_told_to_be_missing() -> None:
    inventory = Inventory(Replicas([(ReplicaKey(1, 1), 5)]), 1, Volumes([]))
    key = ReplicaKey(1, 1)
    inventory.set_aside(key, "corrupt")
    inventory.missing(key)
    (lost,) = inventory.next_news().lost
    assert lost.reason == "corrupt"


def test_why_a_replica_is_gone_is_not_forgotten_when_it_is_looked_for_again(namenode: Any) -> None:
    namenode.write("/f")
    chunk = namenode.ask(m.Locate("/f")).chunks[0].chunk
    for sequence, reason in ((2, "corrupt"), (3, "missing")):
        lost = n.LostReplica(n.ReplicaId(chunk, 1, 4096), reason)
        namenode.tell("datanode-1", n.ReplicaNews(sequence, lost=(lost,)))
    (found,) = namenode.ask(CheckFiles("/f", all_chunks=True)).found
    assert [(r.node, r.state) for r in found.replicas if r.state != "good"] == [
        ("datanode-1", "corrupt")
    ]


def test_a_replica_with_another_digest_does_not_count(namenode: Any) -> None:
    """Told before the commit and behind it: either way it is noted and looked at."""
    created = namenode.change(m.Create, path="/f")
    got = namenode.change(m.AddChunk, inode=created.inode, start=0)
    sealed = m.SealedChunk(
        got.chunk, 1, 0, 4096, b"d" * 16, ("datanode-1", "datanode-2", "datanode-3")
    )
    replica = n.ReplicaId(got.chunk, 1, 4096)
    namenode.tell("datanode-1", n.ReplicaNews(2, (n.StoredReplica(replica, b"x" * 16),)))
    namenode.tell("datanode-2", n.ReplicaNews(2, (n.StoredReplica(replica, b"d" * 16),)))
    namenode.change(m.CloseFile, inode=created.inode, size=4096, digest=b"f" * 16, sealed=sealed)
    located = namenode.ask(m.Locate("/f")).chunks[0]
    assert sorted(x.node for x in located.nodes) == ["datanode-2", "datanode-3"]
    namenode.tell("datanode-3", n.ReplicaNews(2, (n.StoredReplica(replica, b"y" * 16),)))
    located = namenode.ask(m.Locate("/f")).chunks[0]
    assert [x.node for x in located.nodes] == ["datanode-2"]
    (check,) = namenode.orders(n.CheckReplica)
    assert (check.to.name, check.message.digest) == ("datanode-3", b"d" * 16)
