"""`mr.to`: records for outputs beside the job's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mapreduce as mr
from dfs.errors import BadArgument
from mapreduce.errors import JobFailed
from mapreduce.side_output import check_file, check_files, name_flaw

Pairs = Iterator[tuple[Any, Any]]
RUNNERS = pytest.mark.parametrize("runner", ["inline", "local"])


class Sorted(mr.Job):
    """Numbers by their last digit; what is no number, and small sums, go elsewhere."""

    partitions = 2

    def mapper(self, key: tuple[str, int], line: str) -> Pairs:
        if line.isdigit():
            yield int(line) % 10, int(line)
        else:
            yield mr.to("errors", line)

    def mapper_final(self) -> Pairs:
        yield mr.to("maps", "end", 1)

    def reducer(self, digit: int, numbers: Iterator[int]) -> Pairs:
        total = sum(numbers)
        yield digit, total
        if total < 10:
            yield mr.to("errors", digit, "small")

    def reducer_init(self) -> Pairs:
        yield mr.to("begun", None)


def files_in(output: Path) -> dict[str, str]:
    """The files of an output and of its side outputs."""
    files = [path for path in output.rglob("*") if path.is_file()]
    return {str(path.relative_to(output)): path.read_text("utf-8") for path in files}


@pytest.fixture
def numbers(tmp_path: Path) -> str:
    path = tmp_path / "numbers"
    path.write_text("1\nx\n12\n22\ny y\n3\n", encoding="utf-8")
    return str(path)


@RUNNERS
def test_records_go_where_they_are_sent(numbers: str, tmp_path: Path, runner: str) -> None:
    output = tmp_path / "out"
    result = Sorted().run([numbers], str(output), runner, {"split_bytes": 8})
    found = files_in(output)
    own = {name for name in found if "/" not in name}
    assert own == {"_SUCCESS", "part-r-00000", "part-r-00001"}
    lines = sorted("".join(found[name] for name in own).splitlines())
    assert lines == ["1\t1", "2\t34", "3\t3"]
    side = {name: text for name, text in found.items() if "/" in name}
    small = [side.pop(f"errors/part-r-0000{n}", "") for n in range(2)]
    assert sorted("".join(small).splitlines()) == ["1\tsmall", "3\tsmall"]
    assert side == {
        "errors/part-m-00000": "x\n",
        "errors/part-m-00001": "y y\n",
        "maps/part-m-00000": "end\t1\n",
        "maps/part-m-00001": "end\t1\n",
        "begun/part-r-00000": "\n",
        "begun/part-r-00001": "\n",
    }
    assert result.counters["outputs"] == {"begun": 2, "errors": 4, "maps": 2}
    assert result.counters["records"]["map_output"] == 4
    assert sorted(result) == [("1", "1"), ("2", "34"), ("3", "3")]


@RUNNERS
def test_without_an_output_they_are_counted_and_dropped(numbers: str, runner: str) -> None:
    result = Sorted().run([numbers], runner=runner)
    assert sorted(result) == [(1, 1), (2, 34), (3, 3)]
    assert result.counters["outputs"] == {"begun": 2, "errors": 4, "maps": 1}


class Chain(mr.Job):
    """Maps alone, then a reduce; every phase writes to the same output."""

    def steps(self) -> list[mr.Step]:
        return [mr.Step(mapper=self.first), mr.Step(reducer=self.second, partitions=1)]

    def first(self, key: tuple[str, int], line: str) -> Pairs:
        yield line, mr.to("log", "second", line)
        yield mr.to("log", "first", line)

    def second(self, line: str, records: Iterator[Any]) -> Pairs:
        yield line, 1
        yield from records


@RUNNERS
def test_steps_before_the_last_have_files_of_their_own(tmp_path: Path, runner: str) -> None:
    text, output = tmp_path / "text", tmp_path / "out"
    text.write_text("a\nb\n", encoding="utf-8")
    Chain().run([str(text)], str(output), runner)
    assert files_in(output) == {
        "_SUCCESS": "",
        "part-r-00000": "a\t1\nb\t1\n",
        "log/step-1-part-m-00000": "first\ta\nfirst\tb\n",
        "log/part-r-00000": "second\ta\nsecond\tb\n",
    }


class Blocks(mr.Job):
    """Maps alone, in an output format of their own, with nothing but side records for a while."""

    output_format = mr.JSONLines

    def mapper(self, key: tuple[str, int], line: str) -> Pairs:
        for n in range(20_000):
            yield mr.to("odd" if n % 2 else "even", n, "x" * 50)
        yield "last", None


def test_a_block_may_hold_side_records_alone(tmp_path: Path) -> None:
    text, output = tmp_path / "text", tmp_path / "out"
    text.write_text("a\n", encoding="utf-8")
    Blocks().run([str(text)], str(output), "inline")
    found = files_in(output)
    assert found["part-m-00000"] == '["last", null]\n'
    odd = [f'[{n}, "{"x" * 50}"]' for n in range(1, 20_000, 2)]
    assert found["odd/part-m-00000"].splitlines() == odd
    assert len(found["even/part-m-00000"].splitlines()) == 10_000


def test_a_sample_drops_them(numbers: str, tmp_path: Path) -> None:
    class Ordered(Sorted):
        partition = mr.TotalOrder()

    Ordered().run([numbers], str(tmp_path / "out"), "inline")
    assert files_in(tmp_path / "out")["errors/part-m-00000"] == "x\ny y\n"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a/b", "is no name of a directory"),
        ("", "is no name of a directory"),
        ("a\nb", "is no name of a directory"),
        ("x\ud800", "is no name of a directory"),
        ("_logs", "begins as files of ours do"),
        (".hidden", "begins as files of ours do"),
        ("..", "begins as files of ours do"),
        ("part-r-00000", "begins as files of ours do"),
        ("ä" * 51, "is longer than 100 bytes"),
        (3, "3 is no name: a str is needed"),
    ],
)
def test_a_name_that_cannot_be_one_fails_the_job(name: Any, words: str) -> None:
    def mapper(self: mr.Job, key: Any, line: str) -> Pairs:
        yield mr.to(name, line)

    job = type("Wrong", (mr.Job,), {"mapper": mapper})()
    with pytest.raises(JobFailed, match=words) as caught:
        job.run_inline(["a"])
    assert caught.value.failure is not None
    assert caught.value.failure.error.startswith("ValueError: mr.to: ")
    assert "\n" not in caught.value.failure.error
    assert name_flaw("errors 2.txt") == ""


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (lambda line: mr.to("errors"), "not 0 values"),
        (lambda line: mr.to("errors", 1, 2, 3), "not 3 values"),
        (lambda line: mr.to("errors", 1, lambda: 1), "pickle"),
    ],
)
def test_what_is_no_record_fails_the_job(record: Any, words: str) -> None:
    class Wrong(mr.Job):
        def mapper(self, key: Any, line: str) -> Pairs:
            yield record(line)

    with pytest.raises(JobFailed, match=words):
        Wrong().run_inline(["a"])


def test_what_the_format_cannot_hold_fails_the_job(numbers: str, tmp_path: Path) -> None:
    class Wrong(mr.Job):
        def mapper(self, key: Any, line: str) -> Pairs:
            yield mr.to("errors", "a\tb", 1)

    with pytest.raises(JobFailed, match="a tab in the key"):
        Wrong().run([numbers], str(tmp_path / "out"), "inline")
    assert [path.name for path in tmp_path.iterdir()] == ["numbers"]


def test_a_task_writes_to_so_many_outputs_and_no_more() -> None:
    class Many(mr.Job):
        outputs: int = mr.param(32)

        def mapper(self, key: Any, line: str) -> Pairs:
            yield from (mr.to(f"out-{n}", line) for n in range(self.outputs))

    assert Many().run_inline(["a"]) == []
    with pytest.raises(JobFailed, match="at most 32 outputs"):
        Many(outputs=33).run_inline(["a"])


def test_a_combiner_may_not_write_there() -> None:
    class Wrong(mr.Job):
        def mapper(self, key: Any, line: str) -> Pairs:
            yield line, 1

        def combiner(self, key: str, values: Iterator[int]) -> Pairs:
            yield mr.to("errors", key, sum(values))

        reducer = combiner

    with pytest.raises(JobFailed, match="only a mapper or a reducer may write"):
        Wrong().run_inline(["a"])


class FailsFirst(mr.Job):
    """Its first attempt writes to an output that the second one leaves alone."""

    marker: str = mr.param("")

    def mapper(self, key: tuple[str, int], line: str) -> Pairs:
        yield line, 1
        if not os.path.exists(self.marker):
            yield mr.to("gone", line)

    def mapper_final(self) -> Pairs:
        if os.path.exists(self.marker):
            return
        Path(self.marker).write_text("", encoding="utf-8")
        # So many counters that the task fails when all its files are complete.
        for n in range(10_001):
            self.count(f"{n}")
        yield "last", 1


def test_an_attempt_that_fails_leaves_no_side_output(numbers: str, tmp_path: Path) -> None:
    output = tmp_path / "out"
    job = FailsFirst(marker=str(tmp_path / "failed"))
    job.run([numbers], str(output), "local")
    assert [name for name in files_in(output) if "/" in name] == []


def test_which_files_a_task_may_leave() -> None:
    check_files(["part-r-00001"], "part-r-00001", "")
    check_files(["part-r-00001", "a/part-r-00001", "b/part-r-00001"], *["part-r-00001"] * 2)
    check_files(["a/part-m-00001"], "", "part-m-00001")
    check_files([f"{n}/x" for n in range(32)], "", "x")
    for wrong in ("a/part-r-00001", "../part-m-00001", "a/b/part-m-00001", "/part-m-00001", ""):
        with pytest.raises(BadArgument, match="not a part of this task"):
            check_file(wrong, "", "part-m-00001")
    for names, part, side in (
        (["a/x"], "part-r-00000", "x"),
        (["a/x", "a/x"], "", "x"),
        (["a/x"], "", ""),
        ([f"{n}/x" for n in range(34)], "", "x"),
    ):
        with pytest.raises(BadArgument):
            check_files(names, part, side)
