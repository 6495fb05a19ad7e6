"""From sorted frames to groups: a key and an iterator over its values, in one pass.

A group may go on over any number of frames; only the current frame is in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import polars as pl

from mapreduce.shuffle.columns import group_starts, key_bytes_at, keys_of, values_of


class Groups:
    """Iterates over (key, values); values not used are skipped. Counts what it gives."""

    def __init__(self, frames: Iterator[pl.DataFrame]) -> None:
        self._frames = frames
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
            starts = group_starts(frame)
            keys = keys_of(frame[starts])
            values = values_of(frame)
            fresh = last != key_bytes_at(frame, 0)
            last = key_bytes_at(frame, frame.height - 1)
            for key, (start, end) in zip(keys, pairwise([*starts, frame.height]), strict=True):
                yield fresh, key, values[start:end]
                fresh = True
