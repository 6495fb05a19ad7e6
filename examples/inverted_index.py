"""Which files a word occurs in.

minimr run examples/inverted_index.py docs/
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import mapreduce as mr

WORD = re.compile(r"\w+")


class InvertedIndex(mr.Job):
    """For each word, the files that contain it, in order and separated by spaces."""

    min_length: int = mr.param(1, help="leave out shorter words")

    def mapper(self, key: tuple[str, int], line: str) -> Iterator[tuple[str, str]]:
        """Each word of a line with its file."""
        path, _ = key
        name = path.rpartition("/")[2]
        for word in set(WORD.findall(line.lower())):
            if len(word) >= self.min_length:
                yield word, name

    def combiner(self, word: str, names: Iterator[str]) -> Iterator[tuple[str, str]]:
        """Each file once."""
        for name in sorted(set(names)):
            yield word, name

    def reducer(self, word: str, names: Iterator[str]) -> Iterator[tuple[str, str]]:
        """The posting list."""
        yield word, " ".join(sorted(set(names)))


if __name__ == "__main__":
    InvertedIndex.main()
