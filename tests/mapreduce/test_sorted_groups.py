"""sort_values, sort_key, group_key and partition, against plain sorting and grouping."""

from __future__ import annotations

import operator
import zlib
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mapreduce as mr
from mapreduce.errors import UserCodeError
from mapreduce.loader import load_job
from mapreduce.shuffle.keys import canonical, encode
from tests.mapreduce.memory_env import MemoryRun, cut, partition_of
from tests.mapreduce.test_any_job import KEYS, exact


class Emits(mr.Job):
    """Line n of the input emits the n-th list of records; each group comes out as it came in."""

    partitions = 3
    emitted: ClassVar[list[list[tuple[Any, Any]]]] = []

    def mapper(self, key: tuple[str, int], line: str) -> Iterator[tuple[Any, Any]]:
        yield from self.emitted[int(line)]

    def reducer(self, key: Any, values: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
        yield key, list(values)


class Sorted(Emits):
    """The values of a key, sorted."""

    sort_values = True


class SortedCombined(Sorted):
    """The same through a combiner that keeps what it gets."""

    def combiner(self, key: Any, values: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
        held = list(values)
        assert held == sorted(held, key=lambda value: encode(canonical(value)))
        for value in held:
            yield key, value


class ByLength(Emits):
    """Values sorted by what a function of the class says of them."""

    sort_values = lambda value: len(repr(value))  # noqa: E731


class ByPair(Emits):
    """Values sorted by key and value."""

    def sort_key(self, key: Any, value: Any) -> Any:
        return (repr(key)[:1], len(repr(value)))


class Grouped(Emits):
    """Keys of a group in their own order."""

    def group_key(self, key: Any) -> Any:
        return len(repr(key)) % 3


class GroupedSorted(Grouped):
    """The same with sorted values, and a partition of its own."""

    sort_values = True

    def partition(self, key: Any, n: int) -> int:
        return self.group_key(key) % n  # type: ignore[no-any-return]


def sequential(job: Emits, records: list[tuple[Any, Any]]) -> list[list[tuple[Any, Any]]]:
    """What the job must give: sort all records, then group those that stand together."""
    rows = []
    for key, value in records:
        key = canonical(key)
        group = key if job.group_key is None else job.group_key(key)
        if job.sort_key is not None:
            order = job.sort_key(key, value)
        elif isinstance(job, ByLength):
            order = len(repr(value))
        elif job.sort_values:
            order = value
        else:
            order = key if job.group_key is not None else None
        place = (encode(canonical(group)), encode(canonical(order)))
        if job.partition is None:
            part = partition_of(canonical(group), job.partitions)
        else:
            part = job.partition(key, job.partitions)
        rows.append((part, *place, key, value))
    rows.sort(key=operator.itemgetter(0, 1, 2))
    found: list[list[tuple[Any, Any]]] = [[] for _ in range(job.partitions)]
    for (part, _), group_rows in groupby(rows, key=operator.itemgetter(0, 1)):
        held = list(group_rows)
        found[part].append((held[0][3], [row[4] for row in held]))
    return found


RECORDS = st.one_of(
    [st.lists(st.tuples(key, KEYS[(i + 3) % len(KEYS)]), max_size=30) for i, key in enumerate(KEYS)]
)


@pytest.mark.parametrize(
    "job_class", [Sorted, SortedCombined, ByLength, ByPair, Grouped, GroupedSorted]
)
@pytest.mark.parametrize("partitions", [1, 3])
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    records=RECORDS,
    pieces=st.sampled_from([1, 2, 7]),
    per_line=st.integers(1, 9),
    spill_bytes=st.sampled_from([1, 300, 1 << 20]),
)
def test_a_job_gives_what_sorting_gives(
    job_class: type[Emits],
    partitions: int,
    records: list[tuple[Any, Any]],
    pieces: int,
    per_line: int,
    spill_bytes: int,
) -> None:
    job_class.emitted = [records[i : i + per_line] for i in range(0, len(records), per_line)]
    text = "".join(f"{n}\n" for n in range(len(job_class.emitted))).encode()
    job = job_class()
    job.partitions = partitions
    run = MemoryRun(job, cut(text, pieces), {"in": text}, spill_bytes)
    found = [[exact(pair) for pair in part] for part in run.partitions()]
    assert found == [[exact(pair) for pair in part] for part in sequential(job, records)]


class Years(mr.Job):
    """Hadoop's own example: the hottest reading of each year comes first."""

    partitions = 2

    def mapper(self, key: tuple[str, int], line: str) -> Iterator[tuple[tuple[str, int], str]]:
        year, heat, place = line.split()
        yield (year, int(heat)), place

    def partition(self, key: tuple[str, int], n: int) -> int:
        return zlib.crc32(key[0].encode()) % n

    def sort_key(self, key: tuple[str, int], value: str) -> tuple[str, int]:
        return key[0], -key[1]

    def group_key(self, key: tuple[str, int]) -> str:
        return key[0]

    def reducer(self, key: Any, values: Iterator[str]) -> Iterator[tuple[Any, list[str]]]:
        yield key, list(values)


def test_the_key_of_a_group_is_its_first() -> None:
    lines = ["1949 111 a", "1950 22 b", "1949 78 c", "1950 -11 d", "1949 111 e", "1950 0 f"]
    assert sorted(Years().run_inline(lines)) == [
        (("1949", 111), ["a", "e", "c"]),
        (("1950", 22), ["b", "f", "d"]),
    ]


FUNCTIONS = """
def mapper(key, line):
    word, number = line.split()
    yield (word, int(number)), int(number)

def partition(key, n):
    return len(key[0]) % n

def group_key(key):
    return key[0]

def sort_key(key, value):
    return -value

def reducer(key, values):
    yield key, list(values)
"""
BY_VALUE = """
def mapper(key, line):
    word, number = line.split()
    yield word, int(number)

def sort_values(number):
    return -number

def reducer(key, values):
    yield key, list(values)
"""


def test_plain_functions_sort_and_group(tmp_path: Path) -> None:
    path = tmp_path / "job.py"
    lines = ["a 1", "a 3", "bb 5", "a 2"]
    path.write_text(FUNCTIONS, encoding="utf-8")
    found = load_job(str(path))().run_inline(lines)
    assert sorted(found) == [(("a", 3), [3, 2, 1]), (("bb", 5), [5])]
    path.write_text(BY_VALUE, encoding="utf-8")
    assert sorted(load_job(str(path))().run_inline(lines)) == [("a", [3, 2, 1]), ("bb", [5])]


def said(**body: Any) -> type[Emits]:
    return type("Said", (Emits,), body)


@pytest.mark.parametrize(
    "sort_values",
    [
        operator.itemgetter(1),
        staticmethod(operator.itemgetter(1)),
        lambda value: value[1],
        lambda self, value: value[self.partitions],
    ],
)
def test_every_way_to_say_a_function_of_the_value(sort_values: Callable[..., Any]) -> None:
    job = said(sort_values=sort_values, partitions=1)()
    job.emitted[:] = [[("k", ("a", 3)), ("k", ("b", 1))], [("k", ("c", 2))]]
    run = MemoryRun(job, cut(b"0\n1\n", 2), {"in": b"0\n1\n"}, 1 << 20)
    assert run.partitions() == [[("k", [("b", 1), ("c", 2), ("a", 3)])]]


def refused(job_class: type[Emits], records: list[tuple[Any, Any]]) -> str:
    job_class.emitted = [records]
    with pytest.raises(UserCodeError) as caught:
        MemoryRun(job_class(), cut(b"0\n", 1), {"in": b"0\n"}, 1 << 20)
    return str(caught.value)


def test_what_cannot_be_sorted_is_named() -> None:
    text = refused(Sorted, [("a", 1), ("b", "x")])
    assert "keys of two types: int and str" in text
    assert text.endswith("in the sort_values, record 'x'")
    text = refused(Sorted, [("a", [1])])
    assert "a key of type list" in text
    assert text.endswith("in the sort_values, record [1]")
    text = refused(said(group_key=lambda self, key: key or None), [(1, 1), ("", 2)])
    assert "keys of two types: int and str" in text


def test_a_function_that_raises_is_shown_with_its_record() -> None:
    text = refused(said(sort_key=lambda self, key, value: 1 // value), [("a", 1), ("b", 0)])
    assert "ZeroDivisionError" in text
    assert text.endswith("in the sort_key, record ('b', 0)")
    text = refused(said(group_key=lambda self, key: key[3]), [("abc", 1)])
    assert "in the group_key, record ('abc', 1)" in text
    text = refused(
        said(group_key=lambda self, key: 1, partition=lambda self, key, n: n), [("a", 1)]
    )
    assert "partition() gave 3: 0 to 2 is needed" in text


class Many(mr.Job):
    """One key with more values than memory for a spill."""

    partitions = 1
    sort_values = True

    def mapper(self, key: tuple[str, int], line: str) -> Iterator[tuple[str, int]]:
        for n in range(20_000):
            yield "all", n * 7919 % 20_011

    def reducer(self, key: str, values: Iterator[int]) -> Iterator[tuple[str, bool]]:
        last, rises = -1, True
        for value in values:
            rises = rises and last <= value
            last = value
        yield key, rises


def test_one_huge_key_comes_sorted_from_many_spills() -> None:
    run = MemoryRun(Many(), cut(b"a\nb\nc\n", 3), {"in": b"a\nb\nc\n"}, 10_000)
    assert run.maps[0].counters["records"]["spilled_runs"] > 5
    assert run.partitions() == [[("all", True)]]
    assert run.reduces[0].counters["records"]["reduce_groups"] == 1
