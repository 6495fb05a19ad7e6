"""Datanodes come and go: reports, health, safe mode, repair, epochs, status."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from dfs.errors import NotFound, OlderMetadata, ProtocolError, Refused
from dfs.events import Hangup, Origin, Peer, Received, Role
from dfs.limits import SWEEP_MAX_ROWS
from dfs.namenode.commands import EpochRaised
from dfs.namenode.keys import EPOCH, get_number
from dfs.namenode.module import LogCopies
from dfs.wire import namespace as m
from dfs.wire import node as n
from dfs.wire.common import Failed, Ok

ALL = ("datanode-1", "datanode-2", "datanode-3")


def packed(*replicas: tuple[int, int, int]) -> bytes:
    return b"".join(struct.pack(">QQQ", *r) for r in replicas)


def test_a_node_that_is_not_registered_is_told_so(namenode: Any) -> None:
    with pytest.raises(NotFound):
        namenode.tell("datanode-9", n.Heartbeat(1, 1, 1))
    with pytest.raises(Refused):
        namenode.tell("datanode-9", n.Register((), "h", "r", 1, 1, 0, 0, 0))


def test_silent_nodes_turn_stale_then_dead_then_register_again(namenode: Any) -> None:
    namenode.advance(5)
    states = {s.node: s.state for s in namenode.ask(m.GetStatus()).nodes}
    assert set(states.values()) == {"stale"}
    namenode.advance(15)
    status = namenode.ask(m.GetStatus())
    assert {s.state for s in status.nodes} == {"dead"}
    assert "datanode-2 is dead" in status.reasons
    with pytest.raises(NotFound):
        namenode.tell("datanode-1", n.Heartbeat(1, 1, 1))
    namenode.join(*ALL)
    assert namenode.ask(m.GetStatus()).state == "serving"


def test_stale_holders_are_offered_last(namenode: Any) -> None:
    namenode.write("/f")
    namenode.advance(6, beating=("datanode-2",))
    assert namenode.ask(m.Locate("/f")).chunks[0].nodes[0].node == "datanode-2"


def test_report_pages_in_order_make_a_whole_report(lone_namenode: Any) -> None:
    lone_namenode.tell("datanode-1", n.Register(("tcp://a:1",), "h", "r", 9, 9, 0, 0, 1))
    with pytest.raises(ProtocolError):
        lone_namenode.tell("datanode-1", n.ReportPage(1, 1, True), packed((1, 1, 5)))
    lone_namenode.tell("datanode-1", n.ReportPage(1, 0, False), packed((1, 1, 5)))
    assert lone_namenode.core.nodes.silent() == ["datanode-1"]
    lone_namenode.tell("datanode-1", n.ReportPage(1, 1, True), packed((2, 1, 5)))
    assert lone_namenode.core.nodes.silent() == []
    with pytest.raises(ProtocolError):
        lone_namenode.tell("datanode-1", n.ReportPage(2, 0, True), b"short")


def test_a_dead_nodes_chunks_are_copied_after_the_grace_time(namenode: Any) -> None:
    namenode.join("datanode-4")
    for at in range(5):
        namenode.write(f"/f{at}")
    chunks = [namenode.ask(m.Locate(f"/f{at}")).chunks[0] for at in range(5)]
    lost = {c.chunk for c in chunks if "datanode-1" in [x.node for x in c.nodes]}
    assert lost
    alive = ("datanode-2", "datanode-3", "datanode-4")
    namenode.advance(29, beating=alive)
    assert namenode.orders(n.CopyReplica) == []
    namenode.advance(3, beating=alive)
    done = set()
    for _ in range(5):
        for order in namenode.orders(n.CopyReplica):
            assert "datanode-1" not in [s.node for s in order.message.sources]
            assert order.to.name not in [s.node for s in order.message.sources]
            done.add(order.message.chunk)
            namenode.obey(order.to.name, order)
    assert done == lost
    for at in range(5):
        nodes = [x.node for x in namenode.ask(m.Locate(f"/f{at}")).chunks[0].nodes]
        assert len(nodes) == 3
        assert "datanode-1" not in nodes
    assert namenode.ask(m.GetStatus()).under_replicated == 0


def test_a_node_that_returns_in_time_costs_no_copy(namenode: Any) -> None:
    namenode.join("datanode-4")
    namenode.write("/f")
    holder = namenode.ask(m.Locate("/f")).chunks[0].nodes[0].node
    chunk = namenode.ask(m.Locate("/f")).chunks[0].chunk
    others = tuple(x for x in (*ALL, "datanode-4") if x != holder)
    namenode.advance(25, beating=others)
    namenode.join(holder, replicas=packed((chunk, 1, 4096)))
    namenode.advance(60, beating=(*ALL, "datanode-4"))
    assert namenode.orders(n.CopyReplica) == []


def test_a_debt_is_paid_when_a_node_joins(lone_namenode: Any) -> None:
    lone_namenode.join("datanode-1")
    closed = lone_namenode.write("/f")
    assert closed.durable == 1
    assert lone_namenode.orders(n.CopyReplica) == []
    lone_namenode.join("datanode-2")
    (order,) = lone_namenode.orders(n.CopyReplica)
    assert order.to.name == "datanode-2"
    lone_namenode.obey("datanode-2", order)
    assert len(lone_namenode.ask(m.Locate("/f")).chunks[0].nodes) == 2


def test_a_copy_that_failed_is_tried_again_after_a_pause(lone_namenode: Any) -> None:
    lone_namenode.join("datanode-1")
    lone_namenode.write("/f")
    lone_namenode.join("datanode-2")
    (order,) = lone_namenode.orders(n.CopyReplica)
    lone_namenode.obey("datanode-2", order, Failed(19, "no"))
    assert lone_namenode.orders(n.CopyReplica) == []
    lone_namenode.advance(3, beating=("datanode-1", "datanode-2"))
    (again,) = lone_namenode.orders(n.CopyReplica)
    lone_namenode.lose_link("datanode-2")
    lone_namenode.obey("datanode-2", again)
    lone_namenode.advance(3, beating=("datanode-1", "datanode-2"))
    (last,) = lone_namenode.orders(n.CopyReplica)
    lone_namenode.advance(70, beating=("datanode-1", "datanode-2"))
    assert len(lone_namenode.orders(n.CopyReplica)) == 1
    lone_namenode.obey("datanode-2", last, Ok())


def test_copies_on_their_way_are_bounded_per_node(lone_namenode: Any) -> None:
    lone_namenode.join("datanode-1")
    for at in range(20):
        lone_namenode.write(f"/f{at}")
    lone_namenode.join("datanode-2")
    orders = lone_namenode.orders(n.CopyReplica)
    assert len(orders) == 4
    assert lone_namenode.ask(m.GetStatus()).under_replicated == 20
    lone_namenode.obey("datanode-2", orders[0])
    assert len(lone_namenode.orders(n.CopyReplica)) == 1


def test_a_lost_replica_is_replaced_and_the_bad_node_not_asked(namenode: Any) -> None:
    namenode.write("/f")
    chunk = namenode.ask(m.Locate("/f")).chunks[0].chunk
    lost = n.LostReplica(n.ReplicaId(chunk, 1, 4096), "corrupt")
    namenode.tell("datanode-1", n.ReplicaNews(2, lost=(lost,)))
    (order,) = namenode.orders(n.CopyReplica)
    assert order.to.name == "datanode-1"
    assert sorted(s.node for s in order.message.sources) == ["datanode-2", "datanode-3"]


def test_a_readers_word_only_makes_the_node_look(namenode: Any) -> None:
    namenode.write("/f")
    chunk = namenode.ask(m.Locate("/f")).chunks[0].chunk
    namenode.ask(m.BadReplica(chunk, 1, "datanode-1"))
    assert [s.to.name for s in namenode.orders(n.CheckReplica)] == ["datanode-1"]
    assert len(namenode.ask(m.Locate("/f")).chunks[0].nodes) == 3
    namenode.ask(m.BadReplica(999, 1, "datanode-1"))
    assert namenode.orders(n.CheckReplica) == []


def test_safe_mode_lasts_until_all_have_reported(namenode: Any) -> None:
    namenode.write("/f")
    chunk = namenode.ask(m.Locate("/f")).chunks[0].chunk
    namenode.restart()
    status = namenode.ask(m.GetStatus())
    assert status.safe_mode
    assert "datanode-1, datanode-2, datanode-3" in status.reasons[-1]
    namenode.join("datanode-1", "datanode-2", replicas=packed((chunk, 1, 4096)))
    namenode.change(m.Remove, path="/f")
    namenode.advance(29, beating=("datanode-1", "datanode-2"))
    assert namenode.ask(m.GetStatus()).safe_mode
    assert namenode.orders(n.DeleteReplicas) == []
    namenode.join("datanode-3", replicas=packed((chunk, 1, 4096)))
    assert not namenode.ask(m.GetStatus()).safe_mode
    assert len(namenode.orders(n.DeleteReplicas)) >= 2


def test_safe_mode_ends_after_a_minute_but_deletions_wait_ten_more(namenode: Any) -> None:
    namenode.write("/f")
    chunk = namenode.ask(m.Locate("/f")).chunks[0].chunk
    namenode.restart()
    two = ("datanode-1", "datanode-2")
    namenode.join(*two, replicas=packed((chunk, 1, 4096)))
    namenode.change(m.Remove, path="/f")
    namenode.advance(61, beating=two)
    assert not namenode.ask(m.GetStatus()).safe_mode
    assert namenode.orders(n.DeleteReplicas) == []
    namenode.advance(600, beating=two)
    assert len(namenode.orders(n.DeleteReplicas)) == 2


def test_a_chunk_without_replicas_is_counted_and_found_again(namenode: Any) -> None:
    namenode.write("/f")
    chunk = namenode.ask(m.Locate("/f")).chunks[0].chunk
    namenode.restart()
    namenode.join(*ALL)
    assert namenode.ask(m.GetStatus()).missing == 1
    assert namenode.ask(m.Locate("/f")).chunks[0].nodes == ()
    namenode.join("datanode-1", replicas=packed((chunk, 1, 4096)))
    assert namenode.ask(m.GetStatus()).missing == 0


def test_a_replica_of_another_generation_does_not_count(namenode: Any) -> None:
    namenode.write("/f")
    chunk = namenode.ask(m.Locate("/f")).chunks[0].chunk
    namenode.restart()
    namenode.join("datanode-1", replicas=packed((chunk, 2, 4096)))
    assert namenode.ask(m.Locate("/f")).chunks[0].nodes == ()


def test_metadata_older_than_the_datanodes_raises_the_epoch(namenode: Any) -> None:
    namenode.join("datanode-4", highest=1000)
    answer = namenode.tell(
        "datanode-5", n.Register(("tcp://x:1",), "h", "default", 1 << 40, 1 << 40, 0, 0, 1)
    )
    assert answer.epoch == get_number(namenode.table, EPOCH, 1) > 1
    namenode.write("/f")
    assert namenode.ask(m.Locate("/f")).chunks[0].chunk > 1 << 32


def test_nodes_that_registered_before_the_epoch_was_raised_register_again(namenode: Any) -> None:
    peer = Peer(Role.DATANODE, "datanode-4")
    word = n.Register(("tcp://x:1",), "h", "default", 1 << 40, 1 << 40, 0, 1000, 1)
    event = Received(Origin(peer, 1, 7), word)
    decision = namenode.core.handle(namenode._view(), event, namenode.now)
    hung_up = [action.to.name for action in decision.actions if isinstance(action, Hangup)]
    assert hung_up == ["datanode-1", "datanode-2", "datanode-3"]


@pytest.mark.parametrize("word", [{"highest": 1000}, {"epoch": 2}])
def test_older_metadata_end_the_namenode_where_its_log_was_kept_elsewhere(
    namenode: Any, word: dict[str, int]
) -> None:
    namenode.copies = LogCopies(2, 1)
    with pytest.raises(OlderMetadata, match="datanode-4 has obeyed epoch"):
        namenode.join("datanode-4", **word)
    assert not any(isinstance(command, EpochRaised) for command in namenode.log)


def test_a_long_sweep_goes_on_in_slices(lone_namenode: Any) -> None:
    lone_namenode.join("datanode-1")
    for at in range(3):
        lone_namenode.write(f"/f{at}", (4096,) * (SWEEP_MAX_ROWS // 2), chunk_bytes=4096)
    lone_namenode.restart()
    lone_namenode.join("datanode-1")
    lone_namenode.pause()
    status = lone_namenode.ask(m.GetStatus())
    assert status.chunks == status.missing == 3 * (SWEEP_MAX_ROWS // 2)
