"""What a map holds in memory before it spills, and what that counts against the limit.

Two buffers with one face. Without a combiner, records become columns block by block; a row
counts what its columns hold. With one, values gather in a dict of lists, so that the combiner
sees each key once per spill; there a record counts what Python needs for it, by the fixed
charges below. Either way the count depends on the records alone, never on measured memory, so
every run of a map spills at the same records.
"""

from __future__ import annotations

import pickle
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import date, datetime
from itertools import islice
from typing import Any, Protocol

import polars as pl

from mapreduce.shuffle import columns
from mapreduce.shuffle.keys import NONE, KeyType, canonical, canonical_all, join_types, type_of_all

KEY_CHARGE_BYTES = 240
"""A distinct key in the dict: its slot, its list and the head of the key object."""
SMALL_INT_CHARGE_BYTES = 9
"""A place in a list; Python has one object for each int from -5 to 256."""
NUMBER_CHARGE_BYTES = 40
TEXT_CHARGE_BYTES = 64
OBJECT_CHARGE_BYTES = 100
_DRAIN_RECORDS = 1 << 16
"""Combined records become columns when so many have come together."""

_SMALL = range(-5, 257)
_NUMBERS = {int, float, bool, type(None), date, datetime}

Combine = Callable[[Any, Iterator[Any]], Iterator[tuple[Any, Any]]]
"""Runs the combiner on one group."""


Arrange = Callable[[list[Any], list[Any]], tuple[list[Any], list[Any]]]
"""Gives records the keys and values under which they travel, see `mapreduce.task.ordering`."""


class MapBuffer(Protocol):
    """Takes blocks of emitted records and gives them back sorted."""

    key_type: KeyType
    held_bytes: int
    """The charge of what is held."""

    def add(self, keys: list[Any], values: list[Any]) -> None:
        """Take a block of records. Raises KeyTypesError or KeyTypeError."""
        ...

    def drain(self) -> pl.DataFrame:
        """All records held, sorted by key, those of a key as emitted; the buffer is empty."""
        ...


class ColumnBuffer:
    """Keeps every record."""

    def __init__(self, arrange: Arrange | None = None) -> None:
        self._arrange = arrange
        self.key_type = NONE
        self.held_bytes = 0
        self._frames: list[pl.DataFrame] = []

    def add(self, keys: list[Any], values: list[Any]) -> None:
        """Take a block of records."""
        if self._arrange:
            keys, values = self._arrange(keys, values)
        block_type = type_of_all(keys)
        self.key_type = join_types(self.key_type, block_type)
        frame = columns.to_frame(canonical_all(keys, block_type), values)
        self.held_bytes += int(columns.row_bytes(frame).sum())
        self._frames.append(frame)

    def drain(self) -> pl.DataFrame:
        """All records, sorted."""
        frames, self._frames, self.held_bytes = self._frames, [], 0
        return columns.sort_by_key(columns.concat(frames)) if frames else pl.DataFrame()


class CombineBuffer:
    """Keeps the values of each key together and combines them when it is drained."""

    def __init__(self, combine: Combine, arrange: Arrange | None = None) -> None:
        self.key_type = NONE
        self.held_bytes = 0
        self._combine = combine
        self._arrange = arrange
        self._groups: defaultdict[Any, list[Any]] = defaultdict(list)

    def add(self, keys: list[Any], values: list[Any]) -> None:
        """Take a block of records."""
        block_type = type_of_all(keys)
        self.key_type = join_types(self.key_type, block_type)
        groups = self._groups
        known = len(groups)
        for key, value in zip(canonical_all(keys, block_type), values, strict=True):
            groups[key].append(value)
        fresh = list(islice(reversed(groups), len(groups) - known))
        self.held_bytes += _charge(values) + _charge(fresh) + KEY_CHARGE_BYTES * len(fresh)

    def drain(self) -> pl.DataFrame:
        """What the combiner made of each group, sorted."""
        groups, self._groups, self.held_bytes = self._groups, defaultdict(list), 0
        keys: list[Any] = []
        values: list[Any] = []
        frames = []
        while groups:
            group_key, group_values = groups.popitem()
            for key, value in self._combine(group_key, iter(group_values)):
                keys.append(key)
                values.append(value)
            if len(keys) >= _DRAIN_RECORDS:
                frames.append(self._frame(keys, values))
                keys, values = [], []
        if keys:
            frames.append(self._frame(keys, values))
        return columns.sort_by_key(columns.concat(frames)) if frames else pl.DataFrame()

    def _frame(self, keys: list[Any], values: list[Any]) -> pl.DataFrame:
        if self._arrange:
            keys, values = self._arrange(keys, values)
            keys = list(map(canonical, keys))
        return columns.to_frame(keys, values)


def _charge(items: list[Any]) -> int:
    kinds = set(map(type, items))
    if kinds == {int} and min(items) >= _SMALL[0] and max(items) <= _SMALL[-1]:
        return SMALL_INT_CHARGE_BYTES * len(items)
    if kinds <= _NUMBERS:
        return NUMBER_CHARGE_BYTES * len(items)
    if kinds <= {str, bytes}:
        return TEXT_CHARGE_BYTES * len(items) + sum(map(len, items))
    return OBJECT_CHARGE_BYTES * len(items) + len(pickle.dumps(items, pickle.HIGHEST_PROTOCOL))
