"""From sorted frames to groups: a key and an iterator over its values, in one pass.

A group may go on over any number of frames; only the current frame is in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import polars as pl

from mapreduce.shuffle.grouping import Grouping


class Groups:
    """Iterates over (key, values); values not used are skipped. Counts what it gives."""

    def __init__(self, frames: Iterator[pl.DataFrame], grouping: Grouping) -> None:
        self._frames = frames
        self._grouping = grouping
        self._segments: Iterator[tuple[bool, Any, list[Any]]] = self._cut()
        self.groups = 0
        self.records = 0
        self._next: tuple[Any, list[Any]] | None = None

    def __iter__(self) -> Iterator[tuple[Any, Iterator[Any]]]:
        for _, key, values in self._segments:
            self._next = (key, values)
            while self._next is not None:
                key, values = self._next
                self._next = None
                self.groups += 1
                rest = self._values(values)
                yield key, rest
                for _ in rest:
                    pass

    def _values(self, values: list[Any]) -> Iterator[Any]:
        yield from values
        for fresh, key, more in self._segments:
            if fresh:
                self._next = (key, more)
                return
            yield from more

    def _cut(self) -> Iterator[tuple[bool, Any, list[Any]]]:
        """Pieces of groups: whether a new group begins, its key, values."""
        last: bytes | None = None
        for frame in self._frames:
            self.records += frame.height
            starts = self._grouping.starts(frame)
            keys = self._grouping.keys(frame, starts)
            values = self._grouping.values(frame)
            fresh = last != self._grouping.mark(frame, 0)
            last = self._grouping.mark(frame, frame.height - 1)
            for key, (start, end) in zip(keys, pairwise([*starts, frame.height]), strict=True):
                yield fresh, key, values[start:end]
                fresh = True
