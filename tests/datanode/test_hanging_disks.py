"""A disk that hangs while the node learns a new epoch or reads replicas is not waited for for
ever."""

from __future__ import annotations

from dfs.datanode.chunkfile import ReplicaKey
from dfs.events import Origin, Reply
from dfs.limits import CHECK_STALL_NS, EPOCH_DEADLINE_NS, RETRY_PAUSE_NS
from dfs.testing.disk import MemoryDisk
from dfs.wire.common import Failed, Ok
from dfs.wire.node import (
    CheckReplica,
    DeleteReplicas,
    Registered,
    ReplicaId,
    ReplicaNews,
    ReportPage,
)
from tests.datanode.hand_driven import NAMENODE, Node
from tests.datanode.test_datanode_link import answer, order, sent


def test_a_disk_that_hangs_does_not_keep_a_node_with_others_away() -> None:
    node = Node("datanode-1", MemoryDisk(), MemoryDisk())
    node.pass_time(0)
    node.receive(Origin(NAMENODE, 1, sent(node).request), Registered(7, 10**15))
    hanging = node.work.popleft()
    node.run_work()
    assert node.out == []
    node.hang(EPOCH_DEADLINE_NS)
    page = sent(node)
    assert page.message == ReportPage(1, 0, True)
    answer(node, page, Ok())
    assert sent(node).message == ReplicaNews(1)
    assert order(node, DeleteReplicas(7, ())) == [Ok()]
    node.work.append(hanging)
    node.run_work()
    assert node.out == []


def test_a_node_whose_only_disk_hangs_registers_again_until_it_does_not() -> None:
    node = Node()
    node.pass_time(0)
    node.receive(Origin(NAMENODE, 1, sent(node).request), Registered(7, 10**15))
    hanging = node.work.popleft()
    node.hang(EPOCH_DEADLINE_NS)
    assert "saved the epoch" in node.notes[-1]
    node.hang(RETRY_PAUSE_NS)
    register = sent(node)
    assert register.message.epoch == 0
    node.receive(Origin(NAMENODE, 1, register.request), Registered(7, 10**15))
    node.work.appendleft(hanging)
    node.run_work()
    assert sent(node).message == ReportPage(1, 0, True)


# -- checks of whole replicas


def check(node: Node, request: int, chunk: int) -> None:
    message = CheckReplica(7, ReplicaId(chunk, 1, 3))
    node.receive(Origin(NAMENODE, 1, request), message)


def node_with_replicas(*volumes: int) -> Node:
    """A registered node whose volumes hold chunks 1, 2, 3 …"""
    node = Node("datanode-1", *(MemoryDisk() for _ in range(max(volumes) + 1)))
    for chunk, volume in enumerate(volumes, 1):
        node.hold(ReplicaKey(chunk, 1), b"abc", volume)
    node.register(epoch=7)
    node.take_out()
    return node


def answers(node: Node) -> dict[int, object]:
    """What was answered to orders, by request."""
    return {out.origin.request: out.message for out in node.take_out() if isinstance(out, Reply)}


def test_a_check_that_the_disk_does_not_end_is_answered_and_later_ones_at_once() -> None:
    node = node_with_replicas(0, 0, 1)
    check(node, 901, 1)
    node.hang(CHECK_STALL_NS - 1)
    assert answers(node) == {}
    node.hang(1)
    (stalled,) = answers(node).values()
    assert isinstance(stalled, Failed)
    assert stalled.text == "datanode-1 waits for /disk-0: it has read no replica for 30 s"
    assert node.notes[-1] == stalled.text
    hanging = node.work.popleft()
    check(node, 902, 2)
    check(node, 903, 3)
    node.run_work()
    assert answers(node) == {902: stalled, 903: Ok()}  # another disk does not hang
    node.work.append(hanging)
    node.run_work()
    assert answers(node) == {}  # it was answered
    check(node, 904, 2)
    node.run_work()
    assert answers(node) == {904: Ok()}


def test_a_disk_that_ends_a_check_now_and_then_does_not_stall() -> None:
    node = node_with_replicas(0, 0, 0)
    for chunk in (1, 2, 3):
        check(node, 900 + chunk, chunk)
    for _ in range(3):
        node.hang(CHECK_STALL_NS - 1)
        node.run_work(1)
    assert answers(node) == {901: Ok(), 902: Ok(), 903: Ok()}
    assert node.core.next_deadline() != node.now_ns + CHECK_STALL_NS
