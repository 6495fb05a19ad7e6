"""Writing: what is closed lies on enough nodes, whatever breaks on the way."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfs.checksum import FileDigest, slice_hashes
from dfs.client.frames import Close, Discard, FrameCutter
from dfs.client.namenode import UNSENT
from dfs.client.writing import FileWriter, close_inline
from dfs.errors import DfsError, LeaseLost, TooFewNodes, Unavailable
from dfs.limits import (
    CHUNK_TRIES_MAX,
    FRAME_BYTES,
    FRAME_DEADLINE_NS,
    KIB,
    MIB,
    SEAL_DEADLINE_NS,
    SECOND_NS,
    SLICE_BYTES,
    WINDOW_FRAMES,
)
from dfs.wire import data as d
from dfs.wire import namespace as m
from tests.client.stage import Stage, datanode


def create(stage: Stage, path: str = "/f", chunk_bytes: int = 0) -> m.Created:
    created = stage.run(stage.namenode.change(m.Create(*UNSENT, path, True, 0, chunk_bytes)))
    assert isinstance(created, m.Created)
    return created


@dataclass
class Write:
    """A file being written on a stage."""

    stage: Stage
    created: m.Created
    number: int
    digest: bytes
    items: list[object]

    def finish(self) -> m.Closed:
        self.stage.feed(self.number, *self.items)
        closed = self.stage.result(self.number)
        assert isinstance(closed, m.Closed)
        return closed


def begin(stage: Stage, data: bytes, chunk_bytes: int = 0) -> Write:
    created = create(stage, chunk_bytes=chunk_bytes)
    number = stage.start(FileWriter(stage.namenode, "/f", created, len(data)).run())
    cutter = FrameCutter(created.chunk_bytes)
    digest = FileDigest(data).digest()
    items: list[object] = [*cutter.push(data), *cutter.flush(), Close(digest)]
    return Write(stage, created, number, digest, items)


def stored(stage: Stage, need: int = 1, path: str = "/f") -> bytes:
    """The bytes of a closed file, after checking that each chunk is where it should be."""
    content = b""
    for chunk in stage.dumb.files[path].chunks:
        assert len(chunk.nodes) >= need
        copies = {stage.nodes[n].sealed[(chunk.chunk, chunk.generation)] for n in chunk.nodes}
        assert len(copies) == 1
        content += copies.pop()
    return content


def data_sent(stage: Stage) -> list[int]:
    return [s.message.offset for s in stage.sent if isinstance(s.message, d.ChunkData)]


@settings(max_examples=50, deadline=None)
@given(
    data=st.binary(max_size=40).map(lambda b: b * 9000),
    chunk_bytes=st.sampled_from([4 * KIB, 100_000, SLICE_BYTES, 200 * KIB, 3 * MIB]),
    cuts=st.lists(st.integers(1, 200_000), max_size=8),
)
def test_frames_are_the_bytes_within_their_bounds(
    data: bytes, chunk_bytes: int, cuts: list[int]
) -> None:
    cutter = FrameCutter(chunk_bytes)
    frames, rest = [], data
    for cut in cuts:
        frames += cutter.push(rest[:cut])
        rest = rest[cut:]
    frames += [*cutter.push(rest), *cutter.flush()]
    assert b"".join(frame.data for frame in frames) == data
    offset = 0
    for frame in frames:
        in_chunk = offset % chunk_bytes
        assert in_chunk % SLICE_BYTES == 0
        assert 0 < len(frame.data) <= min(FRAME_BYTES, chunk_bytes - in_chunk)
        assert frame.hashes == slice_hashes(frame.data)
        assert memoryview(frame.data).readonly
        offset += len(frame.data)


@pytest.mark.parametrize("size", [1, 4096, 8191, 8192, 8193, 3 * 8192])
def test_a_file_is_cut_into_chunks_and_closed_with_its_digest(size: int) -> None:
    stage = Stage()
    data = bytes(range(256)) * (size // 256 + 1)
    write = begin(stage, data[:size], chunk_bytes=8192)
    closed = write.finish()
    assert closed.entry.size == size
    assert stored(stage, need=3) == data[:size]
    assert stage.dumb.files["/f"].digest == write.digest
    assert len(stage.dumb.files["/f"].chunks) == -(-size // 8192)
    assert stage.core.idle


def test_without_credit_no_more_than_a_window_is_sent_and_no_more_input_taken() -> None:
    stage = Stage(nodes=1)
    stage.dumb.chunk_bytes = 64 * MIB
    write = begin(stage, bytes(20 * MIB))
    stage.feed(write.number, write.items[0])
    while stage.step():
        pass
    stage.core.take_consumed()
    stage.nodes["datanode-1"].silent = True
    stage.feed(write.number, *write.items[1:])
    assert len(data_sent(stage)) == 1 + WINDOW_FRAMES
    assert len(stage.core.take_consumed()) == WINDOW_FRAMES + 1


def test_a_broken_second_node_leaves_and_the_survivors_keep_the_chunk() -> None:
    stage = Stage()
    stage.dumb.need = 2
    stage.nodes["datanode-2"].fuse = 2
    write = begin(stage, bytes(4 * FRAME_BYTES), chunk_bytes=4 * MIB)
    write.finish()
    chunk = stage.dumb.files["/f"].chunks[0]
    assert chunk.nodes == ("datanode-1", "datanode-3")
    assert [c for c in stage.dumb.applied if isinstance(c, m.AddChunk)][-1].avoid == ()
    offsets = data_sent(stage)
    assert len(offsets) < 2 * 4  # the survivors were sent only what they did not have
    assert stored(stage) == bytes(4 * FRAME_BYTES)


def test_a_lost_first_node_leaves_too() -> None:
    stage = Stage()
    stage.nodes["datanode-1"].fuse = 3
    begin(stage, bytes(3 * FRAME_BYTES), chunk_bytes=4 * MIB).finish()
    assert stage.dumb.files["/f"].chunks[0].nodes == ("datanode-2", "datanode-3")


def test_too_few_survivors_send_the_chunk_anew_elsewhere() -> None:
    stage = Stage(nodes=4)
    stage.dumb.need, stage.dumb.replication = 2, 2
    stage.nodes["datanode-2"].fuse = 2
    begin(stage, bytes(3 * FRAME_BYTES), chunk_bytes=4 * MIB).finish()
    adds = [c for c in stage.dumb.applied if isinstance(c, m.AddChunk)]
    assert adds[1].avoid == ("datanode-2",)
    assert adds[1].abandoned == stage.nodes["datanode-1"].dropped[0] > 0
    assert stage.dumb.files["/f"].chunks[0].nodes == ("datanode-1", "datanode-3")
    assert stored(stage) == bytes(3 * FRAME_BYTES)


def test_no_nodes_left_is_told_in_the_namenodes_words_and_the_file_discarded() -> None:
    stage = Stage(nodes=2)
    stage.dumb.need = 2
    stage.nodes["datanode-2"].fuse = 1
    write = begin(stage, bytes(1000))
    with pytest.raises(TooFewNodes, match="1 datanodes are up and a write needs 2"):
        write.finish()
    assert stage.dumb.writing == {}
    assert "/f" not in stage.dumb.files
    assert stage.core.idle


@pytest.mark.parametrize("after", [0, 1, 2, 3, 4])
def test_a_silent_first_node_is_left_when_its_time_is_over(after: int) -> None:
    stage = Stage()
    write = begin(stage, bytes(2 * FRAME_BYTES), chunk_bytes=4 * MIB)
    stage.feed(write.number, *write.items)
    first = datanode("datanode-1")
    while sum(send.to == first for send in stage.sent) < after:
        stage.step()
    stage.nodes["datanode-1"].silent = True
    begin_ns = stage.now_ns
    assert isinstance(stage.result(write.number), m.Closed)
    assert stored(stage) == bytes(2 * FRAME_BYTES)
    assert stage.now_ns - begin_ns in (0, FRAME_DEADLINE_NS, SEAL_DEADLINE_NS)


def test_a_slow_writer_breaks_no_chain_and_a_forgotten_write_is_begun_again() -> None:
    stage = Stage(nodes=1)
    write = begin(stage, bytes(2 * FRAME_BYTES), chunk_bytes=4 * MIB)
    stage.feed(write.number, write.items[0])
    while stage.step():
        pass
    assert stage.core.next_deadline() is None
    stage.nodes["datanode-1"].forgets = 1
    stage.feed(write.number, *write.items[1:])
    assert isinstance(stage.result(write.number), m.Closed)
    assert stored(stage) == bytes(2 * FRAME_BYTES)
    assert len([c for c in stage.dumb.applied if isinstance(c, m.AddChunk)]) == 1


def test_a_node_that_refuses_again_and_again_is_left() -> None:
    stage = Stage()
    stage.nodes["datanode-1"].forgets = 100
    begin(stage, bytes(2 * FRAME_BYTES), chunk_bytes=4 * MIB).finish()
    assert stage.dumb.files["/f"].chunks[0].nodes == ("datanode-2", "datanode-3")


def test_a_chunk_that_fails_everywhere_ends_after_a_few_tries() -> None:
    stage = Stage(nodes=CHUNK_TRIES_MAX)
    stage.dumb.replication = 1
    for node in stage.nodes.values():
        node.forgets = 100
    with pytest.raises(Unavailable, match=r"/f: chunk at byte 0 .* 16 tries .*not known here"):
        begin(stage, bytes(FRAME_BYTES)).finish()
    assert stage.core.idle


def test_nodes_that_start_again_are_used_when_there_are_not_enough_others() -> None:
    stage = Stage(nodes=2)
    stage.dumb.need, stage.dumb.stale = 2, True
    stage.nodes["datanode-2"].fuse = 1
    write = begin(stage, bytes(FRAME_BYTES))
    stage.feed(write.number, *write.items)
    begin_ns = stage.now_ns
    while stage.now_ns < begin_ns + 3 * SECOND_NS:
        stage.step()
    stage.nodes["datanode-2"].fuse, stage.nodes["datanode-2"].alive = None, True
    assert isinstance(stage.result(write.number), m.Closed)
    assert stored(stage, need=2) == bytes(FRAME_BYTES)


def test_discarding_drops_the_chunk_and_the_name() -> None:
    stage = Stage()
    write = begin(stage, bytes(4 * FRAME_BYTES), chunk_bytes=8 * MIB)
    stage.feed(write.number, *write.items[:2])
    while len(data_sent(stage)) < 2:
        stage.step()
    stage.feed(write.number, Discard())
    assert stage.result(write.number) is None
    assert stage.nodes["datanode-1"].dropped
    assert stage.dumb.writing == {}
    assert stage.core.idle


def test_a_lost_lease_is_told() -> None:
    stage = Stage()
    write = begin(stage, bytes(20_000), chunk_bytes=8192)
    stage.dumb.writing.clear()
    with pytest.raises(LeaseLost):
        write.finish()


def test_a_chain_that_breaks_after_the_session_has_ended_is_a_lost_lease() -> None:
    stage = Stage()
    stage.nodes["datanode-2"].fuse = 2
    write = begin(stage, bytes(3 * FRAME_BYTES), chunk_bytes=4 * MIB)
    stage.feed(write.number, write.items.pop(0))
    while not stage.nodes["datanode-1"].tmp:
        assert stage.step()
    stage.dumb.sessions.clear()
    with pytest.raises(LeaseLost, match="the session of its writer has ended"):
        write.finish()
    assert stage.core.idle


def test_small_content_is_closed_in_one_request_and_an_error_discards() -> None:
    stage = Stage()
    created = create(stage)
    closed = stage.run(close_inline(stage.namenode, "/f", created, b"hello"))
    assert closed.entry.size == 5
    assert stage.dumb.files["/f"].content == b"hello"
    created = create(stage, "/g")
    stage.dumb.errors = [LeaseLost("no lease")]
    with pytest.raises(LeaseLost):
        stage.run(close_inline(stage.namenode, "/f", created, b"x"))
    assert stage.dumb.writing == {}


@settings(max_examples=150, deadline=None)
@given(
    frames=st.integers(1, 5),
    tail=st.sampled_from([0, 1, SLICE_BYTES, SLICE_BYTES + 1]),
    chunk_mib=st.sampled_from([1, 2, 4]),
    need=st.integers(1, 2),
    fuses=st.lists(st.none() | st.integers(0, 12), min_size=4, max_size=4),
    silent=st.sets(st.integers(0, 3), max_size=1),
    swallow=st.integers(0, 2),
    duplicates=st.booleans(),
)
def test_with_any_faults_a_write_succeeds_whole_or_leaves_nothing(
    frames: int,
    tail: int,
    chunk_mib: int,
    need: int,
    fuses: list[int | None],
    silent: set[int],
    swallow: int,
    duplicates: bool,
) -> None:
    stage = Stage(nodes=4)
    stage.duplicates = duplicates
    stage.dumb.need, stage.dumb.replication = need, 3
    data = bytes(range(250)) * ((frames * FRAME_BYTES + tail) // 250 + 1)
    data = data[: frames * FRAME_BYTES + tail]
    write = begin(stage, data, chunk_bytes=chunk_mib * MIB)
    for index, (node, fuse) in enumerate(zip(stage.nodes.values(), fuses, strict=True)):
        node.fuse = fuse
        node.silent = index in silent
    stage.dumb.swallow = swallow
    try:
        write.finish()
    except DfsError:
        assert sum(n.alive for n in stage.nodes.values()) < need + len(silent) + 1
        assert "/f" not in stage.dumb.files
        assert stage.dumb.writing == {}
    else:
        assert stored(stage, need) == data
    assert stage.core.idle
