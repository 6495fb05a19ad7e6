"""Replicas that no file names: found, waited for, deleted or set aside."""

from __future__ import annotations

from typing import Any

from dfs.limits import DELETE_MAX_REPLICAS, ORPHAN_KEEP_NS, SECOND_NS
from dfs.namenode.apply import apply
from dfs.namenode.commands import EpochRaised
from dfs.namenode.keys import EPOCH, NEXT_CHUNK, get_number, put_number
from dfs.namenode.lost_history import is_doubtful
from dfs.wire import namespace as m
from dfs.wire import node as n
from tests.namenode.conftest import Namenode
from tests.namenode.test_replication import packed

DAY = ORPHAN_KEEP_NS // SECOND_NS


def rows(*chunks: int) -> bytes:
    return packed(*((chunk, 1, 10) for chunk in sorted(chunks)))


def ordered(namenode: Namenode) -> list[int]:
    """The chunks of which replicas were ordered to be deleted; the nodes do it."""
    found: list[int] = []
    for order in namenode.orders(n.DeleteReplicas):
        found += [r.chunk for r in order.message.replicas]  # type: ignore[attr-defined]
        namenode.obey(order.to.name, order)
    return sorted(found)


def a_day_later(namenode: Namenode, replicas: bytes) -> None:
    """Time passes at once, and the node comes back from the dead with the same content."""
    namenode.mono_ns += ORPHAN_KEEP_NS
    namenode.settle()
    namenode.join("datanode-1", replicas=replicas)
    namenode.advance(10, beating=("datanode-1",))


def at_hundred(namenode: Namenode) -> int:
    """Let the chunk ids up to 100 have been given out."""
    put_number(namenode.table, NEXT_CHUNK, 100)
    return 100


def test_an_orphan_goes_after_a_day(lone_namenode: Any) -> None:
    at_hundred(lone_namenode)
    lone_namenode.join("datanode-1", replicas=rows(7, 8))
    lone_namenode.advance(10, beating=("datanode-1",))
    assert ordered(lone_namenode) == []
    assert lone_namenode.core._replication.counts(lone_namenode.mono_ns).orphans == 2
    a_day_later(lone_namenode, rows(7, 8, 9))
    assert ordered(lone_namenode) == [7, 8]
    a_day_later(lone_namenode, rows(9))
    assert ordered(lone_namenode) == [9]


def test_a_restart_of_the_namenode_begins_anew(lone_namenode: Any) -> None:
    at_hundred(lone_namenode)
    lone_namenode.join("datanode-1", replicas=rows(7))
    lone_namenode.advance(10, beating=("datanode-1",))
    lone_namenode.mono_ns += ORPHAN_KEEP_NS
    lone_namenode.restart()
    lone_namenode.join("datanode-1", replicas=rows(7))
    lone_namenode.advance(10, beating=("datanode-1",))
    assert ordered(lone_namenode) == []


def test_what_a_file_or_a_lease_has_stays(lone_namenode: Any) -> None:
    lone_namenode.join("datanode-1")
    lone_namenode.write("/f")
    owned = lone_namenode.ask(m.Locate("/f")).chunks[0].chunk
    created = lone_namenode.change(m.Create, path="/new")
    leased = lone_namenode.change(m.AddChunk, inode=created.inode, start=0).chunk
    to_come = get_number(lone_namenode.table, NEXT_CHUNK, 1)
    held = rows(owned, leased, to_come)
    for _ in range(3):
        lone_namenode.join("datanode-1", replicas=held)
        lone_namenode.core._sessions.renew(lone_namenode.session, 1 << 62)
        a_day_later(lone_namenode, held)
    assert ordered(lone_namenode) == []
    assert lone_namenode.core._replication.counts(lone_namenode.mono_ns).orphans == 0


def test_a_node_that_is_away_keeps_its_term(lone_namenode: Any) -> None:
    at_hundred(lone_namenode)
    lone_namenode.join("datanode-1", replicas=rows(7))
    lone_namenode.advance(10, beating=("datanode-1",))
    lone_namenode.join("datanode-2")
    lone_namenode.mono_ns += ORPHAN_KEEP_NS
    lone_namenode.settle()
    lone_namenode.join("datanode-2")
    lone_namenode.advance(10, beating=("datanode-2",))  # a pass without datanode-1
    lone_namenode.join("datanode-1", replicas=rows(7))
    a_day_later(lone_namenode, rows(7))
    assert ordered(lone_namenode) == [7]


def test_many_orphans_go_in_slices(lone_namenode: Any) -> None:
    count = 2 * DELETE_MAX_REPLICAS + 5
    put_number(lone_namenode.table, NEXT_CHUNK, count + 1)
    held = rows(*range(1, count + 1))
    lone_namenode.join("datanode-1", replicas=held)
    lone_namenode.advance(10, beating=("datanode-1",))
    assert lone_namenode.core._replication.counts(lone_namenode.mono_ns).orphans == count
    a_day_later(lone_namenode, held)
    gone: list[int] = []
    for _ in range(20):
        gone += ordered(lone_namenode)
        lone_namenode.advance(1, beating=("datanode-1",))
    assert sorted(gone) == list(range(1, count + 1))
    assert lone_namenode.core._replication.counts(lone_namenode.mono_ns).deletions == 0


def test_replicas_of_a_lost_history_are_set_aside_and_never_deleted(lone_namenode: Any) -> None:
    """An older copy of the metadata was restored: 40 to 60 were given out by what is lost."""
    put_number(lone_namenode.table, NEXT_CHUNK, 40)
    lone_namenode.join("datanode-1", replicas=rows(39, 40, 60), highest=60)
    lone_namenode.advance(10, beating=("datanode-1",))
    (order,) = lone_namenode.orders(n.QuarantineReplicas)
    assert [r.chunk for r in order.message.replicas] == [40, 60]
    assert order.message.epoch == get_number(lone_namenode.table, EPOCH, 1) > 1
    lone_namenode.obey("datanode-1", order)
    a_day_later(lone_namenode, rows(39))
    assert ordered(lone_namenode) == [39]
    table = lone_namenode.table
    to_come = get_number(table, NEXT_CHUNK, 1)
    assert to_come > 60 + (1 << 32)
    found = [is_doubtful(table, chunk) for chunk in (39, 40, 60, to_come - 1, to_come)]
    assert found == [False, True, True, True, False]


def test_a_higher_epoch_that_jumps_over_no_ids_skips_none(lone_namenode: Any) -> None:
    table = lone_namenode.table
    put_number(table, NEXT_CHUNK, 40)
    apply(table, 1, EpochRaised(2, 40))
    assert table.scan("doubtful", b"\0", 1) == []
    assert get_number(table, EPOCH, 0) == 2


def test_an_order_to_set_aside_that_fails_is_given_again(lone_namenode: Any) -> None:
    put_number(lone_namenode.table, NEXT_CHUNK, 40)
    lone_namenode.join("datanode-1", replicas=rows(60), highest=60)
    lone_namenode.advance(10, beating=("datanode-1",))
    (order,) = lone_namenode.orders(n.QuarantineReplicas)
    lone_namenode.lose_link("datanode-1")
    a_day_later(lone_namenode, rows(60))
    (again,) = lone_namenode.orders(n.QuarantineReplicas)
    assert again.message == order.message
