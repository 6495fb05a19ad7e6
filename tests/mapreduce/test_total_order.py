"""TotalOrder: parts in the order of the keys, with cut points that do not depend on the runner."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mapreduce as mr
from dfs.errors import BadArgument
from mapreduce.job import FileSplit, Settings
from mapreduce.job_class import spec_of
from mapreduce.limits import CUTS_MAX_BYTES, SAMPLE_PIECE_BYTES, SAMPLE_PIECE_KEYS, SAMPLE_PIECES
from mapreduce.loader import load_from_bundle
from mapreduce.runners.sampling import needs_cuts, pieces, with_cuts
from mapreduce.shuffle.keys import encode
from mapreduce.total_order import TotalOrder, cut_points
from tests.mapreduce.memory_env import cut


class Sort(mr.Job):
    """The lines of the input, sorted."""

    partitions = 4
    partition = mr.TotalOrder()
    output_format = mr.Text

    def mapper(self, key: Any, line: str) -> Iterator[tuple[str, str]]:
        self.count("mapped")
        yield line, line

    def reducer(self, key: str, lines: Iterator[str]) -> Iterator[tuple[None, str]]:
        for line in lines:
            yield None, line


@given(st.lists(st.integers(0, 30) | st.text("ab", max_size=3)), st.integers(1, 9))
def test_cuts_rise_and_divide(keys: list[Any], partitions: int) -> None:
    sample = list(map(encode, keys))
    cuts = cut_points(sample, partitions)
    assert len(cuts) < partitions
    assert list(cuts) == sorted(set(cuts))
    order = TotalOrder(cuts)
    found = [(order(key, partitions), encode(key)) for key in keys]
    assert [name for _, name in sorted(found)] == sorted(sample)
    used = {part for part, _ in found}
    assert used == set(range(len(cuts) + 1 if keys else 0)), "no partition between is empty"
    if len(set(sample)) == len(sample) >= partitions:
        sizes = [sum(part == n for part, _ in found) for n in range(partitions)]
        assert max(sizes) - min(sizes) <= 2


def test_cuts_are_short_and_bounded() -> None:
    keys = [b"\x30" + b"x" * 10_000 + bytes([n]) for n in range(100)]
    assert cut_points([b"\x30a" + b"y" * 500, b"\x30b" + b"y" * 500], 2) == (b"\x30b",)
    assert sum(map(len, cut_points(keys, 4))) <= CUTS_MAX_BYTES
    with pytest.raises(BadArgument, match="cut points of 50 partitions take more than 64K"):
        cut_points(keys, 50)


def test_one_heavy_key_takes_one_partition() -> None:
    sample = [encode(5)] * 1_000 + [encode(n) for n in range(10)]
    cuts = cut_points(sample, 4)
    order = TotalOrder(cuts)
    assert len({order(n, 4) for n in range(10) if n != 5}) >= 2
    assert order(4, 4) <= order(5, 4) <= order(6, 4)


@pytest.mark.parametrize("sizes", [[], [0], [5], [0, 3, 0, 9], [10**9], [7 << 20] * 30, [1] * 500])
def test_pieces_lie_evenly_in_all_splits(sizes: list[int]) -> None:
    splits = [FileSplit(f"f{n}", 100, size, 100 + size) for n, size in enumerate(sizes)]
    found = list(pieces(splits, [False]))
    assert len(found) <= SAMPLE_PIECES
    assert bool(found) == (sum(sizes) > 0)
    for number, piece in found:
        assert piece.path == splits[number].path
        assert splits[number].start <= piece.start < piece.end <= splits[number].end
        assert piece.length <= SAMPLE_PIECE_BYTES
    if sum(sizes) > SAMPLE_PIECES * SAMPLE_PIECE_BYTES:
        assert len(found) == SAMPLE_PIECES
    numbers = [number for number, _ in found]
    whole = list(pieces(splits, [True]))
    assert [split for _, split in whole] == [splits[number] for number in sorted(set(numbers))]


@pytest.mark.parametrize("split_bytes", [1_000, 7_777, 1 << 20])
def test_the_parts_together_are_sorted(tmp_path: Path, split_bytes: int) -> None:
    rng = random.Random(f"{split_bytes}")
    lines = [f"{rng.randrange(10**6):06d} {n}" for n in range(3_000)]
    (tmp_path / "in").write_text("\n".join(lines) + "\n", "utf-8")
    output = tmp_path / "out"
    settings = {"split_bytes": split_bytes, "spill_bytes": 20_000}
    result = Sort().run([str(tmp_path / "in")], str(output), "inline", settings)
    parts = [path.read_text("utf-8").splitlines() for path in sorted(output.glob("part-*"))]
    assert [line for part in parts for line in part] == sorted(lines)
    assert min(map(len, parts)) > 300, "the sample divides the keys well"
    assert result.counters["user"] == {"mapped": 3_000}, "what the sample counts is forgotten"


def test_groups_are_in_order_as_a_whole() -> None:
    class Grouped(mr.Job):
        partitions = 3
        partition = mr.TotalOrder

        def mapper(self, key: Any, line: str) -> Iterator[tuple[tuple[str, int], int]]:
            for n in (2, 1, 3):
                yield (line, n), n

        def group_key(self, key: tuple[str, int]) -> str:
            return key[0]

        def reducer(self, key: Any, values: Iterator[int]) -> Iterator[tuple[Any, list[int]]]:
            yield key, list(values)

    found = Grouped().run_inline(["d", "b", "a", "c", "b"])
    assert found == [
        (("a", 1), [1, 2, 3]),
        (("b", 1), [1, 1, 2, 2, 3, 3]),
        (("c", 1), [1, 2, 3]),
        (("d", 1), [1, 2, 3]),
    ]


def test_an_empty_input_is_sorted_too(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"")
    assert list(Sort().run([str(tmp_path / "in")], None, "inline")) == []


def test_a_mapper_of_whole_files_or_of_the_end_is_sampled(tmp_path: Path) -> None:
    class Raw(Sort):
        mapper = None  # type: ignore[assignment]

        def mapper_raw(self, path: str, file: BinaryIO) -> Iterator[tuple[str, str]]:
            self.last = ""
            for line in file:
                self.last = line.decode().strip()
                yield self.last, self.last

        def mapper_final(self) -> Iterator[tuple[str, str]]:
            yield "~", self.last

    for name in "abc":
        lines = [f"{n * 7919 % 1000}{name}" for n in range(1_000)]
        (tmp_path / name).write_text("\n".join(lines), "utf-8")
    values = [value for _, value in Raw().run([str(tmp_path)], None, "inline")]
    assert values[:-3] == sorted(values[:-3])
    assert sorted(values[-3:]) == ["81a", "81b", "81c"]


def test_a_sample_ends_with_enough_keys() -> None:
    class Endless(Sort):
        def mapper(self, key: Any, line: str) -> Iterator[tuple[str, str]]:
            n = 0
            while True:
                yield f"{n}", ""
                n += 1

    text = b"x\n" * 10
    job, splits, opened = Endless(), cut(text, 1), []

    def open_at(number: int, offset: int) -> BinaryIO:
        from io import BytesIO

        file = BytesIO(text[offset:])
        opened.append(file)
        return file

    spec = with_cuts(spec_of(job, "", "", Settings(), True), job, splits, open_at)
    assert len(spec.cuts) == 3
    assert all(file.closed for file in opened)
    assert len(opened) * SAMPLE_PIECE_KEYS < 10**6


def test_faults_of_the_sample_are_those_of_the_job() -> None:
    def mixed(self: Any, key: Any) -> Any:
        return [key]

    for words, body in {
        "ValueError: invalid literal": {"mapper": lambda self, key, line: [(int(line), 1)]},
        "a key of type list": {"group_key": mixed},
        "a key of type set": {"mapper": lambda self, key, line: [({1}, 1)]},
    }.items():
        with pytest.raises(mr.JobFailed, match=words):
            type("Bad", (Sort,), body)().run_inline(["x"])


def test_one_partition_needs_no_sample() -> None:
    job = Sort()
    assert needs_cuts(spec_of(job, "", "", Settings(), True), job)
    job.partitions = 1
    assert not needs_cuts(spec_of(job, "", "", Settings(), True), job)


def test_where_nothing_is_sampled_it_is_refused() -> None:
    class Later(mr.Job):
        def steps(self) -> list[mr.Step]:
            return [
                mr.Step(mapper=lambda key, line: [(line, 1)]),
                mr.Step(reducer=lambda key, values: [], partition=mr.TotalOrder()),
            ]

    with pytest.raises(BadArgument, match="step 2: TotalOrder samples input files"):
        Later().run_inline(["x"])
    with pytest.raises(BadArgument, match="partition needs a reducer"):
        type("NoReducer", (Sort,), {"reducer": None})().run_inline(["x"])


def test_cuts_travel_with_the_job(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(
        "import mapreduce as mr\npartition = mr.TotalOrder()\n"
        "def mapper(key, line): yield line, 1\n"
        "def reducer(key, values): yield key, sum(values)\n",
        "utf-8",
    )
    spec = spec_of(Sort(), "", "job.py", Settings(), True)
    spec = type(spec)(spec.name, "", "job.py", "", {}, spec.steps, cuts=(encode("b"),))
    job = load_from_bundle(tmp_path, spec)
    ask = job.bound_steps()[0].partition
    assert ask is not None
    assert [ask(key, 2) for key in ("a", "b", "c")] == [0, 1, 1]
