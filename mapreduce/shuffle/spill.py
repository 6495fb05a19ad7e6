"""From a map's buffer to its run file.

Each time the buffer is full its records go, sorted and partitioned, into a spill: a run file
of its own in scratch space. At the end the spills are merged, partition by partition, into the
map's output; with one spill only, that is the output. Spills are merged in the order in which
they were written, so values of a key keep the order in which they were emitted.

A merge holds a block of each of its sources, so it takes only as many as its room allows; more
are merged in passes, group by adjacent group. That changes nothing in the
records or in their order, and memory depends neither on the number of sources nor on how long a
key is, only on the largest records: two blocks are always held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple, Protocol, TypeVar

import polars as pl

from mapreduce.shuffle.grouping import Grouping
from mapreduce.shuffle.keys import NONE, KeyType
from mapreduce.shuffle.merge import merge
from mapreduce.shuffle.run_file import BLOCK_BYTES, RunWriter, SegmentReader, largest_row_bytes
from mapreduce.shuffle.run_index import RunIndex


class MergeRoom(NamedTuple):
    """What one merge may take: bytes in the blocks of its sources, one of each, and sources, each
    of which is an open file. Two are always taken."""

    held_bytes: int = 32 << 20
    sources: int = 128


MERGE_ROOM = MergeRoom()
T = TypeVar("T")

Partition = Callable[[list[Any], int], list[int]]
"""The partition of each of several keys."""


class Scratch(Protocol):
    """Private files by name; see `TaskEnv`."""

    def create_scratch(self, name: str) -> BinaryIO:
        """A new file for writing."""
        ...

    def open_scratch(self, name: str) -> BinaryIO:
        """A file written before."""
        ...

    def remove_scratch(self, name: str) -> None:
        """Forget a file."""
        ...


def split_by_partition(
    frame: pl.DataFrame, partitions: int, partition: Partition, grouping: Grouping
) -> list[pl.DataFrame]:
    """One sorted frame for each partition; `partition` is asked once for each group's key."""
    if not frame.height or partitions == 1:
        return [frame] * partitions
    starts = grouping.starts(frame)
    of_group = partition(grouping.keys(frame, starts), partitions)
    lengths = pl.Series([*starts[1:], frame.height], dtype=pl.Int64) - pl.Series(
        starts, dtype=pl.Int64
    )
    groups = pl.DataFrame({"p": pl.Series(of_group, dtype=pl.UInt32), "n": lengths})
    of_row = groups.select(pl.col("p").repeat_by("n").explode()).to_series()
    parts = frame.with_columns(of_row.alias("p")).partition_by(
        "p", maintain_order=True, include_key=False, as_dict=True
    )
    empty = frame.clear()
    return [parts.get((number,), empty) for number in range(partitions)]


class _Spill(NamedTuple):
    """A run in scratch; its largest record has `row_bytes`."""

    name: str
    row_bytes: int

    @property
    def block_bytes(self) -> int:
        """What the content of a block has at most."""
        return BLOCK_BYTES + self.row_bytes


class Spills:
    """The spills of one map."""

    def __init__(
        self, scratch: Scratch, map_index: int, partitions: int, room: MergeRoom = MERGE_ROOM
    ) -> None:
        self._scratch = scratch
        self._map_index = map_index
        self._partitions = partitions
        self._room = room
        self._runs: list[_Spill] = []
        self._named = 0
        self.written_bytes = 0
        """Segments of all scratch files so far."""

    def __len__(self) -> int:
        return len(self._runs)

    def add(self, parts: Sequence[pl.DataFrame], key_type: KeyType) -> None:
        """Write one spill: a sorted frame for each partition."""
        name = self._new_name()
        row_bytes = max(map(largest_row_bytes, parts))
        file = self._scratch.create_scratch(name)
        index = write_run(file, self._map_index, key_type, parts)
        self._runs.append(self._kept(name, index, row_bytes))

    def merge_into(self, file: BinaryIO, key_type: KeyType) -> RunIndex:
        """Write the map's output from all spills and remove them."""
        while len(groups := self._groups()) > 1:
            self._runs = [self._merge_to_scratch(group, key_type) for group in groups]
        return self._merge(self._runs, file, key_type)

    def _groups(self) -> list[list[_Spill]]:
        return [group for group, _ in groups_that_fit(self._runs, _bytes_of_spill, self._room)]

    def _merge_to_scratch(self, runs: list[_Spill], key_type: KeyType) -> _Spill:
        name = self._new_name()
        index = self._merge(runs, self._scratch.create_scratch(name), key_type)
        return self._kept(name, index, max(run.row_bytes for run in runs))

    def _kept(self, name: str, index: RunIndex, row_bytes: int) -> _Spill:
        self.written_bytes += index.size_bytes
        return _Spill(name, row_bytes)

    def _merge(self, runs: list[_Spill], file: BinaryIO, key_type: KeyType) -> RunIndex:
        """Merge runs, each of which is read from its beginning to its end."""
        writer = RunWriter(file, self._map_index, key_type)
        files = [self._scratch.open_scratch(run.name) for run in runs]
        for partition in range(self._partitions):
            _write_merged(
                writer,
                [SegmentReader(file, self._map_index, partition, is_own=True) for file in files],
            )
        for run, source in zip(runs, files, strict=True):
            source.close()
            self._scratch.remove_scratch(run.name)
        return writer.finish()

    def _new_name(self) -> str:
        self._named += 1
        return f"spill-{self._named:05d}"


def write_run(
    file: BinaryIO, map_index: int, key_type: KeyType, parts: Sequence[pl.DataFrame]
) -> RunIndex:
    """Write a run file from one sorted frame for each partition."""
    writer = RunWriter(file, map_index, key_type)
    for part in parts:
        writer.add_partition(part.height, largest_row_bytes(part), iter([part]))
    return writer.finish()


def merged_segments(
    open_segment: Callable[[int], SegmentReader],
    count: int,
    scratch: Scratch,
    room: MergeRoom = MERGE_ROOM,
    level: int = 0,
) -> Iterator[pl.DataFrame]:
    """One sorted stream of `count` segments in order.

    If they do not fit into one merge, adjacent groups are first merged into scratch files, each
    as soon as the segment behind it is there, and these in turn.
    """
    merged = 0
    opened = map(open_segment, range(count))
    for sources, is_last in groups_that_fit(opened, _bytes_of_segment, room):
        if is_last and not merged:
            yield from merge(sources)
        else:
            writer = RunWriter(scratch.create_scratch(_name(level, merged)), merged, NONE)
            _write_merged(writer, sources)
            writer.finish()
            merged += 1
        for source in sources:
            source.close()
    if merged:
        yield from merged_segments(_opener(scratch, level), merged, scratch, room, level + 1)


def groups_that_fit(
    sources: Iterable[T], block_bytes: Callable[[T], int], room: MergeRoom
) -> Iterator[tuple[list[T], bool]]:
    """Adjacent sources that one merge can take, and whether the group is the last one. There are
    at least two in each but the last, so that every pass leaves fewer."""
    group: list[T] = []
    held = 0
    for source in sources:
        size = block_bytes(source)
        is_full = held + size > room.held_bytes or len(group) >= room.sources
        if is_full and len(group) > 1:
            yield group, False
            group, held = [], 0
        group.append(source)
        held += size
    yield group, True


def _write_merged(writer: RunWriter, sources: list[SegmentReader]) -> None:
    """The sources as the next partition; whoever opened them has seen the types of their keys."""
    records = sum(source.remaining for source in sources)
    row_bytes = max(source.head.row_bytes for source in sources)
    writer.add_partition(records, row_bytes, merge(sources))


def _bytes_of_segment(source: SegmentReader) -> int:
    return source.head.block_bytes


def _bytes_of_spill(spill: _Spill) -> int:
    return spill.block_bytes


def _name(level: int, number: int) -> str:
    return f"merge-{level}-{number:05d}"


def _opener(scratch: Scratch, level: int) -> Callable[[int], SegmentReader]:
    return lambda number: _MergedSegment(scratch, _name(level, number), number)


class _MergedSegment(SegmentReader):
    """A segment in scratch, which goes when it has been read."""

    def __init__(self, scratch: Scratch, name: str, number: int) -> None:
        super().__init__(scratch.open_scratch(name), number, 0, is_own=True)
        self._scratch = scratch
        self._name = name

    def close(self) -> None:
        """Close and remove it."""
        super().close()
        self._scratch.remove_scratch(self._name)
