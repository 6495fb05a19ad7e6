"""From a map's buffer to its run file.

Each time the buffer is full its records go, sorted and partitioned, into a spill: a run file
of its own in scratch space. At the end the spills are merged, partition by partition, into the
map's output; with one spill only, that is the output. Spills are merged in the order in which
they were written, so values of a key keep the order in which they were emitted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO, Protocol

import polars as pl

from mapreduce.shuffle.grouping import Grouping
from mapreduce.shuffle.keys import NONE, KeyType
from mapreduce.shuffle.merge import merge
from mapreduce.shuffle.run_file import RunWriter, SegmentReader
from mapreduce.shuffle.run_index import RunIndex

MAX_FAN_IN = 32
"""Sources of one merge: each holds a block of about 1 MiB and an open file."""

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


class Spills:
    """The spills of one map."""

    def __init__(self, scratch: Scratch, map_index: int, partitions: int) -> None:
        self._scratch = scratch
        self._map_index = map_index
        self._partitions = partitions
        self._runs: list[tuple[str, RunIndex]] = []
        self._named = 0
        self.written_bytes = 0
        """Segments of all scratch files so far."""

    def __len__(self) -> int:
        return len(self._runs)

    def add(self, parts: Sequence[pl.DataFrame], key_type: KeyType) -> None:
        """Write one spill: a sorted frame for each partition."""
        name = self._new_name()
        file = self._scratch.create_scratch(name)
        self._keep(name, write_run(file, self._map_index, key_type, parts))

    def merge_into(self, file: BinaryIO, key_type: KeyType) -> RunIndex:
        """Write the map's output from all spills and remove them."""
        while len(self._runs) > MAX_FAN_IN:
            self._merge_adjacent(key_type)
        return self._merge(self._runs, file, key_type)

    def _merge_adjacent(self, key_type: KeyType) -> None:
        runs, self._runs = self._runs, []
        for at in range(0, len(runs), MAX_FAN_IN):
            name = self._new_name()
            file = self._scratch.create_scratch(name)
            self._keep(name, self._merge(runs[at : at + MAX_FAN_IN], file, key_type))

    def _keep(self, name: str, index: RunIndex) -> None:
        self._runs.append((name, index))
        self.written_bytes += index.size_bytes

    def _merge(
        self, runs: list[tuple[str, RunIndex]], file: BinaryIO, key_type: KeyType
    ) -> RunIndex:
        writer = RunWriter(file, self._map_index, key_type)
        files = [self._scratch.open_scratch(name) for name, _ in runs]
        for partition in range(self._partitions):
            sources = []
            for (_, index), source in zip(runs, files, strict=True):
                source.seek(index.partitions[partition].offset)
                sources.append(SegmentReader(source, self._map_index, partition))
            records = sum(source.remaining for source in sources)
            writer.add_partition(records, merge(sources))
        for (name, _), source in zip(runs, files, strict=True):
            source.close()
            self._scratch.remove_scratch(name)
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
        writer.add_partition(part.height, iter([part]))
    return writer.finish()


def merged_segments(
    open_segment: Callable[[int], SegmentReader], count: int, scratch: Scratch
) -> Iterator[pl.DataFrame]:
    """One sorted stream of `count` segments in order, at most MAX_FAN_IN open at a time.

    More are first merged in adjacent groups into scratch files, repeatedly if need be.
    """
    level = 0
    while count > MAX_FAN_IN:
        starts = range(0, count, MAX_FAN_IN)
        for number, start in enumerate(starts):
            some = range(start, min(start + MAX_FAN_IN, count))
            _merge_to_scratch(list(map(open_segment, some)), scratch, level, number)
        _remove_level(scratch, level - 1, count)
        open_segment = _opener(scratch, level)
        count = len(starts)
        level += 1
    sources = list(map(open_segment, range(count)))
    yield from merge(sources)
    for source in sources:
        source.close()
    _remove_level(scratch, level - 1, count)


def _name(level: int, number: int) -> str:
    return f"merge-{level}-{number:05d}"


def _opener(scratch: Scratch, level: int) -> Callable[[int], SegmentReader]:
    return lambda number: SegmentReader(scratch.open_scratch(_name(level, number)), number, 0)


def _merge_to_scratch(
    sources: list[SegmentReader], scratch: Scratch, level: int, number: int
) -> None:
    """The sources as one segment; whoever opened them has seen the types of their keys."""
    writer = RunWriter(scratch.create_scratch(_name(level, number)), number, NONE)
    writer.add_partition(sum(source.remaining for source in sources), merge(sources))
    writer.finish()
    for source in sources:
        source.close()


def _remove_level(scratch: Scratch, level: int, count: int) -> None:
    for number in range(count if level >= 0 else 0):
        scratch.remove_scratch(_name(level, number))
