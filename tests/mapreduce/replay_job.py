"""Jobs whose input says what they emit: each line is a pickled list of records."""

from __future__ import annotations

import base64
import pickle
from collections.abc import Iterable, Iterator
from typing import Any

import mapreduce as mr

Records = list[tuple[Any, Any]]


def line_of(records: Records) -> str:
    """The input line that emits these records."""
    return base64.b64encode(pickle.dumps(records)).decode() + "\n"


class Replay(mr.Job):
    """Every group as text, its values in the order in which they came."""

    def mapper(self, key: tuple[str, int], line: str) -> Iterator[tuple[Any, Any]]:
        records: Records = pickle.loads(base64.b64decode(line))
        self.count("records", len(records))
        yield from records

    def reducer(self, key: Any, values: Iterable[Any]) -> Iterator[tuple[str, str]]:
        yield ascii(key), ascii(list(values))


class Combined(Replay):
    """The same through a combiner that shows how it was called: once for each spill."""

    def combiner(self, key: Any, values: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        self.count("combined")
        yield key, tuple(values)


class MapOnly(mr.Job):
    """The records as text, without a reducer."""

    def mapper(self, key: tuple[str, int], line: str) -> Iterator[tuple[str, str]]:
        for one, other in pickle.loads(base64.b64decode(line)):
            yield ascii(one), ascii(other)
