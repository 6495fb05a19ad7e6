"""A disk that hangs while the node learns a new epoch: it is not waited for for ever."""

from __future__ import annotations

from dfs.events import Origin
from dfs.limits import EPOCH_DEADLINE_NS, RETRY_PAUSE_NS
from dfs.testing.disk import MemoryDisk
from dfs.wire.common import Ok
from dfs.wire.node import DeleteReplicas, Registered, ReplicaNews, ReportPage
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
