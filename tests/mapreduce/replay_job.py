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


def records_of(line: str) -> Records:
    """The records that an input line emits."""
    found: Records = pickle.loads(base64.b64decode(line))
    return found


class Replay(mr.Job):
    """Every group as text, its values in the order in which they came."""

    def mapper(self, key: tuple[str, int], line: str) -> Iterator[tuple[Any, Any]]:
        records = records_of(line)
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
        for one, other in records_of(line):
            yield ascii(one), ascii(other)


class Sided(mr.Job):
    """Two inputs, each with its mapper; some records of each phase go to side outputs as well."""

    def first(self, key: tuple[str, int], line: str) -> Iterator[tuple[Any, Any]]:
        for number, (one, other) in enumerate(records_of(line)):
            yield one, ("first", other)
            if number % 2:
                yield mr.to("odd", ascii(one), ascii(other))

    def second(self, key: tuple[str, int], line: str) -> Iterator[tuple[Any, Any]]:
        for one, other in records_of(line):
            yield one, ("second", other)
            yield mr.to("all", ascii(other))

    inputs = (mr.Input("one", mapper=first), mr.Input("two", mapper="second"))

    def reducer(self, key: Any, values: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        found = list(values)
        yield ascii(key), ascii(found)
        if len(found) > 1:
            yield mr.to("odd", ascii(key), len(found))


class Chained(mr.Job):
    """Maps alone, a reduce with a combiner, and maps alone again; each writes to a side output."""

    def steps(self) -> list[mr.Step]:
        return [
            mr.Step(mapper=self.replayed),
            mr.Step(combiner=self.kept, reducer=self.listed),
            mr.Step(mapper=self.shown),
        ]

    def replayed(self, key: tuple[str, int], line: str) -> Iterator[tuple[Any, Any]]:
        for number, record in enumerate(records_of(line)):
            yield record
            if number == 0:
                yield mr.to("log", "first", ascii(record))

    def kept(self, key: Any, values: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        self.count("combined")
        yield from ((key, value) for value in values)

    def listed(self, key: Any, values: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        yield key, list(values)
        yield mr.to("log", "key", ascii(key))

    def shown(self, key: Any, values: list[Any]) -> Iterator[tuple[Any, Any]]:
        yield ascii(key), ascii(values)
        yield mr.to("log", len(values))


class MapsThenMaps(mr.Job):
    """Two steps of maps alone."""

    def steps(self) -> list[mr.Step]:
        return [mr.Step(mapper=lambda key, line: records_of(line)), mr.Step(mapper=self.shown)]

    def shown(self, key: Any, value: Any) -> Iterator[tuple[Any, Any]]:
        yield ascii(key), ascii(value)
