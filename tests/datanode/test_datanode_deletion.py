"""Deleting replicas, the trash, and messages that are not for a datanode."""

from __future__ import annotations

from random import Random

import pytest

from dfs.datanode.chunkfile import ReplicaKey
from dfs.errors import BadArgument, NotSupported, ReplicaFault, StorageFault
from dfs.events import Origin, Peer, Role
from dfs.limits import DELETE_MAX_REPLICAS, FRAME_BYTES, REPLICA_TRASH_KEEP_NS, REQUEST_TRY_NS
from dfs.wire.common import Failed, Hello, Ok, Ping
from dfs.wire.data import ChunkOpened, ChunkSlices
from tests.datanode.hand_driven import NAMENODE, READER, Node, delete, error_of, read

KEY = ReplicaKey(5, 1)
DATA = Random(5).randbytes(1000)


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.fixture
def holder(node: Node) -> Node:
    """A registered node that holds ``DATA``."""
    node.hold(KEY, DATA)
    node.register()
    return node


def test_a_deleted_replica_lies_in_the_trash_for_a_while(holder: Node) -> None:
    for _ in range(2):
        delete(holder, KEY, ReplicaKey(99, 1))
        assert holder.said() == [Ok()]
    assert holder.files() == []
    assert len(holder.disk.names("trash")) == 1
    assert isinstance(error_of(read(holder, KEY, 0, FRAME_BYTES).message), ReplicaFault)
    holder.pass_time(REPLICA_TRASH_KEEP_NS - 1)
    assert len(holder.disk.names("trash")) == 1
    holder.pass_time(1)
    assert holder.disk.names("trash") == []


def test_the_trash_of_the_last_process_is_emptied_too(holder: Node) -> None:
    delete(holder, KEY)
    holder.boot()
    holder.pass_time(REPLICA_TRASH_KEEP_NS)
    assert holder.disk.names("trash") == []


def test_a_full_disk_empties_the_trash_at_once(holder: Node) -> None:
    holder.disk.capacity_bytes = holder.disk.used_bytes
    holder.boot()
    holder.register()
    delete(holder, KEY)
    holder.pass_time(0)
    assert holder.disk.names("trash") == []


def test_a_delete_that_fails_is_not_confirmed(holder: Node) -> None:
    holder.disk.fail("sync_folder")
    delete(holder, KEY)
    assert isinstance(error_of(holder.said()[0]), StorageFault)
    delete(holder, KEY)
    assert holder.said() == [Ok()]


@pytest.mark.parametrize("keys", [[ReplicaKey(0, 0)], [ReplicaKey(1, 1)] * 1001])
def test_orders_to_delete_the_impossible(node: Node, keys: list[ReplicaKey]) -> None:
    assert DELETE_MAX_REPLICAS == 1000
    node.register()
    delete(node, *keys)
    assert isinstance(error_of(node.said()[0]), BadArgument)


def test_a_ping_is_answered_and_what_is_not_for_datanodes_refused(node: Node) -> None:
    node.receive(READER, Ping())
    node.receive(READER, Hello("c", "client", "x", 1, 1, ""))
    ok, refused = node.said()
    assert ok == Ok()
    assert isinstance(error_of(refused), NotSupported)


def test_answers_that_nobody_waits_for_mean_nothing(node: Node) -> None:
    node.register()
    for peer in (READER.peer, NAMENODE, Peer(Role.DATANODE, "datanode-2")):
        for message in (Ok(), Failed.of(ReplicaFault("x")), ChunkSlices(0), ChunkOpened(0)):
            node.receive(Origin(peer, 9, 12345), message, b"x")
    assert node.out == []
    assert not node.work
    node.pass_time(REQUEST_TRY_NS)
    assert node.out == []
