"""The table of types in docs/writing-jobs.md, row by row: what it says is what happens."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import mapreduce as mr
from mapreduce.job_class import Job
from mapreduce.result import Result
from mapreduce.runners import local
from mapreduce.runners.submission import Submission
from tests.mapreduce.typed_job import AsKeys, AsValues, CombinedKeys, CombinedValues, Point, read

PAGE = Path(__file__).parents[2] / "docs" / "writing-jobs.md"
REFUSED = "refused"


class Row(NamedTuple):
    """One row: the example, and what the table says of it."""

    what: str
    example: str
    as_key: str
    as_value: str


def rows() -> list[Row]:
    """The rows of the table, expressions without their backquotes."""
    table = PAGE.read_text("utf-8").partition("| type | for example |")[2].partition("\n\n")[0]
    found = [[cell.strip() for cell in line[1:-1].split("|")] for line in table.splitlines()[2:]]
    return [Row(*(cell.strip("`") for cell in cells)) for cells in found]


ROWS = rows()


def exact(thing: Any) -> str:
    """A text in which equal means equal types and bits."""
    if isinstance(thing, float):
        return f"float {struct.pack('>d', thing).hex()}"
    if isinstance(thing, complex):
        return f"complex {exact(thing.real)} {exact(thing.imag)}"
    if isinstance(thing, (tuple, list)):
        return f"{kind(thing)}({', '.join(map(exact, thing))})"
    if isinstance(thing, dict):
        return f"{kind(thing)}({', '.join(f'{exact(k)}: {exact(v)}' for k, v in thing.items())})"
    fold = getattr(thing, "fold", "")
    return f"{kind(thing)} {thing!a} {fold}"


def kind(thing: Any) -> str:
    """The name of a type; the job file is imported under another module's name by tasks."""
    return type(thing).__qualname__


def expected(row: Row, cell: str) -> str:
    """What comes back, exactly."""
    return exact(read(row.example if cell == "same" else cell))


def on_inline(job: Job, text: Path) -> Result:
    return job.run([str(text)], None, "inline", {"split_bytes": 1 << 20})


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return tmp_path / "examples"


def test_the_table_is_there() -> None:
    assert len(ROWS) > 30
    assert {row.as_key for row in ROWS} > {"same", REFUSED}
    names = " ".join(row.what for row in ROWS)
    for what in ("None", "bool", "64 bits", "NaN", "infinities", "negative zero", "bytes", "tabs",
                 "surrogate", "tuple", "list", "dict", "dataclass", "datetime", "Dec"):  # fmt: skip
        assert what in names


@pytest.mark.parametrize("job_class", [AsKeys, CombinedKeys])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
def test_as_a_key(row: Row, job_class: type[Job], text: Path) -> None:
    text.write_text(f"{row.example}\n" * 2, encoding="utf-8")
    if row.as_key == REFUSED:
        with pytest.raises(mr.JobFailed, match=r"a key of type \w+: keys are None, bool"):
            on_inline(job_class(), text)
    else:
        [(key, count)] = on_inline(job_class(), text)
        assert (exact(key), count) == (expected(row, row.as_key), 4)


@pytest.mark.parametrize("job_class", [AsValues, CombinedValues])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
def test_as_a_value(row: Row, job_class: type[Job], text: Path) -> None:
    text.write_text(f"{row.example}\n", encoding="utf-8")
    if row.as_value == REFUSED:
        with pytest.raises(mr.JobFailed, match=r"(?i)cannot pickle|can't pickle|can't get"):
            on_inline(job_class(), text)
    else:
        wanted = expected(row, row.as_value)
        assert [exact(value) for _, value in on_inline(job_class(), text)] == [wanted] * 2


def accepted() -> Iterator[Row]:
    return (row for row in ROWS if row.as_value != REFUSED)


@pytest.mark.parametrize("job_class", [AsValues, CombinedValues])
def test_all_values_in_one_job_of_processes(job_class: type[Job], text: Path) -> None:
    wanted = {row.example: expected(row, row.as_value) for row in accepted()}
    text.write_text("".join(f"{example}\n" for example in wanted), encoding="utf-8")
    in_processes = local.run(job_class(), [str(text)], None, Submission())
    for result in (on_inline(job_class(), text), in_processes):
        found = [(line, exact(value)) for line, value in result]
        assert sorted(found) == sorted([*wanted.items(), *wanted.items()])


def test_classes_of_the_job_file_come_back_as_those_of_the_caller(text: Path) -> None:
    text.write_text("Point(1, 2)\n", encoding="utf-8")
    result = local.run(AsValues(), [str(text)], None, Submission())
    assert [value for _, value in result] == [Point(1, 2)] * 2


def test_two_types_of_keys_are_both_named(text: Path) -> None:
    text.write_text("1\n1.0\n", encoding="utf-8")
    with pytest.raises(mr.JobFailed, match=r"keys of two types: (int and float|float and int)"):
        on_inline(AsKeys(), text)
