"""Copying a replica from other nodes."""

from __future__ import annotations

import errno
from random import Random
from typing import Any

import pytest

from dfs.checksum import chunk_digest, slice_hashes
from dfs.datanode.chunkfile import HEADER_BYTES, ReplicaKey, decode_header, sealed_path
from dfs.datanode.tasks import SealFile
from dfs.errors import BadArgument, ReplicaFault, StorageFault, Unavailable
from dfs.events import LinkLost, Origin, Peer, Role, Send
from dfs.limits import (
    FRAME_BYTES,
    FRAME_DEADLINE_NS,
    READS_IN_FLIGHT,
    REPAIR_DEADLINE_NS,
    REPAIRS_PER_NODE,
)
from dfs.wire.common import Failed, Ok
from dfs.wire.data import ChunkOpened, ChunkSlices, OpenChunk, ReadChunk
from dfs.wire.namespace import BadReplica, NodeAddress
from dfs.wire.node import CopyReplica, DeleteReplicas, ReplicaId, ReplicaNews, StoredReplica
from tests.datanode.hand_driven import READER, Node, delete, error_of, give, read

KEY = ReplicaKey(5, 1)
DATA = Random(5).randbytes(5 * FRAME_BYTES + 777)
DIGEST = chunk_digest("c-demo", *KEY, len(DATA), slice_hashes(DATA))
SOURCES = ("datanode-2", "datanode-3")


@pytest.fixture
def node() -> Node:
    return Node()


def copy_order(digest: bytes = DIGEST, sources: tuple[str, ...] = SOURCES) -> CopyReplica:
    addresses = tuple(NodeAddress(name, (f"ipc:///{name}",), "host") for name in sources)
    return CopyReplica(1, *KEY, len(DATA), digest, 1, 0, "/a", addresses)


class Source:
    """Answers the reads that a node sends to other nodes, from ``data``."""

    def __init__(self, node: Node, data: bytes = DATA) -> None:
        self.node, self.data = node, data
        self.silent: set[str] = set()
        self.told: tuple[int, int, str] = (0, 0, "")
        self.asked: list[tuple[str, int]] = []

    def run(self) -> list[Any]:
        """Serve until nothing moves; returns what went elsewhere."""
        others: list[Any] = []
        while self.node.out or self.node.work:
            for action in self.node.take_out():
                if isinstance(action, Send) and isinstance(action.message, ReadChunk):
                    self.serve(action)
                else:
                    others.append(action.message)
            self.node.run_work(1)
        return others

    def serve(self, send: Send) -> None:
        ask = send.message
        self.asked.append((send.to.name, ask.offset))
        if send.to.name in self.silent:
            return
        payload = self.data[ask.offset : ask.offset + ask.length]
        hashes = slice_hashes(self.data) if ask.with_hashes else b""
        origin = Origin(send.to, 50 + int(send.to.name[-1]), send.request)
        told = self.told if ask.with_hashes else ()
        self.node.receive(origin, ChunkSlices(ask.offset, hashes, *told), payload)


def test_the_header_of_a_copy_says_what_the_source_told(node: Node) -> None:
    node.register()
    source = Source(node)
    source.told = (7, 65536, "/the/path")
    give(node, copy_order())
    source.run()
    (name,) = node.files(".chunk")
    header = decode_header(node.disk.content(name)[:HEADER_BYTES])
    assert (header.key, header.inode, header.start, header.path) == (KEY, *source.told)


def test_a_replica_is_copied_verified_and_announced(node: Node) -> None:
    node.register()
    give(node, copy_order())
    done = Source(node).run()
    stored = StoredReplica(ReplicaId(*KEY, len(DATA)), DIGEST)
    assert done == [Ok(), ReplicaNews(2, (stored,))]
    assert read(node, KEY, 0, FRAME_BYTES).payload == DATA[:FRAME_BYTES]
    node.disk.crash()
    node.boot()
    node.register()
    give(node, copy_order())
    assert node.said() == [Ok()]


def test_a_copy_asks_for_a_few_frames_at_a_time(node: Node) -> None:
    node.register()
    give(node, copy_order())
    assert len(node.out) == 1  # the hashes first
    source = Source(node)
    source.serve(node.take_out()[0])
    assert len(node.out) + 1 == READS_IN_FLIGHT  # one is not written yet


def test_the_next_source_goes_on_where_the_first_failed(node: Node) -> None:
    node.register()
    give(node, copy_order())
    source = Source(node)
    for _ in range(2):
        source.serve(node.take_out()[0])
        node.run_work()
    node.take_out()
    source.asked.clear()
    node.event(LinkLost(Peer(Role.DATANODE, "datanode-2"), 52, "killed"))
    assert source.run()[0] == Ok()
    assert {name for name, _ in source.asked} == {"datanode-3"}
    assert 0 not in {offset for _, offset in source.asked}
    assert node.disk.content(sealed_path(KEY))[4096:][: len(DATA)] == DATA


def test_another_connection_of_the_source_means_nothing(node: Node) -> None:
    node.register()
    give(node, copy_order())
    source = Source(node)
    source.serve(node.take_out()[0])
    node.event(LinkLost(Peer(Role.DATANODE, "datanode-2"), 99, "idle"))
    source.run()
    assert {name for name, _ in source.asked} == {"datanode-2"}


def test_a_silent_source_is_left(node: Node) -> None:
    node.register()
    give(node, copy_order())
    source = Source(node)
    source.silent.add("datanode-2")
    assert source.run() == []
    node.pass_time(FRAME_DEADLINE_NS)
    assert source.run()[0] == Ok()


@pytest.mark.parametrize("data", [DATA[:-1] + b"?", b"?" + DATA[1:], DATA[:100]])
def test_sources_with_other_bytes_are_not_believed(node: Node, data: bytes) -> None:
    node.register()
    give(node, copy_order())
    first, second, failed = Source(node, data).run()
    assert first == BadReplica(*KEY, "datanode-2")
    assert second == BadReplica(*KEY, "datanode-3")
    assert isinstance(error_of(failed), ReplicaFault)
    assert node.files() == []


def test_right_hashes_with_wrong_bytes_are_not_believed(node: Node) -> None:
    node.register()
    give(node, copy_order(sources=("datanode-2",)))
    (send,) = node.take_out()
    origin = Origin(send.to, 52, send.request)
    node.receive(origin, ChunkSlices(0, slice_hashes(DATA)), bytes(FRAME_BYTES))
    node.run_work()
    assert isinstance(error_of(node.said()[-1]), ReplicaFault)
    assert node.files() == []


def test_a_source_that_refuses_is_left(node: Node) -> None:
    node.register()
    give(node, copy_order())
    (send,) = node.take_out()
    node.receive(Origin(send.to, 52, send.request), Failed.of(ReplicaFault("not here")))
    assert Source(node).run()[0] == Ok()


def test_a_disk_that_fails_ends_the_copy(node: Node) -> None:
    node.register()
    node.disk.fail("write_at", 3, errno.ENOSPC)
    give(node, copy_order())
    assert isinstance(error_of(Source(node).run()[0]), StorageFault)
    assert node.files() == []


def test_a_copy_that_takes_too_long_ends(node: Node) -> None:
    node.register()
    give(node, copy_order(sources=tuple(f"datanode-{n}" for n in range(2, 10))))
    node.pass_time(REPAIR_DEADLINE_NS - 1)
    assert not any(isinstance(message, Failed) for message in node.said())
    assert node.files(".tmp") == []  # no source has told what the file's header says
    node.pass_time(1)
    assert "too long" in str(error_of(node.said()[0]))
    assert node.files() == []


def test_a_repeated_order_is_answered_once(node: Node) -> None:
    node.register()
    give(node, copy_order())
    give(node, copy_order(), request=701)
    source = Source(node)
    node.out = [action for action in node.out if isinstance(action, Send)]
    assert source.run()[:1] == [Ok()]


def test_orders_to_copy_are_bounded(node: Node) -> None:
    node.register()
    for number in range(REPAIRS_PER_NODE):
        order = copy_order()
        give(node, CopyReplica(1, 100 + number, 1, 1000, DIGEST, 1, 0, "/a", order.sources))
    node.take_out()
    give(node, copy_order())
    assert isinstance(error_of(node.said()[0]), Unavailable)


@pytest.mark.parametrize(
    "order",
    [
        CopyReplica(1, 0, 1, 10, DIGEST, 1, 0, "/a", ()),
        CopyReplica(1, 5, 1, 0, DIGEST, 1, 0, "/a", ()),
        CopyReplica(1, 5, 1, 2**40, DIGEST, 1, 0, "/a", ()),
        CopyReplica(1, 5, 1, 10, DIGEST, -1, 0, "/a", ()),
    ],
)
def test_orders_to_copy_the_impossible(node: Node, order: CopyReplica) -> None:
    node.register()
    give(node, order)
    assert isinstance(error_of(node.said()[0]), BadArgument)


def test_an_order_without_sources_fails(node: Node) -> None:
    node.register()
    give(node, copy_order(sources=("datanode-1",)))
    node.run_work()
    assert isinstance(error_of(node.said()[-1]), ReplicaFault)
    assert node.files() == []


def test_a_full_disk_takes_no_copy(node: Node) -> None:
    node.disk.capacity_bytes = len(DATA)
    node.boot()
    node.register()
    give(node, copy_order())
    assert isinstance(error_of(node.said()[0]), ReplicaFault)


def test_a_chunk_is_not_written_and_copied_at_once(node: Node) -> None:
    node.register()
    node.receive(READER, OpenChunk(*KEY, 1, 0, "/a", 0))
    node.run_work()
    assert node.said() == [ChunkOpened(0)]
    give(node, copy_order())
    assert isinstance(error_of(node.said()[-1]), ReplicaFault)
    delete(node, KEY)
    given_up, done = node.said()
    assert isinstance(error_of(given_up), ReplicaFault)
    assert done == Ok()
    give(node, copy_order())
    node.take_out()
    node.receive(READER, OpenChunk(*KEY, 1, 0, "/a", 0))
    assert isinstance(error_of(node.said()[-1]), ReplicaFault)


def test_a_delete_ends_a_copy_of_the_same_chunk(node: Node) -> None:
    node.register()
    give(node, copy_order())
    node.take_out()
    delete(node, KEY)
    failed, done = node.said()
    assert isinstance(error_of(failed), ReplicaFault)
    assert done == Ok()
    assert node.files() == []


def test_a_copy_that_is_being_sealed_is_not_forgotten_however_long_the_disk_takes(
    node: Node,
) -> None:
    """Else a replica would lie there that nobody knows of."""
    node.register()
    give(node, copy_order())
    source = Source(node)
    while not any(isinstance(w.task.task, SealFile) for w in node.work):
        for send in node.take_out():
            source.serve(send)
        node.run_work(1)
    node.hang(2 * REPAIR_DEADLINE_NS)
    assert node.said() == []
    give(node, DeleteReplicas(1, (ReplicaId(*KEY, 0),)), request=701)
    (busy,) = node.said()
    assert isinstance(busy.error(), Unavailable)
    node.run_work()
    stored = StoredReplica(ReplicaId(*KEY, len(DATA)), DIGEST)
    assert node.said() == [Ok(), ReplicaNews(2, (stored,))]
    assert read(node, KEY, 0, FRAME_BYTES).payload == DATA[:FRAME_BYTES]
