"""Jobs that use what the examples do not: each one thing of the interface, to its edges."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any, BinaryIO

import mapreduce as mr

Pairs = Iterator[tuple[Any, Any]]

KEYS: dict[str, list[Any]] = {
    "Numbers": [3, -1, 2**70, -(2**64), 0, 10],
    "Floats": [1.5, float("nan"), -0.0, 0.0, float("-inf"), 1e300],
    "Texts": ["b", None, "", "Ä", "東京", "a\x00", "a"],
    "Days": [date(2000, 2, 29), date(1, 1, 1), None],
    "Moments": [datetime(2000, 1, 1, 5), datetime(2000, 1, 1)],
    "Tuples": [(None, 1), ("a", -1), ("a", None), ("", 0)],
    "Bytes": [b"\xff", b"", b"a"],
}


class _Typed(mr.Job):
    """Keys of one type, in the canonical order, each with the lengths of lines that drew it."""

    partitions = 3

    def mapper(self, key: tuple[str, int], line: str) -> Pairs:
        keys = KEYS[type(self).__name__]
        yield keys[len(line) % len(keys)], len(line)

    def reducer(self, key: Any, lengths: Iterator[int]) -> Pairs:
        yield repr(key), list(lengths)


class Numbers(_Typed):
    """Whole numbers of any size."""


class Floats(_Typed):
    """With not-a-number and two zeros."""


class Texts(_Typed):
    """With None and none."""


class Days(_Typed):
    """Dates."""


class Moments(_Typed):
    """Dates with times."""


class Tuples(_Typed):
    """Tuples with None."""


class Bytes(_Typed):
    """Bytes."""


class Nothing(mr.Job):
    """No record comes out: empty parts."""

    partitions = 2

    def mapper(self, key: Any, line: str) -> None:
        self.count("read")

    def reducer(self, key: Any, values: Iterator[Any]) -> Pairs:
        yield key, None


class Hooks(mr.Job):
    """What hooks yield stands where they ran."""

    partitions = 2

    def mapper_init(self) -> Pairs:
        self.lines = 0
        yield "begun", 1

    def mapper(self, key: Any, line: str) -> None:
        self.lines += 1

    def mapper_final(self) -> Pairs:
        yield "lines", self.lines

    def reducer_init(self) -> Pairs:
        yield "first", 0

    def reducer(self, key: str, values: Iterator[int]) -> Pairs:
        yield key, sum(values)

    def reducer_final(self) -> Pairs:
        yield "last", 0


class OddLines(mr.Job):
    """Lines with returns, NULs, tabs and bad UTF-8, as JSON; maps alone."""

    output_format = mr.JSONLines

    def mapper(self, key: tuple[str, int], line: str) -> Pairs:
        yield key[1], {"line": line, "length": len(line), "odd": [None, True, 1.5]}


class Groups(mr.Job):
    """Groups of keys, values sorted by key and value, parts in a total order; it spills."""

    partitions = 3
    partition = mr.TotalOrder()
    input_format = mr.KeyValue

    def mapper(self, key: str, value: str) -> Pairs:
        yield (int(key) // 10, int(key)), int(value)

    def combiner(self, key: Any, values: Iterator[int]) -> Pairs:
        yield from ((key, value) for value in values)

    def group_key(self, key: tuple[int, int]) -> int:
        return -key[0]

    def sort_key(self, key: tuple[int, int], value: int) -> tuple[int, int]:
        return (-value, key[1])

    def reducer(self, key: tuple[int, int], values: Iterator[int]) -> Pairs:
        yield key[0], " ".join(map(str, values))


class ByHand(mr.Job):
    """A partition of its own; values come in the order of the input."""

    partitions = 4
    input_format = mr.KeyValue

    def mapper(self, key: str, value: str) -> Pairs:
        yield int(key), value

    def partition(self, key: int, n: int) -> int:
        return key % n

    def reducer(self, key: int, values: Iterator[str]) -> Pairs:
        yield key, ",".join(values)


class Records(mr.Job):
    """Records of eight bytes in and out, sorted by all of them."""

    partition = mr.TotalOrder()
    input_format = output_format = mr.FixedLength(8)

    def mapper(self, key: Any, record: bytes) -> Pairs:
        yield record, None

    def reducer(self, record: bytes, copies: Iterator[None]) -> Pairs:
        yield from ((None, record) for _ in copies)


class Whole(mr.Job):
    """Each file in one piece."""

    input_format = mr.WholeFile(binary=True)

    def mapper(self, path: str, content: bytes) -> Pairs:
        yield path.rpartition("/")[2], len(content)


class Members(mr.Job):
    """What lies in zip files, read by the job itself."""

    def mapper_raw(self, path: str, file: BinaryIO) -> Pairs:
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                yield member.filename, member.file_size

    def reducer(self, name: str, sizes: Iterator[int]) -> Pairs:
        yield name, sum(sizes)


class Chain(mr.Job):
    """Steps of every kind; between them values are pickled Python objects."""

    partitions = 3

    def steps(self) -> list[mr.Step]:
        return [
            mr.Step(mapper=self.lengths, reducer=self.collected, partitions=2),
            mr.Step(mapper=lambda key, found: [(key % 2, found)]),
            mr.Step(reducer=self.summed, sort_values=len),
        ]

    def lengths(self, key: Any, line: str) -> Pairs:
        yield len(line), line

    def collected(self, length: int, lines: Iterator[str]) -> Pairs:
        yield length, frozenset(lines)

    def summed(self, odd: int, found: Iterator[frozenset[str]]) -> Pairs:
        yield odd, [len(lines) for lines in found]


class Inputs(mr.Job):
    """Three inputs, each with its mapper and format; the last one's files are whole."""

    partitions = 3

    def word(self, key: Any, line: str) -> Pairs:
        for word in line.split():
            yield word, 1

    def number(self, key: str, value: str | None) -> Pairs:
        yield f"key {key}", int(value or 0)

    def size(self, path: str, content: bytes) -> Pairs:
        yield "bytes", len(content)

    inputs = (
        mr.Input("words", mapper=word),
        mr.Input("numbers", mapper="number", format=mr.KeyValue),
        mr.Input("files", mapper=size, format=mr.WholeFile(binary=True)),
    )

    def reducer(self, key: str, values: Iterator[int]) -> Pairs:
        yield key, sum(values)


class Sides(mr.Job):
    """Two steps whose maps and reduces also write to side outputs."""

    partitions = 3
    output_format = mr.JSONLines

    def steps(self) -> list[mr.Step]:
        return [
            mr.Step(mapper=self.lengths, reducer=self.counted),
            mr.Step(mapper=self.parity, reducer=self.summed, partitions=2),
        ]

    def lengths(self, key: tuple[str, int], line: str) -> Pairs:
        if not line:
            yield mr.to("empty", key[1])
        else:
            yield len(line), 1

    def counted(self, length: int, ones: Iterator[int]) -> Pairs:
        yield length, sum(ones)
        if length > 30:
            yield mr.to("long lines", length, None)

    def parity(self, length: int, count: int) -> Pairs:
        yield length % 2, (length, count)

    def summed(self, odd: int, pairs: Iterator[tuple[int, int]]) -> Pairs:
        for length, count in sorted(pairs):
            yield mr.to("odd" if odd else "even", length, count)
