"""Chains of steps on the inline runner, against dumb models."""

from __future__ import annotations

import collections
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mapreduce as mr
from dfs.errors import BadArgument
from mapreduce.conservation import check_steps_conserved
from mapreduce.errors import RecordsLost
from mapreduce.job import JobSpec, StepSpec
from mapreduce.loader import load_job
from mapreduce.plan import StepPlan, plan_of


class MostFrequent(mr.Job):
    """The most frequent words: counts, then the largest of all."""

    top: int = mr.param(3, help="how many")
    partitions = 3

    def steps(self) -> list[mr.Step]:
        return [
            mr.Step(mapper=self.words, combiner=self.add, reducer=self.add),
            mr.Step(mapper=self.to_one_place, reducer=self.largest, partitions=1),
        ]

    def words(self, key: Any, line: str) -> Iterator[tuple[str, int]]:
        self.count("lines")
        for word in line.split():
            yield word, 1

    def add(self, word: str, counts: Iterator[int]) -> Iterator[tuple[str, int]]:
        yield word, sum(counts)

    def to_one_place(self, word: str, n: int) -> Iterator[tuple[None, tuple[int, str]]]:
        yield None, (-n, word)

    def largest(self, key: None, pairs: Iterator[tuple[int, str]]) -> Iterator[tuple[str, int]]:
        for n, word in sorted(pairs)[: self.top]:
            yield word, -n


def most_frequent(lines: list[str], top: int) -> list[tuple[str, int]]:
    counted = collections.Counter(word for line in lines for word in line.split())
    return sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))[:top]


LINES = st.lists(st.text("ab ", max_size=6), max_size=12)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(lines=LINES, top=st.integers(1, 4))
def test_a_chain_gives_what_its_model_gives(lines: list[str], top: int) -> None:
    assert MostFrequent(top=top).run_inline(lines) == most_frequent(lines, top)


class Numbered(mr.Job):
    """Steps of every kind, with functions of every kind; keys and values of many types."""

    def steps(self) -> list[mr.Step]:
        return [
            mr.Step(mapper=Numbered.lengths),
            mr.Step(reducer=self.collected, partitions=2),
            mr.Step(mapper=lambda key, value: [(type(key).__name__, (key, value))]),
            mr.Step(
                mapper_init=self.begin,
                reducer=lambda key, values: [(key, sorted(values, key=repr))],
                reducer_final=self.end,
                partition=lambda key, n: 0,
            ),
        ]

    def lengths(self, key: tuple[str, int], line: str) -> Iterator[tuple[int, Any]]:
        yield len(line), {"text": line, "half": len(line) / 2, "odd": None}

    def collected(self, length: int, values: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
        yield (length, None), [value["text"] for value in values]

    def begin(self) -> Iterator[tuple[str, Any]]:
        yield "map", 1

    def end(self) -> Iterator[tuple[str, Any]]:
        yield "reduce", 2


def test_functions_of_every_kind() -> None:
    pairs = Numbered().run_inline(["one", "two", "three"])
    assert pairs == [
        ("map", [1, 1]),
        ("tuple", [((3, None), ["one", "two"]), ((5, None), ["three"])]),
        *[("reduce", 2)] * 4,
    ]


def chain(*steps: tuple[int, bool]) -> JobSpec:
    specs = tuple(StepSpec(partitions, False, reducer) for partitions, reducer in steps)
    return JobSpec("chain", "", "job.py", "Chain", {}, specs)


def shape(plans: tuple[StepPlan, ...]) -> list[tuple[int, int, int, bool]]:
    return [(plan.maps, plan.reduces, plan.parts, plan.is_last) for plan in plans]


def test_the_plan_of_a_chain_follows_from_its_parts() -> None:
    plans = plan_of(chain((4, True), (9, False), (2, True)), 7)
    assert shape(plans) == [(7, 4, 4, False), (4, 0, 4, False), (4, 2, 2, True)]
    assert plans[1].part_names()[3] == "part-m-00003"
    assert [plans[n].reduce_task("j", 1).name for n in (0, 2)] == ["r-00001", "3:r-00001"]


def test_partitions_of_the_last_step_are_those_of_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("a b a\n", encoding="utf-8")
    job = MostFrequent()
    assert [step.partitions for step in job.describe_steps()] == [3, 1]
    job.partitions = 5
    assert [step.partitions for step in job.describe_steps()] == [3, 5]
    job.run([str(tmp_path / "in")], str(tmp_path / "out"), "inline")
    parts = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert parts == ["_SUCCESS", *(f"part-r-{n:05d}" for n in range(5))]
    lines = [line for p in parts for line in (tmp_path / "out" / p).read_text().splitlines()]
    assert lines == ["a\t2", "b\t1"]


def test_counters_add_up_over_the_steps(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("a b a\nc\n", encoding="utf-8")
    counters = MostFrequent().run([str(tmp_path / "in")], None, "inline").counters
    assert counters["user"] == {"lines": 2}
    assert counters["records"]["map_input"] == 2 + 3
    assert counters["records"]["reduce_output"] == 3 + 3


class Bad(mr.Job):
    """A chain whose second step fails."""

    def steps(self) -> list[mr.Step]:
        return [mr.Step(mapper=self.words), mr.Step(mapper=self.fails)]

    def words(self, key: Any, line: str) -> Iterator[tuple[str, int]]:
        yield line, 1

    def fails(self, key: str, value: int) -> Iterator[tuple[str, int]]:
        raise KeyError(key)


def test_a_failed_step_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("a\n", encoding="utf-8")
    with pytest.raises(mr.JobFailed, match="KeyError: 'a'"):
        Bad().run([str(tmp_path / "in")], str(tmp_path / "out"), "inline")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


NO_FUNCTION: Any = "words"


@pytest.mark.parametrize(
    ("given_steps", "message"),
    [
        ([], "has 0 steps: 1 to 100 are possible"),
        (["words"], r"steps\(\) gave 'words': mr.Step\(...\) is needed"),
        ([mr.Step(mapper=NO_FUNCTION)], "step 1: mapper is 'words': a function is needed"),
        ([mr.Step(partitions=0, reducer=print)], "0 partitions"),
    ],
)
def test_what_is_no_chain_is_said_in_one_line(given_steps: list[Any], message: str) -> None:
    class Odd(mr.Job):
        def steps(self) -> list[mr.Step]:
            return given_steps

    with pytest.raises(BadArgument, match=message):
        Odd().run_inline(["a"])


class Sorted(mr.Job):
    """Sorting and grouping of a later step."""

    def steps(self) -> list[mr.Step]:
        return [
            mr.Step(mapper=self.split),
            mr.Step(reducer=self.listed, sort_values=lambda value: -value, partitions=1),
            mr.Step(
                reducer=self.listed,
                sort_key=lambda key, value: value[0],
                group_key=Sorted.group,
                partitions=1,
            ),
        ]

    def group(self, key: str) -> str:
        return key.lower()

    def split(self, key: Any, line: str) -> Iterator[tuple[str, int]]:
        word, number = line.split()
        yield word, int(number)

    def listed(self, key: str, values: Iterator[Any]) -> Iterator[tuple[str, list[Any]]]:
        yield key, list(values)


def test_steps_sort_and_group_each_for_itself() -> None:
    assert Sorted().run_inline(["a 1", "A 2", "a 3", "b 1"]) == [
        ("A", [[2], [3, 1]]),
        ("b", [[1]]),
    ]


def test_steps_that_raise_and_options_that_no_step_uses() -> None:
    class Raises(mr.Job):
        def steps(self) -> list[mr.Step]:
            raise LookupError("no steps today")

    class Lost(MostFrequent):
        def partition(self, key: Any, n: int) -> int:
            return 0

    with pytest.raises(mr.UserCodeError, match="LookupError: no steps today"):
        Raises().run_inline(["a"])
    with pytest.raises(BadArgument, match="no step uses partition: name it in a Step"):
        Lost().run_inline(["a"])


def test_steps_of_a_file_of_plain_functions_are_refused(tmp_path: Path) -> None:
    job = tmp_path / "job.py"
    job.write_text("def mapper(k, v): pass\ndef steps(): pass\n", encoding="utf-8")
    with pytest.raises(BadArgument, match="steps belongs into a class"):
        load_job(str(job))


def test_records_lost_on_the_way_fail_the_job() -> None:
    plans = plan_of(chain((4, True), (9, False)), 7)
    moved = {(0, "map"): (9, 20), (0, "reduce"): (20, 6), (1, "map"): (6, 1)}
    check_steps_conserved(plans, moved)
    with pytest.raises(RecordsLost, match="maps and reduces of step 1: 20 records were written"):
        check_steps_conserved(plans, {**moved, (0, "reduce"): (19, 6)})
    with pytest.raises(RecordsLost, match="between steps 1 and 2: 6 records were written and 7"):
        check_steps_conserved(plans, {**moved, (1, "map"): (7, 1)})
