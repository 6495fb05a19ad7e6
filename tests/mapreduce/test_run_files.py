"""Run files: what is written is read, and whatever is damaged or misplaced is found."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from mapreduce.errors import RecordsLost, RunCorrupt
from mapreduce.shuffle.columns import keys_of, to_frame, values_of
from mapreduce.shuffle.merge import merge
from mapreduce.shuffle.run_file import BLOCK_BYTES, RunWriter, SegmentReader, cut_blocks
from mapreduce.shuffle.run_index import RunIndex, read_entry, read_index, segments_bytes
from mapreduce.shuffle.spill import write_run


class Kept(io.BytesIO):
    """Keeps its bytes when it is closed."""

    data = b""

    def close(self) -> None:
        self.data = self.getvalue()


PARTS = [
    to_frame(["a", "a", "b"], [1, 2, 3]),
    to_frame([], []),
    to_frame(["c"], [None]),
]


def written(map_index: int = 7) -> tuple[bytes, RunIndex]:
    file = Kept()
    index = write_run(file, map_index, "str", PARTS)
    return file.data, index


def segment(data: bytes, index: RunIndex, partition: int) -> bytes:
    entry = index.partitions[partition]
    return data[entry.offset : entry.offset + entry.size_bytes]


def records(data: bytes, map_index: int, partition: int) -> list[tuple[object, object]]:
    reader = SegmentReader(io.BytesIO(data), map_index, partition)
    found: list[tuple[object, object]] = []
    while (block := reader.next_block()) is not None:
        found += zip(keys_of(block), values_of(block), strict=True)
    return found


def test_each_partition_can_be_read_alone() -> None:
    data, index = written()
    assert read_index(io.BytesIO(data)) == index
    assert index.records == (3, 0, 1)
    found = [records(segment(data, index, p), 7, p) for p in range(3)]
    assert found == [[("a", 1), ("a", 2), ("b", 3)], [], [("c", None)]]


def test_the_same_records_make_the_same_bytes() -> None:
    assert written() == written()


def test_a_golden_run_file_is_read() -> None:
    data = (Path(__file__).parents[1] / "golden" / "run-1.bin").read_bytes()
    index = read_index(io.BytesIO(data))
    assert [(e.offset, e.size_bytes, e.records) for e in index.partitions] == [
        (0, 653, 2),
        (653, 45, 0),
    ]
    assert records(segment(data, index, 0), 7, 0) == [("a", 1), ("b", 2)]
    assert records(segment(data, index, 1), 7, 1) == []


def test_every_damaged_byte_of_a_segment_is_found() -> None:
    data, index = written()
    whole = segment(data, index, 0)
    for at in range(len(whole)):
        damaged = whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :]
        with pytest.raises(RunCorrupt) as caught:
            records(damaged, 7, 0)
        assert caught.value.map_index == 7


@pytest.mark.parametrize("length", [0, 10, 30, 60, -1])
def test_a_segment_that_is_cut_short_is_found(length: int) -> None:
    data, index = written()
    with pytest.raises(RunCorrupt, match="too early"):
        records(segment(data, index, 0)[:length], 7, 0)


def test_a_segment_in_the_wrong_place_is_found() -> None:
    data, index = written()
    with pytest.raises(RunCorrupt, match="map 7, partition 0 stands where map 7, partition 2"):
        records(segment(data, index, 0), 7, 2)
    with pytest.raises(RunCorrupt, match="where map 8"):
        records(segment(data, index, 0), 8, 0)


def test_a_block_of_another_segment_is_found() -> None:
    data, index = written()
    other, other_index = written(map_index=8)
    mine, theirs = segment(data, index, 0), segment(other, other_index, 0)
    body = mine.index(b"str") + len(b'str"')
    with pytest.raises(RunCorrupt, match="map 7, partition 0, block 0: the checksum"):
        records(mine[:body] + theirs[body:], 7, 0)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda data: data[:10], "no footer"),
        (lambda data: data[:-1], "cut short"),
        (lambda data: data[:-40] + b"\xff" + data[-39:], "damaged: partition 2"),
        (lambda data: data[:-24] + b"\xff" + data[-23:], "end of the run file is damaged"),
        (lambda data: data[-40:], "end of the run file is damaged"),
    ],
)
def test_a_damaged_footer_is_found(spoil: object, words: str) -> None:
    data, _ = written()
    with pytest.raises(RunCorrupt, match=words):
        read_index(io.BytesIO(spoil(data)))  # type: ignore[operator]
    with pytest.raises(RunCorrupt, match=words):
        read_entry(io.BytesIO(spoil(data)), 2)  # type: ignore[operator]


def test_one_entry_is_read_alone() -> None:
    data, index = written()
    found = [read_entry(io.BytesIO(data), p) for p in range(3)]
    assert found == list(index.partitions)
    assert segments_bytes(io.BytesIO(data)) == sum(entry.size_bytes for entry in found)
    for partition in (-1, 3):
        with pytest.raises(RunCorrupt, match=f"map 7 has no partition {partition}") as caught:
            read_entry(io.BytesIO(data), partition)
        assert caught.value.map_index == 7


def test_blocks_are_cut_by_bytes_and_a_large_row_stands_alone() -> None:
    sizes = [10, BLOCK_BYTES // 2, BLOCK_BYTES // 2, 3 * BLOCK_BYTES, 10, 10]
    frame = to_frame(list(range(6)), ["x" * size for size in sizes])
    blocks = list(cut_blocks(frame))
    assert pl.concat(blocks).equals(frame)
    assert [block.height for block in blocks] == [3, 1, 2]


def test_a_writer_counts_what_it_was_promised() -> None:
    writer = RunWriter(Kept(), 0, "str")
    with pytest.raises(RecordsLost, match="partition 0: 4 records were written and 3 were read"):
        writer.add_partition(4, 100, iter([PARTS[0]]))


class Blocks:
    """A source of blocks in memory."""

    def __init__(self, *blocks: list[tuple[object, object]]) -> None:
        self._blocks = [to_frame(*map(list, zip(*block, strict=True))) for block in blocks]
        self.remaining = sum(block.height for block in self._blocks)

    def next_block(self) -> pl.DataFrame | None:
        if not self._blocks:
            return None
        self.remaining -= self._blocks[0].height
        return self._blocks.pop(0)


def pairs(frames: Iterator[pl.DataFrame]) -> list[tuple[object, object]]:
    return [pair for f in frames for pair in zip(keys_of(f), values_of(f), strict=True)]


def test_a_key_over_many_blocks_keeps_the_order_of_its_sources() -> None:
    first = Blocks([("a", 0), ("k", 1)], [("k", 2), ("k", 3)], [("k", 4), ("z", 5)])
    second = Blocks([("k", 6)], [("k", 7), ("m", 8)])
    wanted = [("a", 0), *(("k", n) for n in (1, 2, 3, 4, 6, 7)), ("m", 8), ("z", 5)]
    assert pairs(merge([first, second])) == wanted


def test_sources_of_different_lanes_merge_in_the_general_one() -> None:
    small = Blocks([(None, 1), (1, 2), (5, 3)])
    large = Blocks([(-(2**80), "a"), (3, "b")], [(2**80, "c")])
    wanted = [(None, 1), (-(2**80), "a"), (1, 2), (3, "b"), (5, 3), (2**80, "c")]
    assert pairs(merge([small, large])) == wanted
