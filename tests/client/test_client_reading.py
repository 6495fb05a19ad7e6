"""Reading: any range equals the bytes, whatever single replicas do."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from dfs.client.reading import open_file, read_range
from dfs.errors import Corrupt, NotFound, Unavailable
from dfs.limits import (
    FRAME_BYTES,
    FRAME_DEADLINE_NS,
    HASHES_KEPT_CHUNKS,
    MIB,
    SECOND_NS,
    SLICE_BYTES,
)
from dfs.wire import data as d
from tests.client.stage import HOST, Stage


def pattern(length: int, seed: int = 1) -> bytes:
    """Bytes in which no two slices are equal."""
    block = b"".join((i * 2654435761 + seed).to_bytes(8, "big") for i in range(length // 8 + 1))
    return block[:length]


def read(stage: Stage, path: str, offset: int, length: int) -> bytes:
    file = stage.run(open_file(stage.namenode, path))
    return b"".join(stage.run(read_range(stage.namenode, file, offset, length)))


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(
        st.sampled_from([1, 4096, SLICE_BYTES - 1, SLICE_BYTES, SLICE_BYTES + 1, 150_000]),
        min_size=1,
        max_size=6,
    ),
    ranges=st.lists(st.tuples(st.integers(0, 900_000), st.integers(0, 900_000)), max_size=4),
    faults=st.lists(
        st.sampled_from(["good", "dead", "silent", "flips", "empty", "dies"]), max_size=2
    ),
    duplicates=st.booleans(),
)
def test_every_range_equals_the_bytes_while_one_replica_is_good(
    lengths: list[int], ranges: list[tuple[int, int]], faults: list[str], duplicates: bool
) -> None:
    stage = Stage()
    stage.duplicates = duplicates
    parts = [pattern(length, seed) for seed, length in enumerate(lengths)]
    stage.dumb.add_file("/f", parts)
    for node, fault in zip(stage.nodes.values(), faults, strict=False):
        node.alive = fault != "dead"
        node.silent = fault == "silent"
        node.flips = fault == "flips"
        node.fuse = 2 if fault == "dies" else None
        if fault == "empty":
            node.sealed.clear()
    whole = b"".join(parts)
    file = stage.run(open_file(stage.namenode, "/f"))
    for offset, length in [(0, len(whole)), *ranges]:
        pieces = stage.run(read_range(stage.namenode, file, offset, length))
        assert b"".join(pieces) == whole[offset : offset + length]
    assert stage.core.idle


def test_inline_empty_and_past_the_end() -> None:
    stage = Stage()
    file = stage.dumb.add_file("/inline", [])
    file.content, file.size = b"hello", 5
    stage.dumb.add_file("/empty", [])
    assert read(stage, "/inline", 1, 3) == b"ell"
    assert read(stage, "/inline", 5, 3) == b""
    assert read(stage, "/empty", 0, 10) == b""
    assert not any(send.to.role == "datanode" for send in stage.sent)


def test_the_nearest_replica_is_read_and_over_ipc_on_the_same_host() -> None:
    stage = Stage()
    stage.nodes["datanode-3"].host = HOST
    stage.dumb.add_file("/f", [pattern(100)])
    read(stage, "/f", 0, 100)
    reads = [send for send in stage.sent if isinstance(send.message, d.ReadChunk)]
    assert [(send.to.name, send.endpoints[0]) for send in reads] == [
        ("datanode-3", "ipc:///datanode-3")
    ]


def test_hashes_are_asked_for_once_and_frames_stay_within_the_limits() -> None:
    stage = Stage()
    whole = pattern(5 * MIB + 12345)
    stage.dumb.add_file("/f", [whole])
    file = stage.run(open_file(stage.namenode, "/f"))
    offset, length = 3 * SLICE_BYTES + 17, 4 * MIB
    for _ in range(2):
        pieces = stage.run(read_range(stage.namenode, file, offset, length))
        assert b"".join(pieces) == whole[offset : offset + length]
    reads = [s.message for s in stage.sent if isinstance(s.message, d.ReadChunk)]
    assert [r.with_hashes for r in reads].count(True) == 1
    assert all(r.offset % SLICE_BYTES == 0 and r.length <= FRAME_BYTES for r in reads)
    assert reads[0].offset == 3 * SLICE_BYTES


def test_remembered_hashes_are_bounded() -> None:
    stage = Stage()
    stage.dumb.page_rows = 1000
    stage.dumb.add_file("/f", [pattern(64, i) for i in range(3 * HASHES_KEPT_CHUNKS)])
    file = stage.run(open_file(stage.namenode, "/f"))
    stage.run(read_range(stage.namenode, file, 0, file.entry.size))
    assert len(file.hashes) == HASHES_KEPT_CHUNKS


def test_wrong_bytes_are_reported_and_read_elsewhere() -> None:
    stage = Stage()
    stage.nodes["datanode-1"].flips = True
    stage.dumb.add_file("/f", [pattern(3 * SLICE_BYTES)])
    assert read(stage, "/f", 0, 10) == pattern(10)
    assert [bad.node for bad in stage.dumb.bad] == ["datanode-1"]


def test_a_hung_node_costs_one_deadline_and_then_comes_last() -> None:
    stage = Stage()
    stage.nodes["datanode-1"].silent = True
    stage.dumb.add_file("/f", [pattern(100, 1), pattern(100, 2)])
    begin_ns = stage.now_ns
    assert len(read(stage, "/f", 0, 200)) == 200
    assert stage.now_ns - begin_ns == FRAME_DEADLINE_NS
    assert stage.dumb.bad == []


def test_all_replicas_bad_is_corrupt_and_says_which_and_why() -> None:
    stage = Stage()
    for node in stage.nodes.values():
        node.flips = True
    stage.dumb.add_file("/f", [pattern(100)])
    with pytest.raises(Corrupt, match=r"/f: chunk .* at byte 0 has no good replica .*datanode-2: "):
        read(stage, "/f", 0, 100)
    assert stage.core.idle


def test_all_replicas_gone_from_the_map_after_being_bad_is_corrupt() -> None:
    stage = Stage(nodes=1)
    file = stage.dumb.add_file("/f", [pattern(100)])
    stage.nodes["datanode-1"].sealed.clear()
    number = stage.start(_opened_then_read(stage, "/f"))
    while not stage.dumb.bad:
        stage.step()
    file.chunks = [replace(chunk, nodes=()) for chunk in file.chunks]
    with pytest.raises(Corrupt, match="no such replica here"):
        stage.result(number)


def test_a_chunk_that_no_node_has_is_corrupt_at_once_when_all_have_reported() -> None:
    stage = Stage()
    file = stage.dumb.add_file("/f", [pattern(100)])
    file.chunks = [replace(chunk, nodes=()) for chunk in file.chunks]
    begin_ns = stage.now_ns
    with pytest.raises(Corrupt, match="every datanode has reported, and none holds it"):
        read(stage, "/f", 0, 100)
    assert stage.now_ns - begin_ns < SECOND_NS


@pytest.mark.parametrize("is_held", [True, False])
def test_nothing_is_corrupt_while_a_node_is_away_that_may_hold_a_good_copy(is_held: bool) -> None:
    stage = Stage()
    file = stage.dumb.add_file("/f", [pattern(100)])
    held = file.chunks
    stage.nodes["datanode-1"].flips = True
    file.chunks = [replace(c, nodes=("datanode-1",) if is_held else ()) for c in held]
    stage.dumb.unheard = ("datanode-2", "datanode-3")
    with pytest.raises(Unavailable, match=r"not heard of: datanode-2, datanode-3\)"):
        read(stage, "/f", 0, 100)

    number = stage.start(_opened_then_read(stage, "/f"))
    begin_ns = stage.now_ns
    while stage.now_ns < begin_ns + 20 * SECOND_NS:
        stage.step()
    file.chunks, stage.dumb.unheard = held, ()
    assert stage.result(number) == pattern(100)


def test_all_nodes_down_is_waited_for_and_then_unavailable() -> None:
    stage = Stage()
    stage.dumb.add_file("/f", [pattern(100)])
    for node in stage.nodes.values():
        node.alive = False
    begin_ns = stage.now_ns
    with pytest.raises(Unavailable, match=r"/f: chunk .*datanode-3: it is gone"):
        read(stage, "/f", 0, 100)
    assert stage.now_ns - begin_ns >= stage.namenode.settings.timeout_ns
    assert len(stage.notices) >= 1


def test_a_node_that_comes_back_in_time_ends_the_wait() -> None:
    stage = Stage()
    stage.dumb.add_file("/f", [pattern(100)])
    for node in stage.nodes.values():
        node.alive = False
    number = stage.start(_opened_then_read(stage, "/f"))
    begin_ns = stage.now_ns
    while stage.now_ns < begin_ns + 20 * 10**9:
        stage.step()
    stage.nodes["datanode-2"].alive = True
    assert stage.result(number) == pattern(100)


def test_a_file_replaced_meanwhile_is_never_mixed_with_the_new_one() -> None:
    stage = Stage()
    old = stage.dumb.add_file("/f", [pattern(100, i) for i in range(5)])
    file = stage.run(open_file(stage.namenode, "/f"))
    stage.dumb.add_file("/f", [pattern(100, 50 + i) for i in range(5)])
    for chunk in old.chunks:
        for node in stage.nodes.values():
            node.sealed.pop((chunk.chunk, chunk.generation))
    with pytest.raises(NotFound, match="replaced meanwhile: open it again"):
        stage.run(read_range(stage.namenode, file, 0, 500))


def _opened_then_read(stage: Stage, path: str):  # type: ignore[no-untyped-def]
    file = yield from open_file(stage.namenode, path)
    pieces = yield from read_range(stage.namenode, file, 0, file.entry.size)
    return b"".join(pieces)
