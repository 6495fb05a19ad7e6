"""Jobs that call what the pool's programs call (``benchmarks.peers.pool``), for each line."""

from __future__ import annotations

from collections.abc import Iterator

import mapreduce as mr


class WordCount(mr.Job):
    """How often each word occurs."""

    def mapper(self, key: tuple[str, int], line: str) -> Iterator[tuple[str, int]]:
        """Each word, once."""
        for word in line.split():
            yield word, 1

    def reducer(self, word: str, counts: Iterator[int]) -> Iterator[tuple[str, int]]:
        """The sum."""
        yield word, sum(counts)

    combiner = reducer


class Index(mr.Job):
    """Which files each word occurs in."""

    def mapper(self, key: tuple[str, int], line: str) -> Iterator[tuple[str, str]]:
        """Each word of a line with its file."""
        name = key[0].rpartition("/")[2]
        for word in set(line.split()):
            yield word, name

    def combiner(self, word: str, names: Iterator[str]) -> Iterator[tuple[str, str]]:
        """Each file once."""
        for name in set(names):
            yield word, name

    def reducer(self, word: str, names: Iterator[str]) -> Iterator[tuple[str, str]]:
        """The files in order."""
        yield word, ",".join(sorted(set(names)))
