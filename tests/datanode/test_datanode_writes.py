"""Writing down a chain: receipts, credits, and going on with the survivors."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfs.checksum import slice_hashes
from dfs.errors import ProtocolError
from dfs.events import Origin, Peer, Role
from dfs.limits import FRAME_BYTES, FRAME_DEADLINE_NS, SEAL_DEADLINE_NS, SLICE_BYTES, WRITE_IDLE_NS
from dfs.wire.data import (
    ChainBroken,
    ChunkCredit,
    ChunkData,
    ChunkOpened,
    ChunkSlices,
    ReadChunk,
    SealChunk,
)
from tests.datanode.hand_driven import Wire, Writer, failure

NODES = ("datanode-1", "datanode-2", "datanode-3")


@pytest.fixture
def wire() -> Wire:
    return Wire(3)


@pytest.fixture
def writer(wire: Wire) -> Writer:
    """A writer with a chunk of three frames and a bit."""
    return Writer(wire, Random(1).randbytes(3 * FRAME_BYTES + 1234))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_chunk_goes_down_the_chain(count: int) -> None:
    writer = Writer(Wire(count), Random(1).randbytes(3 * FRAME_BYTES + 1234))
    names = NODES[:count]
    assert writer.open(*names) == [ChunkOpened(0)]
    ends = [FRAME_BYTES, 2 * FRAME_BYTES, 3 * FRAME_BYTES, len(writer.data)]
    assert writer.send() == [ChunkCredit(end) for end in ends]
    assert writer.seal() == [writer.receipts(*names)]
    for name in names:
        assert writer.stored(name) == writer.data
        assert writer.wire.nodes[name].files(".tmp") == []


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([1, SLICE_BYTES - 1, SLICE_BYTES, SLICE_BYTES + 1, FRAME_BYTES])
    | st.integers(1, 2 * FRAME_BYTES)
)
def test_every_length_arrives(length: int) -> None:
    writer = Writer(Wire(2), Random(length).randbytes(length))
    writer.open("datanode-1", "datanode-2")
    writer.send()
    assert writer.seal() == [writer.receipts("datanode-1", "datanode-2")]
    assert writer.stored("datanode-2") == writer.data


def test_the_receipt_comes_only_after_every_disk_has_synced(wire: Wire, writer: Writer) -> None:
    writer.open("datanode-1", "datanode-2")
    writer.send()
    wire.mute.add("datanode-2")
    assert writer.seal() == []
    assert wire.nodes["datanode-1"].files(".chunk")
    wire.mute.clear()
    assert writer.hear() == [writer.receipts("datanode-1", "datanode-2")]


def test_the_seal_is_passed_on_before_the_own_sync(wire: Wire, writer: Writer) -> None:
    writer.open("datanode-1", "datanode-2")
    writer.send()
    first = wire.nodes["datanode-1"]
    first.receive(writer.origin(), SealChunk(len(writer.data), writer.digest))
    assert [type(action.message) for action in first.out] == [SealChunk]
    assert len(first.work) == 1


def test_credit_is_what_the_slowest_node_has_written(wire: Wire, writer: Writer) -> None:
    writer.open("datanode-1", "datanode-2")
    frame = writer.data[:FRAME_BYTES]
    wire.mute.add("datanode-2")
    writer.first.receive(writer.origin(), ChunkData(0, slice_hashes(frame)), frame)
    assert writer.hear() == []
    wire.mute.clear()
    assert writer.hear() == [ChunkCredit(FRAME_BYTES)]


def test_a_frame_garbled_between_nodes_breaks_the_chain_there(wire: Wire, writer: Writer) -> None:
    writer.open(*NODES)
    wire.garble.add("datanode-2")
    heard = writer.send(0, FRAME_BYTES)
    assert [(type(h), h.node) for h in heard] == [(ChainBroken, "datanode-2")]
    wire.garble.clear()
    assert writer.open(*NODES) == [ChunkOpened(0)]
    writer.send()
    assert writer.seal() == [writer.receipts(*NODES)]


def test_the_survivors_of_a_broken_chain_go_on_where_they_are(wire: Wire, writer: Writer) -> None:
    writer.open(*NODES)
    writer.send(0, 2 * FRAME_BYTES)
    wire.kill("datanode-2")
    broken = writer.hear()
    assert [(type(b), b.node) for b in broken] == [(ChainBroken, "datanode-2")]
    assert writer.open("datanode-1", "datanode-3") == [ChunkOpened(2 * FRAME_BYTES)]
    writer.send(2 * FRAME_BYTES)
    assert writer.seal() == [writer.receipts("datanode-1", "datanode-3")]
    assert writer.stored("datanode-3") == writer.data


def test_a_survivor_that_has_less_gets_the_rest(wire: Wire, writer: Writer) -> None:
    writer.open("datanode-1")
    writer.send(0, 3 * FRAME_BYTES)
    writer.open("datanode-2")
    writer.send(0, FRAME_BYTES)
    assert writer.open("datanode-1", "datanode-2") == [ChunkOpened(FRAME_BYTES)]
    heard = writer.send(FRAME_BYTES)
    assert heard[-1] == ChunkCredit(len(writer.data))
    assert writer.seal() == [writer.receipts("datanode-1", "datanode-2")]
    assert writer.stored("datanode-1") == writer.stored("datanode-2") == writer.data


def test_frames_may_be_cut_in_another_way_the_second_time(wire: Wire, writer: Writer) -> None:
    writer.open("datanode-1")
    part = FRAME_BYTES // 2
    frame = writer.data[:part]
    writer.first.receive(writer.origin(), ChunkData(0, slice_hashes(frame)), frame)
    writer.hear()
    writer.send()
    assert writer.seal() == [writer.receipts("datanode-1")]
    assert writer.stored("datanode-1") == writer.data


def test_a_dead_last_node_is_named_by_the_node_before_it(wire: Wire, writer: Writer) -> None:
    writer.open(*NODES)
    wire.kill("datanode-3")
    assert [b.node for b in writer.hear()] == ["datanode-3"]


def test_a_node_that_is_not_there_is_named_when_the_chain_opens(wire: Wire, writer: Writer) -> None:
    wire.dead.add("datanode-3")
    assert [(type(b), b.node) for b in writer.open(*NODES)] == [(ChainBroken, "datanode-3")]


@pytest.mark.parametrize(
    ("mute_at", "limit_ns"),
    [("open", FRAME_DEADLINE_NS), ("data", FRAME_DEADLINE_NS), ("seal", SEAL_DEADLINE_NS)],
)
def test_the_node_before_a_silent_one_speaks_first(
    wire: Wire, writer: Writer, mute_at: str, limit_ns: int
) -> None:
    heard: list[Any] = []
    for step in ("open", "data", "seal"):
        if step == mute_at:
            wire.mute.add("datanode-3")
        heard = {"open": lambda: writer.open(*NODES), "data": writer.send, "seal": writer.seal}[
            step
        ]()
        if step == mute_at:
            break
    assert not any(isinstance(h, ChainBroken) for h in heard)
    second, first = wire.nodes["datanode-2"], wire.nodes["datanode-1"]
    assert second.core.next_deadline() < first.core.next_deadline() < limit_ns
    second.pass_time(limit_ns)
    assert [(type(b), b.node) for b in writer.hear()] == [(ChainBroken, "datanode-3")]


def test_a_slow_writer_is_no_fault(wire: Wire, writer: Writer) -> None:
    writer.open(*NODES)
    writer.send(0, FRAME_BYTES)
    for name in NODES:
        wire.nodes[name].pass_time(WRITE_IDLE_NS - 1)
    assert writer.hear() == []
    writer.send(FRAME_BYTES)
    assert writer.seal() == [writer.receipts(*NODES)]


def test_an_order_that_comes_twice_changes_nothing(wire: Wire, writer: Writer) -> None:
    assert writer.open("datanode-1") == [ChunkOpened(0)]
    writer.send(0, FRAME_BYTES)
    writer.request -= 1
    assert writer.open("datanode-1") == []
    writer.send(FRAME_BYTES)
    assert writer.seal() == [writer.receipts("datanode-1")]


def test_a_broken_seal_is_repeated_with_the_survivors(wire: Wire, writer: Writer) -> None:
    writer.open("datanode-1", "datanode-2")
    writer.send()
    wire.mute.add("datanode-2")
    writer.seal()
    wire.kill("datanode-2")
    assert [b.node for b in writer.hear()] == ["datanode-2"]
    assert writer.open("datanode-1") == [ChunkOpened(len(writer.data))]
    assert writer.seal() == [writer.receipts("datanode-1")]


def test_a_chunk_being_sealed_can_be_opened_again(wire: Wire, writer: Writer) -> None:
    writer.open("datanode-1")
    writer.send()
    wire.mute.add("datanode-1")
    writer.seal()
    writer.open("datanode-1")
    writer.seal()
    wire.mute.clear()
    assert writer.hear() == [ChunkOpened(len(writer.data)), writer.receipts("datanode-1")]
    assert len(writer.first.files(".chunk")) == 1


def test_a_sealed_replica_answers_again_even_after_a_restart(wire: Wire, writer: Writer) -> None:
    writer.open("datanode-1")
    writer.send()
    writer.seal()
    writer.first.boot()
    assert writer.open("datanode-1", "datanode-2") == [ChunkOpened(0)]
    assert writer.send()[-1] == ChunkCredit(len(writer.data))
    assert writer.seal() == [writer.receipts("datanode-1", "datanode-2")]
    assert writer.open("datanode-1") == [ChunkOpened(len(writer.data))]
    more = bytes(10)
    at = 4 * FRAME_BYTES
    writer.first.receive(writer.origin(), ChunkData(at, slice_hashes(more)), more)
    assert isinstance(failure(writer.hear()), ProtocolError)


def test_a_repeated_seal_is_answered_once(wire: Wire, writer: Writer) -> None:
    writer.open("datanode-1")
    writer.send()
    wire.mute.add("datanode-1")
    writer.seal()
    writer.seal()
    wire.mute.clear()
    assert writer.hear() == [writer.receipts("datanode-1")]


def test_late_answers_of_nodes_that_left_the_chain_mean_nothing(wire: Wire, writer: Writer) -> None:
    writer.open("datanode-1", "datanode-2")
    frame = writer.data[:FRAME_BYTES]
    wire.mute.add("datanode-2")
    writer.first.receive(writer.origin(), ChunkData(0, slice_hashes(frame)), frame)
    writer.hear()
    writer.first.pass_time(FRAME_DEADLINE_NS)
    assert [b.node for b in writer.hear()] == ["datanode-2"]
    assert writer.open("datanode-1") == [ChunkOpened(FRAME_BYTES)]
    wire.mute.clear()
    assert writer.hear() == []


def test_what_is_sealed_is_served(wire: Wire, writer: Writer) -> None:
    writer.open("datanode-1")
    writer.send()
    writer.seal()
    ask = ReadChunk(*writer.key, FRAME_BYTES, FRAME_BYTES, with_hashes=True)
    writer.first.receive(Origin(Peer(Role.CLIENT, "bob"), 6, 1), ask)
    writer.first.run_work()
    (reply,) = writer.first.out
    assert reply.message == ChunkSlices(FRAME_BYTES, slice_hashes(writer.data))
    assert reply.payload == writer.data[FRAME_BYTES : 2 * FRAME_BYTES]
