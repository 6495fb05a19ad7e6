"""Nothing grows with the number of sources, with the values of a key or with long records."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import chain
from typing import Any, BinaryIO

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mapreduce as mr
from mapreduce import TextLines
from mapreduce.errors import RunCorrupt
from mapreduce.formats import BadRecordError
from mapreduce.job import FileSplit
from mapreduce.records import LINE_MAX_BYTES, READ_BYTES, LineTooLongError, line_blocks
from mapreduce.shuffle.columns import keys_of, sort_by_key, to_frame, values_of
from mapreduce.shuffle.keys import encode
from mapreduce.shuffle.run_file import SegmentReader
from mapreduce.shuffle.spill import MergeRoom, Spills, groups_that_fit, merged_segments, write_run
from mapreduce.task.emitter import BLOCK_BYTES, LOOK_RECORDS, Emitter
from mapreduce.task.side import dropped_outputs
from tests.mapreduce.memory_env import MemoryEnv, MemoryRun, cut

Records = list[tuple[Any, Any]]
ROOM = MergeRoom(held_bytes=100, sources=3)


class Counted(io.BytesIO):
    """A file that knows how many like it are open."""

    open_now = 0
    open_most = 0

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        Counted.open_now += 1
        Counted.open_most = max(Counted.open_most, Counted.open_now)

    def close(self) -> None:
        Counted.open_now -= not self.closed
        super().close()


class CountedEnv(MemoryEnv):
    """Counts the open files of a merge."""

    def __init__(self) -> None:
        super().__init__({}, {})
        Counted.open_now = Counted.open_most = 0

    def open_scratch(self, name: str) -> BinaryIO:
        return Counted(self.scratch[name])


def frame_of(records: Records) -> pl.DataFrame:
    return (
        sort_by_key(to_frame(*map(list, zip(*records, strict=True))))
        if records
        else to_frame([], [])
    )


def run_of(records: Records, map_index: int) -> bytes:
    env = MemoryEnv({}, {})
    env.map_name = "run"
    write_run(env.create_map_output(), map_index, "str", [frame_of(records)])
    return env.runs["run"]


def records_of(frames: Iterator[pl.DataFrame]) -> Records:
    return [pair for f in frames for pair in zip(keys_of(f), values_of(f), strict=True)]


KEYS = st.sampled_from(["", "a", "ab", "b", "k" * 40])
SOURCES = st.lists(st.lists(KEYS, max_size=6), min_size=1, max_size=12)


@settings(deadline=None, max_examples=60)
@given(SOURCES, st.integers(0, 200), st.integers(1, 5))
def test_merging_in_passes_is_merging_at_once(
    keys: list[list[str]], held_bytes: int, sources: int
) -> None:
    found = [[(key, (at, n)) for n, key in enumerate(run)] for at, run in enumerate(keys)]
    runs = [run_of(records, at) for at, records in enumerate(found)]
    env = CountedEnv()

    def open_segment(map_index: int) -> SegmentReader:
        return SegmentReader(Counted(runs[map_index]), map_index, 0)

    room = MergeRoom(held_bytes, sources)
    merged = records_of(merged_segments(open_segment, len(runs), env, room))
    assert merged == sorted(chain.from_iterable(found), key=lambda record: encode(record[0]))
    assert not env.scratch
    assert Counted.open_now == 0
    assert Counted.open_most <= max(sources, 2) + 1


@settings(deadline=None, max_examples=60)
@given(SOURCES)
def test_a_map_of_many_spills_leaves_the_run_of_one(keys: list[list[str]]) -> None:
    records = [(key, n) for n, key in enumerate(chain.from_iterable(keys))]
    at_once, env = MemoryEnv({}, {}), CountedEnv()
    at_once.map_name = env.map_name = "run"
    write_run(at_once.create_map_output(), 0, "str", [frame_of(records), frame_of([])])
    spills = Spills(env, 0, 2, ROOM)
    numbers = iter(range(len(records)))
    for run in keys:
        spills.add([frame_of([(key, next(numbers)) for key in run]), frame_of([])], "str")
    spills.merge_into(env.create_map_output(), "str")
    assert env.runs == at_once.runs
    assert not env.scratch
    assert Counted.open_most <= ROOM.sources


def test_every_pass_leaves_fewer_however_large_the_records_are() -> None:
    groups = list(groups_that_fit(range(5), lambda _: 10**9, ROOM))
    assert groups == [([0, 1], False), ([2, 3], False), ([4], True)]


class Sizes:
    """A sink that keeps what each block held."""

    def __init__(self) -> None:
        self.blocks: list[int] = []
        self.values: list[Any] = []

    def add(self, keys: list[Any], values: list[Any]) -> int:
        self.values += values
        self.blocks.append(sum(map(size_of, values)))
        return self.blocks[-1]


def size_of(value: Any) -> int:
    items = value if isinstance(value, list) else [value]
    return sum(len(item) for item in items if isinstance(item, str))


def emitted(values: list[Any]) -> Sizes:
    sink = Sizes()
    emitter = Emitter(sink, dropped_outputs(), lambda error: error)
    emitter.take((None, value) for value in values)
    emitter.flush()
    assert sink.values == values
    return sink


LARGE = BLOCK_BYTES // 4


@pytest.mark.parametrize(
    "values",
    [
        ["x" * LARGE] * 100,
        ["small"] * 20_000 + ["x" * LARGE] * 100,
        ["small", "x" * LARGE] * 100,
        [["small"]] * 5_000 + [["x" * LARGE]] * 100,
    ],
)
def test_records_that_grow_all_at_once_do_not_gather(values: list[Any]) -> None:
    assert max(emitted(values).blocks) <= BLOCK_BYTES + LOOK_RECORDS * LARGE


def test_small_records_still_go_in_large_blocks() -> None:
    assert len(emitted(["small"] * 100_000).blocks) < 20


def test_what_cannot_be_weighed_is_passed_on() -> None:
    assert len(emitted([[print, lambda: None]] * 50).values) == 50


class Longest(mr.Job):
    """Lines by their first letter."""

    def mapper(self, key: Any, line: str) -> Iterator[tuple[str, str]]:
        yield line[:1], line

    def reducer(self, key: str, lines: Iterator[str]) -> Iterator[tuple[str, int]]:
        yield key, sum(map(len, lines))


def test_lines_longer_than_blocks_and_buffers() -> None:
    lines = ["short", "a" * (3 * READ_BYTES), "b" * BLOCK_BYTES, "", "a" * (2 * BLOCK_BYTES)]
    text = "\n".join(lines).encode()
    run = MemoryRun(Longest(), cut(text, 7), {"in": text}, 1 << 20)
    found = dict(chain.from_iterable(run.partitions()))
    assert found == {"s": 5, "a": 3 * READ_BYTES + 2 * BLOCK_BYTES, "b": BLOCK_BYTES, "": 0}


class Trickle(io.BytesIO):
    """Gives few bytes at a time, as a socket may."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size or 0, 70_001))


def test_what_comes_in_a_block_does_not_depend_on_the_reads() -> None:
    text = b"".join(b"%d\n" % (n * n) for n in range(400_000)) + b"x" * (3 * READ_BYTES)
    split = FileSplit("in", 0, len(text), len(text))
    assert list(line_blocks(Trickle(text), split)) == list(line_blocks(io.BytesIO(text), split))


def test_a_line_over_the_limit_is_refused_where_it_begins() -> None:
    text = b"first\n" + b"x" * (2 * READ_BYTES) + b"\nlast\n"
    split = FileSplit("in", 0, len(text), len(text))
    with pytest.raises(LineTooLongError, match="WholeFile or mapper_raw") as caught:
        list(line_blocks(io.BytesIO(text), split, READ_BYTES))
    assert (caught.value.offset, caught.value.start[:3]) == (6, b"xxx")


class Endless(io.RawIOBase):
    """A file of one line without an end."""

    def read(self, size: int = -1) -> bytes:
        return b"x" * size


def test_such_a_line_fails_the_map_with_its_place() -> None:
    split = FileSplit("in", 0, 10, LINE_MAX_BYTES * 2)
    with pytest.raises(BadRecordError, match="a line of more than 256 MiB") as caught:
        list(TextLines().read(Endless(), split, lambda name, n: None))  # type: ignore[arg-type]
    assert caught.value.offset == 0


class Damaging(MemoryEnv):
    """Scratch files come back with one byte changed, counted from the end."""

    def __init__(self, at: int) -> None:
        super().__init__({}, {})
        self._at = at

    def open_scratch(self, name: str) -> BinaryIO:
        data = bytearray(super().open_scratch(name).read())
        data[self._at] ^= 1
        return io.BytesIO(data)


@pytest.mark.parametrize("at", [0, 30, 70])
def test_damaged_scratch_of_a_merge_is_the_fault_of_no_map(at: int) -> None:
    runs = [run_of([(f"{number}", number)], number) for number in range(4)]

    def open_segment(map_index: int) -> SegmentReader:
        return SegmentReader(io.BytesIO(runs[map_index]), map_index, 0)

    with pytest.raises(RunCorrupt) as caught:
        records_of(merged_segments(open_segment, 4, Damaging(at), MergeRoom(0, 2)))
    assert caught.value.map_index == -1


def test_damaged_scratch_of_a_map_is_the_fault_of_no_other() -> None:
    env = Damaging(0)
    env.map_name = "run"
    spills = Spills(env, 0, 1, ROOM)
    for key in ("a", "b"):
        spills.add([frame_of([(key, 1)])], "str")
    with pytest.raises(RunCorrupt) as caught:
        spills.merge_into(env.create_map_output(), "str")
    assert caught.value.map_index == -1
