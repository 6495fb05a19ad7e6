"""Count words.

minimr run examples/wordcount.py book.txt
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import mapreduce as mr

LINES_PER_PAUSE = 1_000


class WordCount(mr.Job):
    """Count words."""

    fold: bool = mr.param(True, help="fold case")
    pause: float = mr.param(0.0, help="seconds to sleep per 1,000 lines, to watch it run")

    def mapper_init(self) -> None:
        """Nothing is read yet."""
        self.lines = 0

    def mapper(self, key: tuple[str, int], line: str) -> Iterator[tuple[str, int]]:
        """Each word of a line, once."""
        self.lines += 1
        if self.pause and self.lines % LINES_PER_PAUSE == 0:
            time.sleep(self.pause)
        for word in line.split():
            yield (word.lower() if self.fold else word), 1

    def reducer(self, word: str, counts: Iterator[int]) -> Iterator[tuple[str, int]]:
        """How often a word occurs."""
        yield word, sum(counts)

    combiner = reducer


if __name__ == "__main__":
    WordCount.main()
