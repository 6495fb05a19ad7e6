"""What a datanode says of its chunks to whoever rebuilds a namenode."""

from __future__ import annotations

import errno

import pytest

from dfs.datanode.chunkfile import ReplicaKey, sealed_path
from dfs.errors import BadArgument, PermissionDenied, StorageFault
from dfs.events import Origin, Peer, Role
from dfs.limits import CHUNK_LIST_MAX_ROWS
from dfs.wire.common import Failed
from dfs.wire.data import ChunkSlices, ReadChunk
from dfs.wire.keeper import ChunkList, FoundChunk, ListChunks
from tests.datanode.hand_driven import NAMENODE, READER, Node

OTHER_NODE = Peer(Role.DATANODE, "datanode-9")
REBUILDER = Origin(NAMENODE, 1, 7)


@pytest.fixture
def node() -> Node:
    return Node()


def listed(node: Node) -> list[FoundChunk]:
    """All pages."""
    found: list[FoundChunk] = []
    ask: ListChunks | None = ListChunks()
    while ask is not None:
        page = asked(node, ask)
        assert isinstance(page, ChunkList)
        found += page.found
        ask = page.following
    return found


def asked(node: Node, question: ListChunks, origin: Origin = REBUILDER) -> object:
    node.take_out()
    node.receive(origin, question)
    node.run_work()
    (answer,) = node.take_out()
    return answer.message


def test_every_replica_of_every_volume_is_listed_page_by_page(node: Node) -> None:
    count = CHUNK_LIST_MAX_ROWS + 3
    for number in range(1, count + 1):
        node.hold(ReplicaKey(number, 1), b"%d" % number, volume=number % len(node.stores))
    found = listed(node)
    assert sorted(chunk.chunk for chunk in found) == list(range(1, count + 1))
    one = next(chunk for chunk in found if chunk.chunk == 17)
    assert (one.generation, one.length, one.inode, one.start, one.path) == (1, 2, 1, 0, "/a")
    assert len(one.digest) == 16


def test_a_node_without_chunks_lists_none(node: Node) -> None:
    assert listed(node) == []


def test_a_replica_that_is_damaged_or_gone_is_left_out(node: Node) -> None:
    for number in (1, 2, 3):
        node.hold(ReplicaKey(number, 1), b"x")
    node.disk.flip_bit(sealed_path(ReplicaKey(1, 1)), 20)
    node.disk.unlink(sealed_path(ReplicaKey(2, 1)))
    assert [chunk.chunk for chunk in listed(node)] == [3]


def test_who_may_not_ask_and_what_cannot_be_asked(node: Node) -> None:
    for question, origin, error in (
        (ListChunks(), READER, PermissionDenied),
        (ListChunks(99), REBUILDER, BadArgument),
        (ListChunks(0, -1, 0), REBUILDER, BadArgument),
    ):
        node.receive(origin, question)
        (answer,) = node.take_out()
        assert isinstance(answer.message, Failed)
        assert answer.message.number == error.number


def test_a_disk_that_fails_is_told(node: Node) -> None:
    node.hold(ReplicaKey(1, 1), b"x")
    node.disk.fail("open", number=errno.EIO)
    answer = asked(node, ListChunks())
    assert isinstance(answer, Failed)
    assert answer.number == StorageFault.number


def test_only_a_datanode_is_told_the_header_with_the_hashes(node: Node) -> None:
    node.hold(ReplicaKey(1, 1), b"x")
    for origin, path in ((READER, ""), (READER._replace(peer=OTHER_NODE), "/a")):
        node.receive(origin, ReadChunk(1, 1, 0, 1, True))
        node.run_work()
        (answer,) = node.take_out()
        assert isinstance(answer.message, ChunkSlices)
        assert answer.message.path == path
