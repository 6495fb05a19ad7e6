"""Jobs that name their inputs, each with its mapper and format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest

import mapreduce as mr
from dfs.errors import BadArgument
from mapreduce.loader import load_job
from tests.mapreduce.test_job_files import clean_imports, job_file

__all__ = ["clean_imports"]

Pairs = Iterator[tuple[Any, Any]]


class Both(mr.Job):
    """Two inputs of different formats; one mapper is a function, one a name."""

    partitions = 2
    sort_values = True
    mark: str = mr.param("!")

    def left(self, key: tuple[str, int], line: str) -> Pairs:
        yield line[0], f"left {line}{self.mark}"

    def right(self, key: str, value: str) -> Pairs:
        yield key, f"right {value}{self.mark}"

    inputs = (
        mr.Input("left-*.txt", mapper=left),
        mr.Input("right.tsv", mapper="right", format=mr.KeyValue),
    )

    def reducer(self, key: str, values: Iterator[str]) -> Pairs:
        yield key, list(values)


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with the inputs that ``Both`` names."""
    contents = {"left-1.txt": "ab\nbc\n", "left-2.txt": "ax", "right.tsv": "a\t1\nc\t2\n"}
    for name, text in contents.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


JOINED = [
    ("a", ["left ab!", "left ax!", "right 1!"]),
    ("b", ["left bc!"]),
    ("c", ["right 2!"]),
]


@pytest.mark.parametrize("runner", ["inline", "local"])
@pytest.mark.parametrize("split_bytes", [1, 1000])
def test_each_input_has_its_mapper_and_format(tables: Path, runner: str, split_bytes: int) -> None:
    found = Both().run(runner=runner, settings={"split_bytes": split_bytes})
    assert sorted(found) == JOINED


def test_what_is_given_stands_in_the_place_of_the_paths(tables: Path) -> None:
    (tables / "left-1.txt").rename(tables / "renamed")
    given = ["renamed", "right.tsv"]
    found = sorted(Both().run(given, runner="inline"))
    assert found == [("a", ["left ab!", "right 1!"]), *JOINED[1:]]
    refused = r"the job names 2 inputs \(left-\*\.txt, right\.tsv\): give none, or 2 to read"
    for wrong in (["renamed"], ["renamed", "right.tsv", "left-2.txt"]):
        with pytest.raises(BadArgument, match=refused):
            Both().run(wrong, runner="inline")


def test_a_job_without_any_input_is_refused() -> None:
    class OneMapper(mr.Job):
        def mapper(self, key: Any, line: str) -> Pairs:
            yield line, 1

    for runner in ("inline", "local"):
        with pytest.raises(BadArgument, match="the job has no input: give files"):
            OneMapper().run(runner=runner)


def test_run_inline_takes_the_lines_of_each_input() -> None:
    found = Both(mark="?").run_inline(["ab", "b"], ["a\t1"])
    assert sorted(found) == [("a", ["left ab?", "right 1?"]), ("b", ["left b?"])]
    with pytest.raises(BadArgument, match="lines for each of the 2 inputs"):
        Both().run_inline(["ab"])


class Chained(mr.Job):
    """The first step's mapper is that of the input which names none."""

    def steps(self) -> list[mr.Step]:
        return [
            mr.Step(mapper=self.plain, reducer=self.joined),
            mr.Step(reducer=self.joined, partitions=1),
        ]

    def plain(self, key: Any, line: str) -> Pairs:
        yield line, "plain"

    def shouted(self, key: Any, line: str) -> Pairs:
        yield line, "SHOUTED"

    inputs = (mr.Input("one"), mr.Input("two", mapper=shouted))

    def joined(self, key: str, values: Iterator[str]) -> Pairs:
        yield key, " ".join(values)


def test_inputs_belong_to_the_first_step_of_a_chain() -> None:
    assert Chained().run_inline(["a", "b"], ["b"]) == [("a", "plain"), ("b", "plain SHOUTED")]


class Sampled(Both):
    """A total order over keys of several inputs."""

    partition = mr.TotalOrder()


def test_a_sample_comes_from_all_inputs(tables: Path) -> None:
    assert list(Sampled().run(runner="inline")) == JOINED


class Raw(mr.Job):
    """One input in pieces, one whole."""

    def mapper_raw(self, path: str, file: BinaryIO) -> Pairs:
        yield len(file.read()), "raw"

    def lines(self, key: Any, line: str) -> Pairs:
        yield len(line), "line"

    inputs = (mr.Input("whole"), mr.Input("lines", mapper=lines))


def test_an_input_may_leave_its_files_to_mapper_raw() -> None:
    assert Raw().run_inline(["abc", "d"], ["abc", "d"]) == [(6, "raw"), (3, "line"), (1, "line")]


def test_inputs_of_a_file_of_plain_functions(tmp_path: Path) -> None:
    text = """
import mapreduce as mr

def words(key, line):
    yield line, 1

inputs = [mr.Input("a", mapper=words), mr.Input("b", mapper=lambda key, line: [(line, 2)])]
"""
    job = load_job(job_file(tmp_path, text))()
    assert job.run_inline(["x"], ["y"]) == [("x", 1), ("y", 2)]


CLASS = "import mapreduce as mr\nclass A(mr.Job):\n    def mapper(self, key, line): pass\n"
BARE = "import mapreduce as mr\nclass A(mr.Job):\n    def other(self, key, line): pass\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (CLASS + "    inputs = 'a'\n", "inputs is 'a': a list of mr.Input is needed"),
        (CLASS + "    inputs = ['a']\n", r"inputs is \['a'\]: a list of mr.Input is needed"),
        (CLASS + "    inputs = [mr.Input('')]\n", "input 1: its path is ''"),
        (CLASS + "    inputs = [mr.Input(3)]\n", "input 1: its path is 3"),
        (CLASS + "    inputs = [mr.Input('a', mapper=3)]\n", "input 1: its mapper is 3"),
        (CLASS + "    inputs = [mr.Input('a', mapper='x')]\n", "input 1: its mapper is 'x'"),
        (CLASS + "    inputs = [mr.Input('a'), mr.Input('b', format=3)]\n", "input 2: its format"),
        (CLASS + "    inputs = [mr.Input('a', format=mr.FixedLength)]\n", "lacks its arguments"),
        (CLASS + "    inputs = [mr.Input('a')] * 101\n", "101 inputs: at most 100"),
        (BARE + "    inputs = [mr.Input('a', mapper=other), mr.Input('b')]\n", "has no mapper"),
        (BARE + "    inputs = []\n", "has no mapper"),
        ("import mapreduce as mr\ninputs = [mr.Input('a')]\n", "has no mapper"),
    ],
)  # fmt: skip
def test_what_cannot_be_an_input_is_said_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(BadArgument, match=words) as caught:
        load_job(job_file(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_format_for_what_mapper_raw_reads_is_refused() -> None:
    class Wrong(Raw):
        inputs = (mr.Input("whole", format=mr.KeyValue),)

    with pytest.raises(BadArgument, match="mapper_raw reads the file itself"):
        Wrong().run_inline(["a"])
