"""Log keepers whose disks hang while their nodes live."""

from __future__ import annotations

from collections import deque

import pytest

from dfs.client.client import Client
from dfs.datanode.log_keeper import KEEPER_LANE
from dfs.events import Work
from dfs.limits import KEEPER_BROKEN_NS, SECOND_NS
from dfs.testing.cluster import StorageCluster
from dfs.testing.world import Node
from dfs.wire.admin import EventPage, GetEvents, Happening
from tests.sim.test_log_keepers import kept_by, namenode_disk, rebuilt_from


def hang_copy(node: Node) -> None:
    """Whatever is begun on a datanode's copy of the log never ends, until it is started again."""
    assert KEEPER_LANE not in node.lanes, "the disk is at something"
    node.lanes[KEEPER_LANE] = deque((Work(None, None, KEEPER_LANE),))


@pytest.mark.parametrize("hanging", [1, 2])
def test_another_machine_takes_the_place_of_keepers_whose_disks_hang(hanging: int) -> None:
    cluster = StorageCluster(f"hang/{hanging}")
    cluster.settle()
    client = cluster.client()
    client.mkdir("/before")
    cluster.settle(SECOND_NS)
    keepers = [node for node in cluster.datanodes if kept_by(cluster, node).last]
    (spare,) = [node for node in cluster.datanodes if node not in keepers]
    for node in keepers[:hanging]:
        hang_copy(node)
    client.mkdir("/meanwhile")
    cluster.settle(2 * KEEPER_BROKEN_NS)
    assert {len(node.lanes[KEEPER_LANE]) for node in keepers[:hanging]} == {2}
    told = [h.text for h in happenings(client) if "is given up as log keeper" in h.text]
    assert told[0].split()[0] in [node.peer.name for node in keepers[:hanging]]
    assert spare.peer.name in told[0].split(";")[1]
    cluster.world.kill(cluster.namenode)
    table, outcome = rebuilt_from(cluster, spare)
    assert outcome.node == spare.peer.name
    assert table.committed_rows() == namenode_disk(cluster).replayed().committed_rows()


def happenings(client: Client) -> tuple[Happening, ...]:
    """What the namenode remembers."""
    page = client.run(client.namenode.ask(GetEvents()))
    assert isinstance(page, EventPage)
    return page.happenings
