"""What a datanode refuses of a writer, and what a failing disk or a lost writer leaves."""

from __future__ import annotations

import errno
from random import Random

import pytest

from dfs.checksum import slice_hashes
from dfs.datanode.chunkfile import ReplicaKey, sealed_path
from dfs.errors import (
    BadArgument,
    Corrupt,
    DfsError,
    ProtocolError,
    ReplicaFault,
    StorageFault,
    Unavailable,
)
from dfs.events import LinkLost, Origin, Peer, Role
from dfs.limits import FRAME_BYTES, OPEN_WRITES_MAX, SLICE_BYTES, WINDOW_FRAMES, WRITE_IDLE_NS
from dfs.wire.data import (
    ChainBroken,
    ChunkCredit,
    ChunkData,
    ChunkOpened,
    DropChunk,
    OpenChunk,
    SealChunk,
)
from dfs.wire.namespace import NodeAddress
from tests.datanode.hand_driven import Wire, Writer, failure

NODES = ("datanode-1", "datanode-2", "datanode-3")


@pytest.fixture
def wire() -> Wire:
    return Wire(3)


@pytest.fixture
def writer(wire: Wire) -> Writer:
    """A writer with a chunk of three frames and a bit."""
    return Writer(wire, Random(1).randbytes(3 * FRAME_BYTES + 1234))


def test_a_frame_with_a_wrong_hash_is_dropped_and_never_written(wire: Wire, writer: Writer) -> None:
    writer.open("datanode-1")
    frame = writer.data[:FRAME_BYTES]
    writer.first.receive(writer.origin(), ChunkData(0, slice_hashes(frame)), b"\0" + frame[1:])
    assert not writer.first.work
    assert isinstance(failure(writer.hear()), Corrupt)
    assert writer.open("datanode-1") == [ChunkOpened(0)]
    writer.send()
    assert writer.seal() == [writer.receipts("datanode-1")]


def test_a_wrong_digest_is_refused_and_nothing_is_sealed(wire: Wire, writer: Writer) -> None:
    writer.open("datanode-1")
    writer.send()
    writer.first.receive(writer.origin(), SealChunk(len(writer.data), bytes(16)))
    assert isinstance(failure(writer.hear()), Corrupt)
    assert writer.first.files(".chunk") == []


def test_a_seal_of_another_length_is_refused(wire: Wire, writer: Writer) -> None:
    writer.open("datanode-1")
    writer.send(0, FRAME_BYTES)
    assert isinstance(failure(writer.seal()), Corrupt)


def test_other_content_for_a_sealed_replica_is_refused(wire: Wire, writer: Writer) -> None:
    writer.open("datanode-1")
    writer.send()
    writer.seal()
    assert writer.open("datanode-1") == [ChunkOpened(len(writer.data))]
    writer.data = writer.data[:-1] + b"?"
    assert isinstance(failure(writer.seal()), Corrupt)


def test_a_damaged_sealed_replica_is_no_receipt(wire: Wire, writer: Writer) -> None:
    writer.open("datanode-1")
    writer.send()
    writer.seal()
    writer.first.disk.flip_bit(sealed_path(writer.key), 10)
    writer.first.boot()
    assert isinstance(failure(writer.open("datanode-1")), StorageFault)
    assert len(writer.first.disk.names("quarantine")) == 1
    assert writer.open("datanode-1") == [ChunkOpened(0)]


@pytest.mark.parametrize("call", ["create", "write_at", "sync", "rename", "sync_folder"])
def test_a_failing_disk_gives_no_receipt_and_leaves_no_file(
    wire: Wire, writer: Writer, call: str
) -> None:
    writer.first = wire.nodes["datanode-1"]
    writer.first.disk.fail(call, 1, errno.EIO)
    heard = writer.open("datanode-1")
    if heard == [ChunkOpened(0)]:
        heard = writer.send()
        assert heard[-1] == ChunkCredit(len(writer.data))
        heard = writer.seal()
    assert isinstance(failure(heard), StorageFault)
    assert writer.first.files() == []
    refusal = failure(writer.open("datanode-1"))  # for ever, on the disk that failed
    assert isinstance(refusal, ReplicaFault)
    assert "full up to its reserve, or failed" in refusal.message
    assert sum("failed" in note for note in writer.first.notes) == 2


def test_a_disk_that_fails_behind_breaks_the_chain_there(wire: Wire, writer: Writer) -> None:
    writer.open(*NODES)
    wire.nodes["datanode-2"].disk.fail("write_at", 2, errno.ENOSPC)
    heard = writer.send()
    assert [h.node for h in heard if isinstance(h, ChainBroken)] == ["datanode-2"]
    assert wire.nodes["datanode-2"].files() == []
    assert writer.open("datanode-1", "datanode-3") == [ChunkOpened(2 * FRAME_BYTES)]


def test_a_full_disk_takes_no_new_chunk(wire: Wire, writer: Writer) -> None:
    node = wire.nodes["datanode-1"]
    node.disk.capacity_bytes = len(writer.data)
    node.boot()
    assert isinstance(failure(writer.open("datanode-1")), ReplicaFault)
    assert node.files() == []


def test_room_for_open_chunks_is_counted_at_once(wire: Wire, writer: Writer) -> None:
    node = wire.nodes["datanode-1"]
    node.disk.capacity_bytes = len(writer.data) * 3 // 2
    node.boot()
    assert writer.open("datanode-1") == [ChunkOpened(0)]
    writer.key = ReplicaKey(78, 1)
    assert isinstance(failure(writer.open("datanode-1")), ReplicaFault)


def test_there_is_a_bound_on_open_writes(wire: Wire, writer: Writer) -> None:
    for number in range(1, OPEN_WRITES_MAX + 1):
        writer.key = ReplicaKey(number, 1)
        assert writer.open("datanode-1") == [ChunkOpened(0)]
    writer.key = ReplicaKey(1000, 1)
    assert isinstance(failure(writer.open("datanode-1")), Unavailable)


def test_a_writer_that_ignores_the_window_is_refused() -> None:
    writer = Writer(Wire(1), bytes((WINDOW_FRAMES + 1) * FRAME_BYTES))
    writer.open("datanode-1")
    writer.wire.mute.add("datanode-1")
    writer.send()
    assert len(writer.first.work) == WINDOW_FRAMES
    writer.wire.mute.clear()
    heard = writer.hear()
    assert isinstance(heard[0].error(), Unavailable)


@pytest.mark.parametrize(
    ("offset", "payload", "hashes", "error"),
    [
        (FRAME_BYTES, b"x", slice_hashes(b"x"), ProtocolError),  # a gap
        (-SLICE_BYTES, b"x", slice_hashes(b"x"), ProtocolError),
        (1, b"x", slice_hashes(b"x"), ProtocolError),  # within a slice
        (0, b"", b"", ProtocolError),
        (0, bytes(FRAME_BYTES + 1), slice_hashes(bytes(FRAME_BYTES + 1)), ProtocolError),
        (0, b"x", b"", ProtocolError),
        (0, b"x", bytes(8), Corrupt),
    ],
)
def test_frames_that_no_honest_writer_sends(
    wire: Wire, writer: Writer, offset: int, payload: bytes, hashes: bytes, error: type[DfsError]
) -> None:
    writer.open("datanode-1")
    writer.first.receive(writer.origin(), ChunkData(offset, hashes), payload)
    assert not writer.first.work
    assert type(failure(writer.hear())) is error


def test_nothing_follows_a_short_slice(wire: Wire, writer: Writer) -> None:
    writer.open("datanode-1")
    writer.first.receive(writer.origin(), ChunkData(0, slice_hashes(b"x" * 100)), b"x" * 100)
    writer.hear()
    longer = b"x" * 200
    writer.first.receive(writer.origin(), ChunkData(0, slice_hashes(longer)), longer)
    assert isinstance(failure(writer.hear()), ReplicaFault)


@pytest.mark.parametrize(
    "order",
    [
        OpenChunk(0, 1, 1, 0, "/a", 0),
        OpenChunk(2**64, 1, 1, 0, "/a", 0),
        OpenChunk(1, -1, 1, 0, "/a", 0),
        OpenChunk(1, 1, -1, 0, "/a", 0),
        OpenChunk(1, 1, 1, -5, "/a", 0),
        OpenChunk(1, 1, 1, 2**64, "/a", 0),
        OpenChunk(1, 1, 1, 0, "/a", -1),
        OpenChunk(1, 1, 1, 0, "/a", 2**40),
        OpenChunk(1, 1, 1, 0, "/a", 0, (NodeAddress("datanode-2", ()),) * 16),
    ],
)
def test_orders_that_cannot_be_stored(wire: Wire, writer: Writer, order: OpenChunk) -> None:
    wire.nodes["datanode-1"].receive(Origin(Peer(Role.CLIENT, "eve"), 9, 1), order)
    assert isinstance(failure(writer.hear()), BadArgument)


def test_messages_without_an_open_write_are_told_so(wire: Wire, writer: Writer) -> None:
    writer.first = wire.nodes["datanode-1"]
    assert isinstance(failure(writer.send(0, 100)), ReplicaFault)
    assert isinstance(failure(writer.seal()), ReplicaFault)


def test_a_seal_before_the_file_is_open_is_refused(wire: Wire, writer: Writer) -> None:
    wire.mute.add("datanode-1")
    writer.open("datanode-1")
    writer.seal()
    wire.mute.clear()
    assert isinstance(failure(writer.hear()), ProtocolError)


def test_a_dropped_chunk_leaves_no_file_on_any_node(wire: Wire, writer: Writer) -> None:
    writer.open(*NODES)
    writer.send()
    drop = DropChunk(*writer.key, wire.addresses("datanode-2", "datanode-3"))
    writer.first.receive(writer.origin(), drop)
    writer.hear()
    assert [node.files() for node in wire.nodes.values()] == [[], [], []]


def test_a_drop_does_not_touch_a_sealed_replica(wire: Wire, writer: Writer) -> None:
    writer.open("datanode-1")
    writer.send()
    writer.seal()
    writer.first.receive(writer.origin(), DropChunk(*writer.key))
    assert writer.hear() == []
    assert len(writer.first.files(".chunk")) == 1


def test_a_write_that_nobody_goes_on_with_is_dropped(wire: Wire, writer: Writer) -> None:
    writer.open("datanode-1")
    writer.send(0, FRAME_BYTES)
    writer.first.event(LinkLost(Peer(Role.CLIENT, "ann"), 5, "gone"))
    writer.first.pass_time(WRITE_IDLE_NS - 1)
    assert writer.first.files(".tmp")
    writer.first.pass_time(1)
    assert writer.hear() == []
    assert writer.first.files() == []


def test_an_idle_writer_is_told_and_can_begin_again(wire: Wire, writer: Writer) -> None:
    writer.open("datanode-1")
    writer.send(0, FRAME_BYTES)
    writer.first.pass_time(WRITE_IDLE_NS)
    assert isinstance(failure(writer.hear()), ReplicaFault)
    assert writer.open("datanode-1") == [ChunkOpened(0)]


def test_an_idle_chain_on_a_sealed_replica_keeps_the_replica(wire: Wire, writer: Writer) -> None:
    writer.open("datanode-1")
    writer.send()
    writer.seal()
    writer.open("datanode-1")
    writer.first.pass_time(WRITE_IDLE_NS)
    assert isinstance(failure(writer.hear()), ReplicaFault)
    assert len(writer.first.files(".chunk")) == 1
