"""Blocks of every kind of column, from golden run files: read by our reader, and byte by byte.

python -m tests.mapreduce.test_golden_blocks        writes the files anew: a new version
"""

from __future__ import annotations

import io
import struct
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from xxhash import xxh3_64_intdigest

from mapreduce.shuffle.columns import keys_of, row_bytes, to_frame, values_of
from mapreduce.shuffle.keys import KeyType
from mapreduce.shuffle.run_file import SegmentReader
from mapreduce.shuffle.run_index import read_index
from mapreduce.shuffle.spill import write_run
from tests.mapreduce.test_types_table import exact

GOLDEN = Path(__file__).parents[1] / "golden"
MAP = 7
NAN_WITH_BITS: float = struct.unpack(">d", bytes.fromhex("fff8000000000abc"))[0]

Lane = tuple[list[Any], list[Any], list[str]]
RUNS: dict[str, tuple[KeyType, list[Lane]]] = {
    "run-2.bin": (
        "int",
        [
            ([None, -1, 2**63 - 1], [None, True, False], ["k", "v"]),
            ([1, 1, 1], [-0.0, NAN_WITH_BITS, float("-inf")], ["k", "v"]),
            ([1, 2], ["a\tb\nc\0", None], ["k", "v"]),
            ([1], [b"\0\xff"], ["k", "v"]),
            ([1], [date(2026, 11, 21)], ["k", "v"]),
            ([1], [datetime(2026, 11, 21, 5, 32, 0, 7)], ["k", "v"]),
            ([1, 2], [("a", -0.0, None), ("b", 1.5, None)], ["k", "v0", "v1", "v2"]),
            ([-(2**80), 5], ["x\ud800", 2**64], ["kc", "vp"]),
            ([1, 1], [[1, {"a": ()}], Decimal("1.10")], ["k", "vp"]),
        ],
    ),
    "run-3.bin": (
        ("str", ("float", "bytes")),
        [
            ([("a", (1.5, b"x")), ("b", (float("inf"), None))], [1, 2], ["kc", "v"]),
        ],
    ),
    "run-4.bin": (
        ("str", "int"),
        [([("a", 1), ("a", None), (None, 2)][::-1], [1, 2, 3], ["k0", "k1", "v"])],
    ),
}


def cut(name: str) -> list[bytes]:
    """The segments of a golden run."""
    data = (GOLDEN / name).read_bytes()
    entries = read_index(io.BytesIO(data)).partitions
    return [data[entry.offset : entry.offset + entry.size_bytes] for entry in entries]


@pytest.mark.parametrize("name", RUNS)
def test_records_of_a_golden_run(name: str) -> None:
    key_type, lanes = RUNS[name]
    segments = cut(name)
    assert len(segments) == len(lanes)
    for partition, (keys, values, columns) in enumerate(lanes):
        reader = SegmentReader(io.BytesIO(segments[partition]), MAP, partition)
        assert reader.head.key_type == key_type
        block = reader.next_block()
        assert block is not None
        assert block.columns == columns
        assert exact(keys_of(block)) == exact(keys)
        assert exact(values_of(block)) == exact(values)
        assert reader.next_block() is None


@pytest.mark.parametrize("name", RUNS)
def test_the_bytes_are_those_of_the_page(name: str) -> None:
    """Taken apart as docs/formats.md says, without our reader."""
    for partition, segment in enumerate(cut(name)):
        magic, version, type_bytes, index, number, records, largest, check = struct.unpack_from(
            "<4sHHIIQQQ", segment
        )
        assert (magic, version, index, number) == (b"MRSG", 2, MAP, partition)
        assert records == len(RUNS[name][1][partition][0])
        at = 40 + type_bytes
        assert xxh3_64_intdigest(segment[:32] + segment[40:at]) == check
        size, rows, check = struct.unpack_from("<IIQ", segment, at)
        payload = segment[at + 16 :]
        assert (len(payload), rows) == (size, records)
        assert xxh3_64_intdigest(payload, MAP << 40 ^ partition << 20 ^ 0) == check
        block = pl.read_ipc_stream(io.BytesIO(payload))
        assert block.columns == RUNS[name][1][partition][2]
        assert row_bytes(block).max() == largest


@pytest.mark.parametrize("name", RUNS)
def test_the_end_is_that_of_the_page(name: str) -> None:
    data = (GOLDEN / name).read_bytes()
    partitions = len(RUNS[name][1])
    entries, tail = data[-24 - 32 * partitions : -24], data[-24:]
    assert struct.unpack("<IIQ8s", tail) == (
        MAP,
        partitions,
        xxh3_64_intdigest(tail[:8]),
        b"MRUNEND2",
    )
    at = 0
    for partition, (keys, _, _) in enumerate(RUNS[name][1]):
        entry = entries[32 * partition : 32 * partition + 32]
        offset, size_bytes, records, check = struct.unpack("<QQQQ", entry)
        assert (offset, records) == (at, len(keys))
        assert check == xxh3_64_intdigest(entry[:24], MAP << 32 | partition)
        at += size_bytes
    assert at == len(data) - 24 - len(entries)


@pytest.mark.parametrize("name", RUNS)
def test_what_is_written_today_reads_alike(name: str) -> None:
    for keys, values, columns in RUNS[name][1]:
        frame = to_frame(keys, values)
        assert frame.columns == columns
        assert exact(keys_of(frame)) == exact(keys)
        assert exact(values_of(frame)) == exact(values)


def write() -> None:
    """Write the golden files."""
    for name, (key_type, lanes) in RUNS.items():
        frames = [to_frame(keys, values) for keys, values, _ in lanes]
        with (GOLDEN / name).open("wb") as file:
            write_run(file, MAP, key_type, frames)


if __name__ == "__main__":
    write()
