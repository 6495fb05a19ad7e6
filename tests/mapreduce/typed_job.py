"""What the table of types in docs/writing-jobs.md names, and jobs that emit its examples.

The input's lines are Python expressions.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple

import mapreduce as mr


@dataclass
class Point:
    """A dataclass of the job file."""

    x: int
    y: int


class Pair(NamedTuple):
    """A named tuple."""

    one: str
    other: int


class Colour(Enum):
    """An enum."""

    RED = 1


class Name(str):
    """A subclass of str."""

    __slots__ = ()


def bits(hexadecimal: str) -> float:
    """The float with these bits."""
    found: float = struct.unpack(">d", bytes.fromhex(hexadecimal))[0]
    return found


NAMES: dict[str, Any] = {
    "UTC": UTC,
    "Colour": Colour,
    "Decimal": Decimal,
    "Name": Name,
    "Pair": Pair,
    "Point": Point,
    "bits": bits,
    "date": date,
    "datetime": datetime,
    "time": time,
    "timedelta": timedelta,
}


def read(expression: str) -> Any:
    """What an example means."""
    return eval(expression, dict(NAMES))


class AsValues(mr.Job):
    """Each example twice as a value, under its expression."""

    def mapper(self, key: tuple[str, int], line: str) -> Iterator[tuple[str, Any]]:
        yield line, read(line)
        yield line, read(line)

    def reducer(self, line: str, values: Iterable[Any]) -> Iterator[tuple[str, Any]]:
        for value in values:
            yield line, value


class CombinedValues(AsValues):
    """The same through a combiner."""

    def combiner(self, line: str, values: Iterable[Any]) -> Iterator[tuple[str, Any]]:
        for value in values:
            yield line, value


class AsKeys(mr.Job):
    """Each example twice as a key; how often it came is the value."""

    def mapper(self, key: tuple[str, int], line: str) -> Iterator[tuple[Any, int]]:
        yield read(line), 1
        yield read(line), 1

    def reducer(self, key: Any, ones: Iterable[int]) -> Iterator[tuple[Any, int]]:
        yield key, sum(ones)


class CombinedKeys(AsKeys):
    """The same through a combiner."""

    combiner = AsKeys.reducer
