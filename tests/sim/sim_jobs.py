"""Jobs for simulations. A class of a job must lie in a file that a bundle can be made of."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import mapreduce as mr


class WordCount(mr.Job):
    """Counts words."""

    partitions = 3

    def mapper(self, key: object, line: str) -> Iterator[tuple[str, int]]:
        self.count("lines")
        for word in line.split():
            yield word, 1

    def reducer(self, word: str, counts: Iterator[int]) -> Iterator[tuple[str, int]]:
        yield word, sum(counts)

    combiner = reducer


def text(rng: Random, size_bytes: int) -> bytes:
    """Lines of words, some of them frequent."""
    words: list[str] = []
    size = 0
    while size < size_bytes:
        word = f"word{int(rng.random() ** 3 * 5000)}"
        words.append(word)
        size += len(word) + 1
    lines = [" ".join(words[at : at + 9]) for at in range(0, len(words), 9)]
    return "\n".join(lines).encode()


class MostFrequent(mr.Job):
    """Counts words, then sorts them by how frequent they are, in two steps; words that end in 7
    and rare ones go to side outputs as well."""

    partitions = 3

    def steps(self) -> list[mr.Step]:
        return [
            mr.Step(mapper=self.words, reducer=self.add),
            mr.Step(mapper=self.by_count, reducer=self.listed, partitions=2),
        ]

    def words(self, key: object, line: str) -> Iterator[tuple[Any, Any]]:
        for word in line.split():
            yield word, 1
            if word.endswith("7"):
                yield mr.to("sevens", word)

    def add(self, word: str, counts: Iterator[int]) -> Iterator[tuple[str, int]]:
        yield word, sum(counts)

    def by_count(self, word: str, count: int) -> Iterator[tuple[int, str]]:
        yield -count, word

    def listed(self, count: int, words: Iterator[str]) -> Iterator[tuple[Any, Any]]:
        for word in sorted(words):
            yield -count, word
            if count == -1:
                yield mr.to("rare", word, count)
