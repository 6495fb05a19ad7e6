"""KeyValue, WholeFile and FixedLength: every cut of a file gives the same records."""

from __future__ import annotations

import ast
import io
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mapreduce as mr
from dfs.errors import BadArgument
from mapreduce.errors import UserCodeError
from mapreduce.formats import BadRecordError, InputFormat, OutputFormat, RecordError, made
from mapreduce.job import FileSplit, MapTask
from mapreduce.splits import InputFile, plan_splits
from mapreduce.task.map_task import run_map
from tests.mapreduce.memory_env import MemoryEnv, MemoryRun, cut

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "formats.json").read_text("utf-8"))
FORMATS: dict[str, Any] = {
    "TextLines": mr.TextLines,
    "KeyValue": mr.KeyValue,
    "WholeFile": mr.WholeFile,
    "WholeFile(binary=True)": mr.WholeFile(binary=True),
    "FixedLength(3)": mr.FixedLength(3),
    "TSV": mr.TSV,
    "Text": mr.Text,
    "JSONLines": mr.JSONLines,
}


class Trickle(io.BytesIO):
    """Gives a few bytes at a time, as a socket may."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(2 if size is None or size < 0 or size > 2 else size)


def read(
    form: InputFormat, data: bytes, split_bytes: int, kind: type[io.BytesIO] = io.BytesIO
) -> tuple[list[tuple[Any, Any]], Counter[str]]:
    """All records of all splits, and what was counted."""
    counted: Counter[str] = Counter()
    found: list[tuple[Any, Any]] = []
    for split in plan_splits(
        [InputFile("f", len(data))], split_bytes, whole_files=form.whole_files
    ):
        file = kind(data)
        file.seek(form.position(split))
        for batch in form.read(file, split, lambda name, n: counted.update({name: n})):
            assert len(batch.keys) == len(batch.values) == len(batch.offsets)
            assert all(split.start <= at < max(split.end, 1) for at in batch.offsets)
            found += zip(batch.keys, batch.values, strict=True)
    return found, counted


@pytest.mark.parametrize("kind", [io.BytesIO, Trickle])
@pytest.mark.parametrize("row", GOLDEN["inputs"], ids=lambda row: row["format"])
def test_golden_inputs_in_every_cut(row: dict[str, Any], kind: type[io.BytesIO]) -> None:
    data = bytes.fromhex(row["input"])
    wanted = list(map(ast.literal_eval, row["records"]))
    for split_bytes in range(1, len(data) + 2):
        found, counted = read(made(FORMATS[row["format"]]), data, split_bytes, kind)
        assert found == wanted
        assert counted["invalid_utf8"] == row["invalid_utf8"]


@pytest.mark.parametrize("row", GOLDEN["outputs"], ids=lambda row: row["format"])
def test_golden_outputs(row: dict[str, Any]) -> None:
    form: OutputFormat = made(FORMATS[row["format"]])
    keys, values = zip(*map(ast.literal_eval, row["records"]), strict=True)
    assert form.encode(keys, values) == bytes.fromhex(row["output"])


@given(st.lists(st.sampled_from([b"\n", b"\r", b"\t", b"a", b"\xff"])).map(b"".join))
def test_key_values_are_the_halves_of_lines(data: bytes) -> None:
    lines, _ = read(mr.TextLines(), data, 2)
    for split_bytes in (1, 3, 1000):
        found, _ = read(mr.KeyValue(), data, split_bytes)
        assert ["\t".join(filter(lambda part: part is not None, pair)) for pair in found] == [
            line for _, line in lines
        ]
        assert all("\t" not in key for key, _ in found)


@given(st.binary(max_size=40), st.integers(1, 7), st.integers(1, 50))
def test_fixed_records_are_slices(data: bytes, size: int, split_bytes: int) -> None:
    whole = data[: len(data) - len(data) % size]
    found, _ = read(mr.FixedLength(size), whole, split_bytes, Trickle)
    assert found == [(("f", n), whole[n : n + size]) for n in range(0, len(whole), size)]
    if whole != data:
        with pytest.raises(BadRecordError, match="bytes where") as caught:
            read(mr.FixedLength(size), data, split_bytes)
        assert (caught.value.offset, caught.value.record) == (len(whole), data[len(whole) :])


def test_fixed_records_are_written_and_read() -> None:
    form = mr.FixedLength(4)
    data = form.encode([None, b"ab", b""], [b"1234", b"cd", b"5678"])
    assert list(form.decode(Trickle(data))) == [(None, b"1234"), (None, b"abcd"), (None, b"5678")]
    for key, value in [(b"ab", b"1"), (None, b"12"), ("ab", b"cd"), (None, "1234")]:
        with pytest.raises(RecordError, match=r"FixedLength\(4\) needs a value of 4 bytes"):
            form.encode([key], [value])


class Copies(mr.Job):
    """Fixed records in and out, sorted by their first two bytes."""

    input_format = mr.FixedLength(5)
    output_format = mr.FixedLength(5)

    def mapper(self, key: tuple[str, int], record: bytes) -> Iterator[tuple[bytes, bytes]]:
        yield record[:2], record[2:]

    def reducer(self, key: bytes, rests: Iterator[bytes]) -> Iterator[tuple[bytes, bytes]]:
        for rest in rests:
            yield key, rest


def test_fixed_records_through_a_job(tmp_path: Path) -> None:
    records = [b"%05d" % (n * 7919 % 100_000) for n in range(1_000)]
    (tmp_path / "in").write_bytes(b"".join(records))
    job = Copies()
    job.partitions = 1
    output = str(tmp_path / "out")
    job.run([str(tmp_path / "in")], output, "inline", {"split_bytes": 123})
    written = (tmp_path / "out" / "part-r-00000").read_bytes()
    assert written == b"".join(sorted(records, key=lambda record: record[:2]))


def test_a_short_record_fails_the_job_with_file_and_offset() -> None:
    with pytest.raises(UserCodeError) as caught:
        MemoryRun(Copies(), cut(b"12345abc", 2), {"in": b"12345abc"}, 1 << 20)
    assert str(caught.value) == (
        "mapreduce.formats.BadRecordError: 3 bytes where 5 make a record\n"
        "in the input, input in, byte offset 5, record b'abc'"
    )


class Bad(mr.Job):
    """Fails at a line, or at a file."""

    input_format = mr.KeyValue

    def mapper(self, key: str, value: Any) -> list[tuple[str, int]]:
        return [(key, int(value))]


def test_a_fault_names_file_offset_and_record() -> None:
    text = b"a\t1\nb\t2\nc\tx\nd\t4\n"
    for pieces in (1, 2, 3):
        with pytest.raises(UserCodeError) as caught:
            MemoryRun(Bad(), cut(text, pieces), {"in": text}, 1 << 20)
        failure = caught.value.failure
        assert (failure.path, failure.offset, failure.record) == ("in", 8, "'x'")


@pytest.mark.parametrize("form", [mr.TextLines, mr.KeyValue, mr.FixedLength(4)])
def test_progress_is_the_share_of_the_split(form: Any) -> None:
    class Reads(mr.Job):
        input_format = form

        def mapper(self, key: Any, value: Any) -> None:
            return None

    text = b"a\tb\n" * 10_000
    env = MemoryEnv({"in": text}, {})
    split = FileSplit("in", 20_000, 20_000, len(text))
    run_map(MapTask("j", 0, 0, 1, split, Reads().describe_steps()[0]), Reads(), env)
    shares = [share for _, share, _ in env.reports]
    assert shares == sorted(shares)
    assert len(shares) == 4
    assert shares[0] == pytest.approx(0.4, abs=0.01)
    assert shares[-1] == 1


def test_formats_without_their_arguments_are_refused() -> None:
    class NoSize(Copies):
        input_format = mr.FixedLength

    with pytest.raises(BadArgument, match=r"input_format lacks its arguments: .*record_bytes"):
        NoSize().run_inline(["x"])
    for size in (0, -1, 1.5, True, "5"):
        with pytest.raises(BadArgument, match="the bytes of a record, 1 or more"):
            mr.FixedLength(size)  # type: ignore[arg-type]
