"""Any job, in any number of splits, partitions and spills, against a dumb sequential one."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mapreduce as mr
from mapreduce.shuffle.keys import canonical, encode
from tests.mapreduce.memory_env import MemoryRun, cut, partition_of

TEXT = st.text(st.characters(codec=None), max_size=6)
NUMBERS = st.integers(-(2**70), 2**70) | st.integers(-3, 3)
KEYS: list[st.SearchStrategy[Any]] = [
    st.integers(-3, 3),
    NUMBERS,
    st.booleans() | st.none(),
    st.floats() | st.sampled_from([0.0, -0.0, float("nan")]),
    TEXT | st.none(),
    st.text("ab", max_size=2),
    st.binary(max_size=3),
    st.dates(),
    st.datetimes(),
    st.tuples(st.text("ab", max_size=1), st.integers(0, 2) | st.none()),
    st.tuples(st.tuples(TEXT), NUMBERS),
]
VALUES: list[st.SearchStrategy[Any]] = [
    NUMBERS,
    st.floats(),
    TEXT | st.none(),
    st.binary(max_size=5),
    st.booleans(),
    st.dates() | st.none(),
    st.datetimes(min_value=datetime(1, 1, 1)),
    st.tuples(TEXT, NUMBERS),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(TEXT, st.booleans(), max_size=2),
    st.integers() | TEXT | st.tuples() | st.tuples(st.booleans()),
    st.complex_numbers() | st.frozensets(st.integers(0, 3)),
]
RECORDS = st.one_of(
    [
        st.lists(st.tuples(key, value), max_size=40)
        for i, key in enumerate(KEYS)
        for value in (VALUES[i], VALUES[(i + 5) % len(VALUES)])
    ]
)


class Replay(mr.Job):
    """Line n of the input emits the n-th list of records; the output is each group as it came."""

    partitions = 3
    emitted: ClassVar[list[list[tuple[Any, Any]]]] = []

    def mapper(self, key: tuple[str, int], line: str) -> Iterator[tuple[Any, Any]]:
        yield from self.emitted[int(line)]

    def reducer(self, key: Any, values: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
        yield key, list(values)


class ReplayCombined(Replay):
    """The same through a combiner that keeps what it gets."""

    def combiner(self, key: Any, values: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
        for value in values:
            yield key, value


def exact(thing: Any) -> bytes:
    """A form in which equal means equal types and bits."""
    if isinstance(thing, (list, tuple)):
        return type(thing).__name__.encode() + b"[" + b",".join(map(exact, thing)) + b"]"
    if isinstance(thing, frozenset):
        return repr(sorted(thing)).encode()
    if isinstance(thing, float):
        return b"f" + thing.hex().encode()
    if isinstance(thing, (date, datetime)):
        return pickle.dumps(thing)
    return f"{type(thing).__name__} {thing!r}".encode()


def sequential(records: list[tuple[Any, Any]], partitions: int) -> list[list[tuple[Any, Any]]]:
    """What the job must give, without splits, spills or merges."""
    groups: dict[bytes, tuple[Any, list[Any]]] = {}
    for key, value in records:
        key = canonical(key)
        groups.setdefault(encode(key), (key, []))[1].append(value)
    found: list[list[tuple[Any, Any]]] = [[] for _ in range(partitions)]
    for _, group in sorted(groups.items()):
        found[partition_of(group[0], partitions)].append(group)
    return found


@pytest.mark.parametrize("job_class", [Replay, ReplayCombined])
@pytest.mark.parametrize("partitions", [1, 3])
@pytest.mark.parametrize("pieces", [1, 2, 7])
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(records=RECORDS, per_line=st.integers(1, 9), spill_bytes=st.sampled_from([1, 300, 1 << 20]))
def test_a_job_gives_what_its_sequential_model_gives(
    job_class: type[Replay],
    partitions: int,
    pieces: int,
    records: list[tuple[Any, Any]],
    per_line: int,
    spill_bytes: int,
) -> None:
    job_class.emitted = [records[i : i + per_line] for i in range(0, len(records), per_line)]
    text = "".join(f"{n}\n" for n in range(len(job_class.emitted))).encode()
    job = job_class()
    job.partitions = partitions
    run = MemoryRun(job, cut(text, pieces), {"in": text}, spill_bytes)
    found = [[exact(pair) for pair in part] for part in run.partitions()]
    wanted = [[exact(pair) for pair in part] for part in sequential(records, partitions)]
    assert found == wanted


@pytest.mark.parametrize("job_class", [Replay, ReplayCombined])
def test_more_spills_and_maps_than_one_merge_takes(job_class: type[Replay]) -> None:
    records = [(n % 10, n) for n in range(3_000)]
    job_class.emitted = [records[i : i + 30] for i in range(0, 3_000, 30)]
    text = "".join(f"{n}\n" for n in range(100)).encode()
    one_map = MemoryRun(job_class(), cut(text, 1), {"in": text}, 1)
    many_maps = MemoryRun(job_class(), cut(text, 70), {"in": text}, 1)
    assert one_map.partitions() == many_maps.partitions() == sequential(records, 3)


def test_spilling_changes_nothing_but_the_work() -> None:
    Replay.emitted = [[(n % 7, "x" * n) for n in range(500)] for _ in range(40)]
    text = "".join(f"{n}\n" for n in range(40)).encode()
    spilled = MemoryRun(Replay(), cut(text, 2), {"in": text}, 10_000)
    whole = MemoryRun(Replay(), cut(text, 2), {"in": text}, 1 << 30)
    assert spilled.maps[0].counters["records"]["spilled_runs"] > 5
    sizes, outcome = spilled.maps[0].counters["bytes"], whole.maps[0]
    assert sizes["spilled"] > sizes["map_output"] == outcome.output_bytes
    assert outcome.counters["bytes"] == {"map_input": 55, "map_output": outcome.output_bytes}
    assert whole.reduces[0].counters["bytes"] == {"reduce_output": len(whole.parts["part-r-00000"])}
    assert spilled.runs == whole.runs
    assert spilled.parts == whole.parts


class Huge(mr.Job):
    """One key with very many values."""

    partitions = 1

    def mapper(self, key: tuple[str, int], line: str) -> Iterator[tuple[str, int]]:
        for n in range(100_000):
            yield "all", n

    def reducer(self, key: str, values: Iterator[int]) -> Iterator[tuple[str, int]]:
        first = next(values)
        yield "first", first
        yield "others", sum(1 for _ in values)


def test_one_huge_key_comes_as_an_iterator_in_order() -> None:
    run = MemoryRun(Huge(), cut(b"a\nb\nc\n", 3), {"in": b"a\nb\nc\n"}, 1 << 20)
    assert run.partitions() == [[("first", 0), ("others", 299_999)]]
    assert run.reduces[0].counters["records"] == {
        "reduce_groups": 1,
        "reduce_input": 300_000,
        "reduce_output": 2,
    }


class Lazy(mr.Job):
    """A reducer that looks at the first value only, and one that gives nothing."""

    partitions = 1

    def mapper(self, key: tuple[str, int], line: str) -> list[tuple[str, int]]:
        return [(word, n) for n, word in enumerate(line.split())]

    def reducer(self, key: str, values: Iterator[int]) -> list[tuple[str, int]] | None:
        return None if key == "b" else [(key, next(values))]


def test_values_that_a_reducer_leaves_are_skipped() -> None:
    text = b"a b c a b c\nb c a a a\n"
    run = MemoryRun(Lazy(), cut(text, 2), {"in": text}, 1 << 20)
    assert run.partitions() == [[("a", 0), ("c", 2)]]
    assert run.reduces[0].input_records == 11
