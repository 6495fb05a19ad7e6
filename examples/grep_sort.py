"""Count what matches a pattern, then sort by frequency: two steps, one job.

minimr run examples/grep_sort.py logs/ --pattern 'error: \\w+' -o errors

A count is known only when all of the input is read, so sorting by it takes a second step. Its
mapper gets what the first reducer yields, as Python values; what lies between the two is hidden
and goes with the job.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import mapreduce as mr


class GrepSort(mr.Job):
    """What matched and how often, the most frequent first; equally frequent ones by text."""

    pattern: str = mr.param(r"\w+", help="a Python regular expression")

    def steps(self) -> list[mr.Step]:
        """The second step has one partition, as its output is one sorted list."""
        return [
            mr.Step(mapper=self.matches, combiner=self.add, reducer=self.add),
            mr.Step(mapper=self.by_count, reducer=self.named, partitions=1),
        ]

    def matches(self, key: tuple[str, int], line: str) -> Iterator[tuple[str, int]]:
        """Each match, once."""
        for match in re.finditer(self.pattern, line):
            yield match.group(), 1

    def add(self, text: str, counts: Iterator[int]) -> Iterator[tuple[str, int]]:
        """How often it matched."""
        yield text, sum(counts)

    def by_count(self, text: str, count: int) -> Iterator[tuple[tuple[int, str], None]]:
        """Keys rise, so a negative count puts the largest first."""
        yield (-count, text), None

    def named(self, key: tuple[int, str], _: Iterator[None]) -> Iterator[tuple[str, int]]:
        """Back to text and count."""
        yield key[1], -key[0]


if __name__ == "__main__":
    GrepSort.main()
