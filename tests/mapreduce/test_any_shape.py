"""Jobs of any shape (inputs, steps, side outputs) against a dumb sequential model."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mapreduce as mr
from mapreduce.job import Settings
from mapreduce.runners import inline
from mapreduce.shuffle.keys import canonical, encode
from tests.mapreduce.memory_env import partition_of
from tests.mapreduce.test_any_job import KEYS, NUMBERS, TEXT

Pairs = Iterator[tuple[Any, Any]]
Emitted = list[list[list[tuple[Any, Any]]]]
"""Of each input, of each line: the records that its mapper emits."""

VALUES = NUMBERS | TEXT | st.none() | st.floats() | st.tuples(TEXT, st.booleans())
MAPS, REDUCE, COMBINED = "maps", "reduce", "combined"


class Shape(NamedTuple):
    """What a job is made of."""

    inputs: int
    steps: tuple[str, ...]
    partitions: int


class Ascii:
    """An output that can hold any record."""

    def encode(self, keys: Sequence[Any], values: Sequence[Any]) -> bytes:
        return "".join(map(line_of, keys, values)).encode()

    def decode(self, file: BinaryIO) -> Pairs:
        yield from ()


def line_of(key: Any, value: Any) -> str:
    return f"{key!a} {value!a}\n"


def goes_aside(value: Any) -> bool:
    return len(ascii(value)) % 3 == 0


def mapped(key: Any, value: Any) -> Pairs:
    yield key, value
    if goes_aside(value):
        yield mr.to("side", key, value)


def combined(key: Any, values: Iterator[Any]) -> Pairs:
    yield from ((key, value) for value in values)


def reduced(key: Any, values: Iterator[Any]) -> Pairs:
    found = list(values)
    yield key, found
    if len(found) % 2 == 0:
        yield mr.to("side", key, len(found))


def job_of(shape: Shape, emitted: Emitted) -> mr.Job:
    """A job of this shape; line n of an input emits its n-th records, with the input's number."""

    def mapper_of(number: int) -> Any:
        def mapper(key: tuple[str, int], line: str) -> Pairs:
            for one, other in emitted[number][int(line)]:
                yield from mapped(one, (number, other))

        return mapper

    class Shaped(mr.Job):
        partitions = shape.partitions
        output_format = Ascii
        inputs = tuple(mr.Input("x", mapper=mapper_of(n)) for n in range(shape.inputs))

        def steps(self) -> list[mr.Step]:
            return [
                mr.Step(
                    mapper=mapped,
                    combiner=combined if kind == COMBINED else None,
                    reducer=None if kind == MAPS else reduced,
                )
                for kind in shape.steps
            ]

    return Shaped()


def model(shape: Shape, emitted: Emitted) -> tuple[str, dict[tuple[int, str], str]]:
    """The output, and what each phase sends aside, as text; without splits, spills and merges."""
    flow = [
        [(key, (number, value)) for key, value in records]
        for number, lines in enumerate(emitted)
        for records in lines
    ]
    parts = [[record for records in flow for record in records]]
    aside: dict[tuple[int, str], str] = defaultdict(str)
    for step, kind in enumerate(shape.steps):
        for key, value in (record for part in parts for record in part):
            aside[step, "m"] += line_of(key, value) if goes_aside(value) else ""
        if kind == MAPS:
            continue
        groups: dict[bytes, tuple[Any, list[Any]]] = {}
        for key, value in (record for part in parts for record in part):
            groups.setdefault(encode(canonical(key)), (canonical(key), []))[1].append(value)
        parts = [[] for _ in range(shape.partitions)]
        for _, (key, values) in sorted(groups.items()):
            parts[partition_of(key, shape.partitions)].append((key, values))
        for key, values in (record for part in parts for record in part):
            aside[step, "r"] += line_of(key, len(values)) if len(values) % 2 == 0 else ""
    text = "".join(line_of(key, value) for part in parts for key, value in part)
    return text, {phase: lines for phase, lines in aside.items() if lines}


def written(output: Path, steps: int) -> tuple[str, dict[tuple[int, str], str]]:
    """What a run left, in the form of the model."""
    text = "".join(path.read_text("ascii") for path in sorted(output.glob("part-*")))
    aside: dict[tuple[int, str], str] = defaultdict(str)
    for path in sorted(output.glob("side/*")):
        *before, _, letter, _ = path.name.split("-")
        aside[int(before[1]) - 1 if before else steps - 1, letter] += path.read_text("ascii")
    return text, dict(aside)


@settings(max_examples=75, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    shape=st.builds(
        Shape,
        st.integers(1, 3),
        st.lists(st.sampled_from([MAPS, REDUCE, COMBINED]), min_size=1, max_size=3).map(tuple),
        st.sampled_from([1, 3]),
    ),
    records=st.one_of([st.lists(st.tuples(key, VALUES), max_size=30) for key in KEYS]),
    per_line=st.integers(1, 9),
    split_bytes=st.sampled_from([1, 5, 1 << 20]),
    spill_bytes=st.sampled_from([1 << 10, 1 << 20]),
)
def test_a_job_of_any_shape_gives_what_its_model_gives(
    tmp_path_factory: pytest.TempPathFactory,
    shape: Shape,
    records: list[tuple[Any, Any]],
    per_line: int,
    split_bytes: int,
    spill_bytes: int,
) -> None:
    folder = tmp_path_factory.mktemp("example")
    lines = [records[at : at + per_line] for at in range(0, len(records), per_line)]
    emitted = [lines[number :: shape.inputs] for number in range(shape.inputs)]
    paths = [folder / f"{number}" for number in range(shape.inputs)]
    for path, own in zip(paths, emitted, strict=True):
        path.write_text("".join(f"{n}\n" for n in range(len(own))), encoding="ascii")
    choice = Settings(split_bytes=split_bytes, spill_bytes=spill_bytes)
    job, output = job_of(shape, emitted), folder / "out"
    result = inline.run(job, [str(path) for path in paths], str(output), choice)
    assert written(output, len(shape.steps)) == model(shape, emitted)
    counted = result.counters.get("outputs", {}).get("side", 0)
    assert counted == sum(text.count("\n") for text in written(output, 1)[1].values())
    shutil.rmtree(folder)
