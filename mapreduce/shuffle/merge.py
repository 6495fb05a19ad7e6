"""Merging sorted sources into one sorted stream of frames, stable in the order of sources.

Each source holds one block in memory. A round emits all rows that no later block can precede:
with `bound` the smallest last key among the sources that have more blocks, and `first` the
earliest source with that key, these are

* rows with a key below `bound`, of every source, and
* rows with the key `bound` of sources up to `first`: what sources behind it have of that key
  must wait for the rest of `first`.

So a round uses up at least the block of `first`, memory is one block a source however long a
key is, and rows of one key come by source and, within a source, in their order.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import Protocol

import polars as pl

from mapreduce.shuffle.columns import concat, key_bytes_at, sort_by_key


class BlockSource(Protocol):
    """A sorted sequence of blocks; `remaining` records are still unread."""

    remaining: int

    def next_block(self) -> pl.DataFrame | None:
        """The next block, not empty; None after the last."""
        ...


class _Cursor:
    """One source with its current block, of which rows from `row` on are still to come."""

    def __init__(self, source: BlockSource) -> None:
        self._source = source
        self.block: pl.DataFrame | None = None
        self.last = b""
        self.advance()

    def advance(self) -> None:
        self.block = self._source.next_block()
        if self.block is not None and self.has_more:
            self.last = key_bytes_at(self.block, self.block.height - 1)

    @property
    def has_more(self) -> bool:
        return self._source.remaining > 0

    def take(self, bound: bytes, inclusive: bool) -> pl.DataFrame | None:
        """Cut off and return the rows below `bound`, or up to it; None if there are none."""
        block = self.block
        if block is None:
            return None
        search = bisect_right if inclusive else bisect_left
        rows = search(range(block.height), bound, key=lambda row: key_bytes_at(block, row))
        if not rows:
            return None
        if rows == block.height:
            self.advance()
            return block
        self.block = block.slice(rows)
        return block.slice(0, rows)

    def take_all(self) -> pl.DataFrame | None:
        block = self.block
        if block is not None:
            self.advance()
        return block


def merge(sources: Sequence[BlockSource]) -> Iterator[pl.DataFrame]:
    """Sorted frames with all rows of all sources."""
    cursors = [_Cursor(source) for source in sources]
    while cursors:
        pieces = _round(cursors)
        if pieces:
            yield pieces[0] if len(pieces) == 1 else sort_by_key(concat(pieces))
        cursors = [cursor for cursor in cursors if cursor.block is not None]


def _round(cursors: list[_Cursor]) -> list[pl.DataFrame]:
    growing = [(cursor.last, at) for at, cursor in enumerate(cursors) if cursor.has_more]
    if len(cursors) == 1 or not growing:
        taken = [cursor.take_all() for cursor in cursors]
    else:
        bound, first = min(growing)
        taken = [cursor.take(bound, at <= first) for at, cursor in enumerate(cursors)]
    return [piece for piece in taken if piece is not None]
