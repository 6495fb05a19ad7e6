"""What is copied first, how fast, where to, and what it costs when nothing happens."""

from __future__ import annotations

from typing import Any

import pytest

from dfs.config.schema import Times
from dfs.events import Origin, Peer, Received, Role
from dfs.limits import MIB, REPAIR_BYTES_PER_SECOND, REPLICATION_MAX, SECOND_NS, SWEEP_MAX_ROWS
from dfs.namenode.held import HeldReplicas
from dfs.namenode.nodes import Nodes
from dfs.namenode.orders import Orders
from dfs.namenode.pace import Pace
from dfs.namenode.repair import Judgement
from dfs.namenode.sweep import Walk
from dfs.wire import namespace as m
from dfs.wire import node as n
from dfs.wire.common import Failed
from tests.namenode.conftest import Namenode
from tests.namenode.test_replication import ALL, packed
from tests.namenode.test_trimming import chunk_of, state

FOUR = (*ALL, "datanode-4")


def test_the_fewer_are_left_the_sooner() -> None:
    def urgency(good: int, wanted: int) -> int:
        nodes = [state(str(number)) for number in range(good)]
        return Judgement(nodes, nodes, 0, wanted).urgency

    ranked = [(1, 2), (1, 16), (2, 9), (3, 9), (2, 4), (2, 3)]
    urgencies = [urgency(*each) for each in ranked]
    assert urgencies == sorted(urgencies)
    assert urgencies[:2] == [0, 0]
    assert urgency(2, REPLICATION_MAX) > 0


def test_a_receiver_gets_so_much_a_second() -> None:
    pace = Pace(1000)
    assert pace.may_go("a", 0)
    pace.spend("a", 3000, 0)
    assert not pace.may_go("a", SECOND_NS)
    assert pace.may_go("b", SECOND_NS)
    assert pace.may_go("a", 3 * SECOND_NS)
    pace.spend("a", 500, 100 * SECOND_NS)  # it saved up one second
    assert pace.may_go("a", 100 * SECOND_NS)
    pace.spend("a", 600, 100 * SECOND_NS)
    assert not pace.may_go("a", 100 * SECOND_NS)


@pytest.fixture
def short() -> Namenode:
    """/one has one copy, /two has two of the three it wants; datanode-3 comes back empty."""
    namenode = Namenode()
    namenode.join(*ALL)
    for path in ("/two", "/one"):
        namenode.write(path, (64 * MIB,) * 4)
    namenode.advance(3600)  # all are dead, and written off
    two = [c.chunk for c in namenode.ask(m.Locate("/two")).chunks]
    one = [c.chunk for c in namenode.ask(m.Locate("/one")).chunks]
    both = packed(*((chunk, 1, 64 * MIB) for chunk in sorted(one + two)))
    namenode.join("datanode-1", replicas=both)
    namenode.join("datanode-2", replicas=packed(*((c, 1, 64 * MIB) for c in sorted(two))))
    namenode.orders(n.CopyReplica)
    return namenode


def test_a_single_copy_goes_first_and_does_not_wait_its_turn(short: Namenode) -> None:
    one = {c.chunk for c in short.ask(m.Locate("/one")).chunks}
    short.lose_link("datanode-2")
    short.advance(2, beating=("datanode-1", "datanode-2"))
    orders = short.orders(n.CopyReplica)
    assert {s.message.chunk for s in orders} == one  # type: ignore[attr-defined]
    assert {s.to.name for s in orders} == {"datanode-2"}


def test_other_copies_keep_the_pace(namenode: Namenode) -> None:
    for at in range(12):
        namenode.write(f"/f{at}", (64 * MIB,))
    chunks = sorted(chunk_of(namenode, f"/f{at}") for at in range(12))
    namenode.join("datanode-3")  # it has lost everything
    sent = namenode.orders(n.CopyReplica)
    first = len(sent)
    assert 1 <= first <= 2
    seconds = 0
    while len(sent) < 12:
        for order in sent[-4:]:
            namenode.obey(order.to.name, order)
        namenode.advance(1, beating=ALL)
        seconds += 1
        sent += namenode.orders(n.CopyReplica)
    assert {s.message.chunk for s in sent} == set(chunks)  # type: ignore[attr-defined]
    assert seconds >= (12 - first) * 64 * MIB // REPAIR_BYTES_PER_SECOND - 1


def test_a_copy_that_failed_is_tried_elsewhere_at_once(namenode: Namenode) -> None:
    namenode.join("datanode-4", "datanode-5")
    namenode.write("/f")
    chunk = chunk_of(namenode)
    holder = namenode.ask(m.Locate("/f")).chunks[0].nodes[0].node
    lost = n.LostReplica(n.ReplicaId(chunk, 1, 4096), "missing")
    namenode.tell(holder, n.ReplicaNews(2, lost=(lost,)))
    (order,) = namenode.orders(n.CopyReplica)
    namenode.obey(order.to.name, order, Failed(19, "no"))
    (again,) = namenode.orders(n.CopyReplica)
    assert again.to.name != order.to.name


def test_a_node_that_copies_may_accuse_a_source(namenode: Namenode) -> None:
    namenode.write("/f")
    chunk = chunk_of(namenode)
    namenode.tell("datanode-1", m.BadReplica(chunk, 1, "datanode-2"))
    (check,) = namenode.orders(n.CheckReplica)
    assert check.to.name == "datanode-2"
    assert check.message.digest == b"d" * 16  # type: ignore[attr-defined]


def test_checks_are_bounded_per_node(namenode: Namenode) -> None:
    namenode.write("/f", (4096,) * 9, chunk_bytes=4096)
    for chunk in namenode.ask(m.Locate("/f")).chunks:
        namenode.ask(m.BadReplica(chunk.chunk, 1, "datanode-1"))
    assert len(namenode.orders(n.CheckReplica)) == 4


def test_a_death_walks_over_the_replicas_of_that_node_only() -> None:
    before, after = HeldReplicas(), HeldReplicas()
    for chunk in range(1, 3 * SWEEP_MAX_ROWS):
        before.add(chunk, 1)
        if chunk != SWEEP_MAX_ROWS + 7:
            after.add(chunk, 1)
    after.add(5, 2)
    after.add(10**6, 1)
    for one, other in ((before, after), (after, before)):
        walk, found = Walk("a", one, other, 0), list[int]()
        while not walk.is_done:
            found += walk.step()
        assert found == [5, SWEEP_MAX_ROWS + 7, 10**6]
    walk, found = Walk("a", before, HeldReplicas(), 0), []
    while not walk.is_done:
        found += walk.step()
    assert found == list(range(1, 3 * SWEEP_MAX_ROWS))


def test_what_a_node_lost_while_it_was_away_is_found(namenode: Namenode) -> None:
    namenode.join("datanode-4")
    for at in range(6):
        namenode.write(f"/f{at}")
    lost = [
        chunk_of(namenode, f"/f{at}")
        for at in range(6)
        if "datanode-1" in [x.node for x in namenode.ask(m.Locate(f"/f{at}")).chunks[0].nodes]
    ]
    namenode.join("datanode-1")  # a new process on an empty disk
    namenode.advance(2, beating=FOUR)
    ordered: list[Any] = namenode.orders(n.CopyReplica)
    assert {order.message.chunk for order in ordered} <= set(lost)
    assert namenode.ask(m.GetStatus()).under_replicated == len(lost)


@pytest.mark.parametrize("is_back", [False, True])
def test_what_a_node_lost_before_it_died_again_is_found(
    namenode: Namenode, *, is_back: bool
) -> None:
    """It reported anew, without its chunk, and fell silent before it was in step."""
    namenode.join("datanode-4")
    namenode.write("/a", (4096,))
    holders = [node.name for node in namenode.core.nodes.holding(chunk_of(namenode, "/a"), 1)]
    (spare,) = set(FOUR) - set(holders)
    lost = holders[0]
    others = tuple({*FOUR} - {lost})
    namenode.lose_link(lost)
    word = n.Register((f"tcp://{lost}:1",), "host", "default", 9 << 30, 9 << 30, 0, 0, 1)
    namenode.tell(lost, word)
    namenode.tell(lost, n.ReportPage(1, 0, True))
    if is_back:
        namenode.advance(25, beating=others)
        namenode.join(lost)
    namenode.advance(35, beating=FOUR if is_back else others)
    (order,) = namenode.orders(n.CopyReplica)
    assert order.to.name in ((spare, lost) if is_back else (spare,))


def test_a_node_that_comes_back_late_makes_copies_superfluous(namenode: Namenode) -> None:
    namenode.join("datanode-4")
    namenode.write("/f")
    chunk, nodes = chunk_of(namenode), namenode.ask(m.Locate("/f")).chunks[0].nodes
    gone = nodes[0].node
    awake = tuple(x for x in FOUR if x != gone)
    namenode.advance(31, beating=awake)
    (order,) = namenode.orders(n.CopyReplica)
    namenode.obey(order.to.name, order)
    namenode.join(gone, replicas=packed((chunk, 1, 4096)))
    namenode.advance(1, beating=FOUR)
    assert len(namenode.orders(n.DeleteReplicas)) == 1


def test_news_that_are_too_many_are_replaced_by_a_sweep(
    namenode: Namenode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dfs.namenode.reports.NEWS_WAITING_MAX_CHUNKS", 2)
    namenode.write("/f", (4096,) * 4, chunk_bytes=4096)
    chunks = [c.chunk for c in namenode.ask(m.Locate("/f")).chunks]
    lost = tuple(n.LostReplica(n.ReplicaId(c, 1, 4096), "corrupt") for c in chunks)
    namenode.tell("datanode-1", n.ReplicaNews(2, lost=lost))
    namenode.pause()
    assert namenode.ask(m.GetStatus()).under_replicated == 4


def test_deletions_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dfs.namenode.orders.DELETIONS_WAITING_MAX_PER_NODE", 2)
    orders = Orders()
    wanted = [orders.want_deleted("a", n.ReplicaId(chunk, 1, 1)) for chunk in (1, 2, 3)]
    assert wanted == [True, True, False]
    assert orders.deletions == 2
    (sent,) = orders.send_deletes(["a", "b"], 1, 0)
    assert orders.send_deletes(["a"], 1, 0) == []
    assert orders.deletions == 2
    assert orders.lost("a") != []  # the connection broke: they wait, and go again
    (again,) = orders.send_deletes(["a"], 1, 0)
    assert again.message == sent.message  # type: ignore[union-attr]


def test_a_full_node_gets_no_copy(namenode: Namenode) -> None:
    namenode.join("datanode-4")
    namenode.write("/f")
    holders = {x.node for x in namenode.ask(m.Locate("/f")).chunks[0].nodes}
    (spare,) = set(FOUR) - holders
    lost = n.LostReplica(n.ReplicaId(chunk_of(namenode), 1, 4096), "corrupt")
    loser = sorted(holders)[0]
    for node in (spare, loser):
        word = n.Heartbeat(8000, 1, 8001, largest_free_bytes=4000)  # on several disks
        beat = Received(Origin(Peer(Role.DATANODE, node), 1, 5), word)
        namenode._take(namenode.core.handle(namenode._view(), beat, namenode.now))
    namenode.tell(loser, n.ReplicaNews(2, lost=(lost,)))
    assert namenode.orders(n.CopyReplica) == []
    assert namenode.ask(m.GetStatus()).under_replicated == 1
    namenode.advance(2, beating=FOUR)
    assert len(namenode.orders(n.CopyReplica)) == 1


def test_a_map_of_nodes_knows_who_is_up() -> None:
    assert Nodes(Times(), ("a",)).up == 0
