"""Jobs that would need much memory if anything of them were held at once, see `bounded`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mapreduce as mr

VALUES_PER_LINE = 10_000


class Scatter(mr.Job):
    """Sends every line through the shuffle, its first 12 characters as the key, and counts."""

    def mapper(self, key: Any, line: str) -> Iterator[tuple[str, str]]:
        """The line in two."""
        yield line[:12], line[12:]

    def reducer_init(self) -> None:
        """Nothing is counted yet."""
        self.lines = 0

    def reducer(self, key: str, values: Iterator[str]) -> None:
        """Count."""
        self.lines += sum(1 for _ in values)

    def reducer_final(self) -> Iterator[tuple[str, int]]:
        """What this reduce saw."""
        yield "lines", self.lines


class OneKey(mr.Job):
    """Each line, a number, makes 10,000 values of one key."""

    def mapper(self, key: Any, line: str) -> Iterator[tuple[str, int]]:
        """The values."""
        first = int(line) * VALUES_PER_LINE
        for value in range(first, first + VALUES_PER_LINE):
            yield "key", value

    def reducer(self, key: str, values: Iterator[int]) -> Iterator[tuple[str, int]]:
        """How many they are; they come in order, which is looked at."""
        count = 0
        for value in values:
            if value != count:
                raise ValueError(f"value {value} where {count} was expected")
            count += 1
        yield key, count


class Lengths(mr.Job):
    """Sends whole lines through the shuffle and tells how long they are."""

    def mapper(self, key: tuple[str, int], line: str) -> Iterator[tuple[int, str]]:
        """The line by its place."""
        yield key[1], line

    def reducer(self, place: int, lines: Iterator[str]) -> Iterator[tuple[int, int]]:
        """Its length."""
        for line in lines:
            yield place, len(line)
