"""What makes a group in a sorted frame: the whole key of its records, or the key's first field.

The second is for jobs that sort the values of a group: their records travel under the key
(group, sort), see `mapreduce.task.ordering`. With `group_key` the key that the mapper emitted
is the first field of the value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import polars as pl

from mapreduce.shuffle.columns import (
    GENERAL_KEY,
    changes,
    group_starts,
    key_bytes_at,
    key_names,
    keys_of,
    values_of,
)
from mapreduce.shuffle.keys import encode, first_field


class Grouping(Protocol):
    """How rows make groups."""

    def starts(self, frame: pl.DataFrame) -> list[int]:
        """Rows of a sorted frame where another group begins; the first is 0 unless it is empty."""
        ...

    def keys(self, frame: pl.DataFrame, rows: Sequence[int]) -> list[Any]:
        """The keys that the reducer sees for groups that begin in these rows."""
        ...

    def values(self, frame: pl.DataFrame) -> list[Any]:
        """The values of all rows."""
        ...

    def mark(self, frame: pl.DataFrame, row: int) -> bytes:
        """Bytes that are equal for rows of one group and differ for those of two."""
        ...


class ByKey:
    """Equal keys make a group."""

    def starts(self, frame: pl.DataFrame) -> list[int]:
        """Where another key begins."""
        return group_starts(frame)

    def keys(self, frame: pl.DataFrame, rows: Sequence[int]) -> list[Any]:
        """The keys."""
        return keys_of(frame[rows])

    def values(self, frame: pl.DataFrame) -> list[Any]:
        """The values."""
        return values_of(frame)

    def mark(self, frame: pl.DataFrame, row: int) -> bytes:
        """The key's canonical bytes."""
        return key_bytes_at(frame, row)


class ByFirstField:
    """Keys are tuples, and those with an equal first field make a group of which it is the key."""

    def starts(self, frame: pl.DataFrame) -> list[int]:
        """Where another first field begins."""
        if key_names(frame) != [GENERAL_KEY]:
            return changes([frame["k0"]], frame.height)
        fields = pl.Series("k0", map(first_field, frame[GENERAL_KEY]), pl.Binary())
        return changes([fields], frame.height)

    def keys(self, frame: pl.DataFrame, rows: Sequence[int]) -> list[Any]:
        """The first fields."""
        return [key[0] for key in keys_of(frame[rows])]

    def values(self, frame: pl.DataFrame) -> list[Any]:
        """The values."""
        return values_of(frame)

    def mark(self, frame: pl.DataFrame, row: int) -> bytes:
        """The first field's canonical bytes."""
        if key_names(frame) != [GENERAL_KEY]:
            return encode(frame["k0"][row])
        return first_field(frame[GENERAL_KEY][row])


class ByFirstFieldKeyed(ByFirstField):
    """The same, where values are (key, value) and the first key is that of the group."""

    def keys(self, frame: pl.DataFrame, rows: Sequence[int]) -> list[Any]:
        """The keys that were emitted."""
        return [key for key, _ in values_of(frame[rows])]

    def values(self, frame: pl.DataFrame) -> list[Any]:
        """The values that were emitted."""
        return [value for _, value in values_of(frame)]


class EachRecord(ByFirstFieldKeyed):
    """Every row is asked about by the key that was emitted."""

    def starts(self, frame: pl.DataFrame) -> list[int]:
        """All rows."""
        return list(range(frame.height))
