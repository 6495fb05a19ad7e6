"""Replicas that are too many or too old: which go, and when none may."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfs.events import Hangup
from dfs.limits import ORDER_DEADLINE_NS, SECOND_NS
from dfs.namenode import reports
from dfs.namenode.keys import ChunkRow, get_row, pair_key, put_row
from dfs.namenode.namespace import lease_row
from dfs.namenode.nodes import NodeState
from dfs.namenode.standing import replica_states, writing_states
from dfs.namenode.surplus import surplus_of
from dfs.wire import namespace as m
from dfs.wire import node as n
from dfs.wire.common import Failed
from tests.namenode.test_replication import ALL, packed

FOUR = (*ALL, "datanode-4")


def state(name: str, host: str = "", rack: str = "r", used: int = 0) -> NodeState:
    address = m.NodeAddress(name, ("x",), host or name, rack)
    return NodeState(address, 1600 - used, used, 0)


@pytest.mark.parametrize(
    ("nodes", "dropped"),
    [
        ([state("a"), state("b"), state("c")], []),
        ([state("a"), state("b"), state("c"), state("d", used=800)], ["d"]),
        ([state("a", "h"), state("b", "h"), state("c", used=1500), state("d")], ["b"]),
        ([state("a", rack="s"), state("b"), state("c"), state("d")], ["d"]),
        ([state(x) for x in "abcde"], ["e", "d"]),
    ],
)
def test_hosts_and_racks_stay_different_and_the_fullest_goes(
    nodes: list[NodeState], dropped: list[str]
) -> None:
    assert [node.name for node in surplus_of(nodes, 3)] == dropped


@given(st.integers(0, 9), st.integers(0, 9))
def test_as_many_as_wanted_stay_and_never_none(count: int, replication: int) -> None:
    nodes = [state(str(number)) for number in range(count)]
    left = count - len(surplus_of(nodes, replication))
    assert left == min(count, max(1, replication))


def chunk_of(namenode: Any, path: str = "/f") -> int:
    chunk = namenode.ask(m.Locate(path)).chunks[0].chunk
    assert isinstance(chunk, int)
    return chunk


def holders(namenode: Any) -> list[str]:
    return sorted(x.node for x in namenode.ask(m.Locate("/f")).chunks[0].nodes)


def add_copy(namenode: Any, node: str, chunk: int, generation: int = 1) -> None:
    """A node tells of a replica that nobody ordered."""
    sequence = namenode.core.nodes.get(node).sequence + 1
    replica = n.ReplicaId(chunk, generation, 4096)
    namenode.tell(node, n.ReplicaNews(sequence, (n.StoredReplica(replica, b"d" * 16),)))


def test_a_replica_too_many_is_deleted(namenode: Any) -> None:
    namenode.join("datanode-4")
    namenode.write("/f")
    chunk, before = chunk_of(namenode), holders(namenode)
    (spare,) = set(FOUR) - set(before)
    add_copy(namenode, spare, chunk)
    (order,) = namenode.orders(n.DeleteReplicas)
    assert [r.chunk for r in order.message.replicas] == [chunk]
    namenode.obey(order.to.name, order)
    assert len(holders(namenode)) == 3
    namenode.advance(5, beating=FOUR)
    assert namenode.orders(n.DeleteReplicas) == []


def test_what_a_silent_node_holds_does_not_stay_for_certain(namenode: Any) -> None:
    namenode.join("datanode-4")
    namenode.write("/f")
    chunk, before = chunk_of(namenode), holders(namenode)
    (spare,) = set(FOUR) - set(before)
    awake = tuple(x for x in FOUR if x != before[0])
    namenode.advance(6, beating=awake)  # before[0] is stale
    add_copy(namenode, spare, chunk)
    namenode.advance(5, beating=awake)
    assert namenode.orders(n.DeleteReplicas) == []
    namenode.advance(2, beating=FOUR)
    namenode.advance(3601, beating=FOUR)
    assert len(namenode.orders(n.DeleteReplicas)) == 1


def test_a_node_out_of_step_does_not_count_until_it_has_said_all(namenode: Any) -> None:
    namenode.join("datanode-4")
    namenode.write("/f")
    chunk, before = chunk_of(namenode), holders(namenode)
    (spare,) = set(FOUR) - set(before)
    namenode.lose_link(before[0])
    add_copy(namenode, spare, chunk)
    assert namenode.orders(n.DeleteReplicas) == []
    namenode.join(before[0], replicas=packed((chunk, 1, 4096)))
    namenode.advance(3601, beating=FOUR)
    assert len(namenode.orders(n.DeleteReplicas)) == 1


def test_an_unanswered_deletion_counts_as_done_until_the_node_speaks_again(namenode: Any) -> None:
    namenode.join("datanode-4")
    namenode.write("/f")
    chunk, before = chunk_of(namenode), holders(namenode)
    (spare,) = set(FOUR) - set(before)
    add_copy(namenode, spare, chunk)
    (order,) = namenode.orders(n.DeleteReplicas)
    assert namenode.ask(m.GetStatus()).under_replicated == 0
    hung_up = []
    take = namenode._take

    def watch(decision: Any) -> Any:
        hung_up.extend(a for a in decision.actions if isinstance(a, Hangup))
        return take(decision)

    namenode._take = watch
    namenode.advance(ORDER_DEADLINE_NS // SECOND_NS + 2, beating=FOUR)
    assert [a.to.name for a in hung_up] == [order.to.name]
    assert namenode.orders(n.DeleteReplicas) == []


def test_a_refused_deletion_is_decided_anew(namenode: Any) -> None:
    namenode.join("datanode-4")
    namenode.write("/f")
    chunk, before = chunk_of(namenode), holders(namenode)
    (spare,) = set(FOUR) - set(before)
    add_copy(namenode, spare, chunk)
    (order,) = namenode.orders(n.DeleteReplicas)
    namenode.obey(order.to.name, order, Failed(11, "busy"))
    assert len(namenode.orders(n.DeleteReplicas)) == 1


def regenerate(namenode: Any, generation: int) -> int:
    """Let the chunk of /f have been committed with this generation."""
    inode = namenode.ask(m.Stat("/f")).entry.inode
    key = pair_key(inode, 0)
    row = get_row(namenode.table, "chunks", key, ChunkRow)
    assert row is not None
    changed = ChunkRow(row.chunk, generation, row.length, row.digest, row.born)
    put_row(namenode.table, "chunks", key, changed)
    return row.chunk


def test_stale_replicas_go_when_enough_good_ones_exist(namenode: Any) -> None:
    namenode.write("/f")
    chunk = regenerate(namenode, 2)
    assert holders(namenode) == []
    add_copy(namenode, "datanode-1", chunk, 2)
    add_copy(namenode, "datanode-2", chunk, 2)
    assert namenode.orders(n.DeleteReplicas) == []
    row = ChunkRow(chunk, 2, 4096, b"d" * 16, 1)
    assert replica_states(namenode.core.nodes, row) == [
        ("datanode-1", "good"),
        ("datanode-2", "good"),
        ("datanode-3", "stale"),
    ]
    add_copy(namenode, "datanode-3", chunk, 2)
    orders = namenode.orders(n.DeleteReplicas)
    assert {s.to.name for s in orders} == set(ALL)
    assert {r.generation for s in orders for r in s.message.replicas} == {1}
    assert holders(namenode) == list(ALL)


def test_a_chunk_that_is_freed_goes_in_all_its_generations(namenode: Any) -> None:
    namenode.write("/f")
    chunk = regenerate(namenode, 2)
    add_copy(namenode, "datanode-1", chunk, 2)
    namenode.orders(n.DeleteReplicas)
    namenode.change(m.Remove, path="/f")
    (order,) = [s for s in namenode.orders(n.DeleteReplicas) if s.to.name == "datanode-1"]
    assert [r.generation for r in order.message.replicas] == [1, 2]


def test_states_of_replicas(namenode: Any) -> None:
    namenode.write("/f")
    chunk = chunk_of(namenode)
    row = ChunkRow(chunk, 1, 4096, b"d" * 16, 1)
    lost = n.LostReplica(n.ReplicaId(chunk, 1, 4096), "corrupt")
    namenode.tell("datanode-1", n.ReplicaNews(2, lost=(lost,)))
    namenode.advance(25, beating=("datanode-1", "datanode-3"))
    states = replica_states(namenode.core.nodes, row)
    assert states == [
        ("datanode-1", "corrupt"),
        ("datanode-2", "dead"),
        ("datanode-3", "good"),
    ]
    created = namenode.change(m.Create, path="/new")
    namenode.change(m.AddChunk, inode=created.inode, start=0)
    lease = lease_row(namenode.table, created.inode)
    assert lease is not None
    assert writing_states(lease) == [(node, "writing") for node in lease.targets]


def test_what_waits_for_a_node_is_sent_when_it_is_heard_of_again(namenode: Any) -> None:
    """It was silent for a moment, too short to be given up, when its replicas became useless."""
    namenode.write("/f")
    namenode.advance(6)
    namenode.change(m.Remove, path="/f")
    assert namenode.orders(n.DeleteReplicas) == []
    namenode.advance(1, beating=ALL)
    assert {order.to.name for order in namenode.orders(n.DeleteReplicas)} == set(ALL)


def test_a_replica_made_after_its_chunk_was_given_up_goes_at_once(namenode: Any) -> None:
    """Its writer was stopped for longer than its lease, and what it had sent arrives later."""
    created = namenode.change(m.Create, path="/f")
    got = namenode.change(m.AddChunk, inode=created.inode, start=0)
    namenode.advance(61, beating=ALL)
    for order in namenode.orders(n.DeleteReplicas):
        namenode.obey(order.to.name, order)
    late = n.ReplicaId(got.chunk, got.generation, 4096)
    stored = n.ReplicaNews(2, stored=(n.StoredReplica(late, b"d" * 16),))
    namenode.tell("datanode-1", stored)
    (order,) = namenode.orders(n.DeleteReplicas)
    assert (order.to.name, order.message.replicas) == ("datanode-1", (late,))


def test_so_many_given_up_chunks_are_remembered(namenode: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(reports, "GIVEN_UP_MAX_CHUNKS", 2)
    created = namenode.change(m.Create, path="/f")
    chunks = [namenode.change(m.AddChunk, inode=created.inode, start=0).chunk]
    for _ in range(3):
        again = {"inode": created.inode, "start": 0, "abandoned": chunks[-1]}
        chunks.append(namenode.change(m.AddChunk, **again).chunk)
        for order in namenode.orders(n.DeleteReplicas):
            namenode.obey(order.to.name, order)
    for sequence, chunk in enumerate(chunks[:3], start=2):
        news = (n.StoredReplica(n.ReplicaId(chunk, 1, 4096), b"d" * 16),)
        namenode.tell("datanode-1", n.ReplicaNews(sequence, stored=news))
    deleted = [
        r.chunk for order in namenode.orders(n.DeleteReplicas) for r in order.message.replicas
    ]
    assert deleted == chunks[1:2]
