"""The largest counts, such as the most frequent words that wordcount.py has counted.

minimr run examples/top.py counts/ --k 20

The k largest of all are among the k largest of each map. So each map sends only its own, from
`mapper_final`, which runs behind its last record, and one reducer chooses from those few.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import mapreduce as mr

TRIM_AT = 1_000


class Top(mr.Job):
    """The names with the k largest counts, largest first; equal counts by name."""

    k: int = mr.param(20, help="how many")
    input_format = mr.KeyValue
    partitions = 1

    def mapper_init(self) -> None:
        """Nothing is read yet."""
        self.best: list[tuple[int, str]] = []

    def mapper(self, name: str, count: str) -> None:
        """Keep it, with the count negative so that the largest come first; now and then trim."""
        self.best.append((-int(count), name))
        if len(self.best) >= self.k + TRIM_AT:
            self.best = heapq.nsmallest(self.k, self.best)

    def mapper_final(self) -> Iterator[tuple[None, tuple[int, str]]]:
        """The best of this map, all under one key: they meet in one call of the reducer."""
        for pair in heapq.nsmallest(self.k, self.best):
            yield None, pair

    def reducer(self, _: None, pairs: Iterator[tuple[int, str]]) -> Iterator[tuple[str, int]]:
        """The best of all."""
        for count, name in heapq.nsmallest(self.k, pairs):
            yield name, -count


if __name__ == "__main__":
    Top.main()
