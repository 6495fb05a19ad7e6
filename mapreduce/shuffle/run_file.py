"""The run file: sorted records of one map (or one spill), partition after partition.

    run     = segment* footer tail
    segment = "MRSG" version:u16 type_bytes:u16 map:u32 partition:u32 records:u64
              row_bytes:u64 check:u64 key_type block*
    block   = payload_bytes:u32 records:u32 check:u64 payload

Little endian. A segment, the bytes that one reducer fetches, can be read alone: its head says
whose it is, how many records follow, and how large the largest is, so that who merges segments
knows what it needs for each. A payload is an Arrow IPC stream (lz4). Checks are
xxh3-64; that of a block is seeded with its map, partition and number, so a block in the wrong
place is found as surely as a damaged one. Footer and tail are those of `run_index`.
docs/formats.md has a worked example.

A reader trusts nothing: whatever does not fit raises RunCorrupt, and the map runs again.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

import msgspec
import polars as pl
from xxhash import xxh3_64_intdigest

from mapreduce.conservation import check_conserved
from mapreduce.errors import RunCorrupt
from mapreduce.shuffle.columns import row_bytes
from mapreduce.shuffle.keys import KeyType
from mapreduce.shuffle.run_index import RUN_VERSION, PartitionEntry, RunIndex, encode_index

SEGMENT_MAGIC = b"MRSG"
BLOCK_BYTES = 1 << 20
"""A block is cut when its rows reach this size; a larger single row is a block of its own."""
BLOCK_ROWS = 1 << 16
MAX_PAYLOAD_BYTES = (1 << 32) - 1

_SEGMENT = struct.Struct("<4sHHIIQQ")
_CHECK = struct.Struct("<Q")
_BLOCK = struct.Struct("<IIQ")


class SegmentHead(msgspec.Struct, frozen=True):
    """Whose records follow and how many."""

    map_index: int
    partition: int
    records: int
    row_bytes: int
    """Content of the largest record, as `columns.row_bytes` counts it."""
    key_type: KeyType

    @property
    def block_bytes(self) -> int:
        """What the content of a block has at most."""
        return min(self.records * self.row_bytes, BLOCK_BYTES + self.row_bytes)


class RunWriter:
    """Writes one run file; partitions are added in order, blocks of each in key order."""

    def __init__(self, file: BinaryIO, map_index: int, key_type: KeyType) -> None:
        self._file = file
        self._map_index = map_index
        self._key_type = key_type
        self._offset = 0
        self._entries: list[PartitionEntry] = []

    def add_partition(self, records: int, row_bytes: int, frames: Iterator[pl.DataFrame]) -> None:
        """The next partition: `records` records in sorted frames, the largest of `row_bytes`.
        Raises RecordsLost if the frames have another number of records."""
        partition = len(self._entries)
        start = self._offset
        head = SegmentHead(self._map_index, partition, records, row_bytes, self._key_type)
        self._write(encode_head(head))
        blocks = written = 0
        for frame in frames:
            for block in cut_blocks(frame):
                self._write_block(block, _block_seed(self._map_index, partition, blocks))
                blocks += 1
                written += block.height
        check_conserved(f"merging partition {partition}", records, written)
        self._entries.append(PartitionEntry(start, self._offset - start, records))

    def finish(self) -> RunIndex:
        """Write the footer and close the file."""
        self._write(encode_index(self._map_index, self._entries))
        self._file.close()
        return RunIndex(self._map_index, tuple(self._entries))

    def _write_block(self, block: pl.DataFrame, seed: int) -> None:
        buffer = io.BytesIO()
        block.write_ipc_stream(buffer, compression="lz4", compat_level=pl.CompatLevel.oldest())
        payload = buffer.getbuffer()
        if payload.nbytes > MAX_PAYLOAD_BYTES:
            raise OverflowError(f"a record of {payload.nbytes} bytes is too large for a run file")
        check = xxh3_64_intdigest(payload, seed)
        self._write(_BLOCK.pack(payload.nbytes, block.height, check))
        self._write(payload)

    def _write(self, data: bytes | memoryview) -> None:
        self._file.write(data)
        self._offset += len(data)


def _block_seed(map_index: int, partition: int, number: int) -> int:
    return (map_index << 40 ^ partition << 20 ^ number) & (1 << 64) - 1


def cut_blocks(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The frame in pieces of at most BLOCK_ROWS rows and, but for the last row, BLOCK_BYTES."""
    if not frame.height:
        return
    sizes = row_bytes(frame)
    if frame.height <= BLOCK_ROWS and sizes.sum() <= BLOCK_BYTES:
        yield frame
        return
    by_bytes = (sizes.cum_sum() - sizes) // BLOCK_BYTES
    by_rows = pl.int_range(frame.height, eager=True) // BLOCK_ROWS
    changes = (by_bytes != by_bytes.shift(1)) | (by_rows != by_rows.shift(1))
    starts = [0, *(row for row in changes.arg_true().to_list() if row)]
    for start, end in zip(starts, [*starts[1:], frame.height], strict=True):
        yield frame.slice(start, end - start)


def largest_row_bytes(frame: pl.DataFrame) -> int:
    """Content of the frame's largest record, 0 if it has none."""
    largest: Any = row_bytes(frame).max()
    return largest or 0


def encode_head(head: SegmentHead) -> bytes:
    """The bytes before a segment's first block."""
    key_type = json.dumps(head.key_type, separators=(",", ":")).encode()
    fixed = _SEGMENT.pack(
        SEGMENT_MAGIC,
        RUN_VERSION,
        len(key_type),
        head.map_index,
        head.partition,
        head.records,
        head.row_bytes,
    )
    return fixed + _CHECK.pack(xxh3_64_intdigest(fixed + key_type)) + key_type


def read_head(file: BinaryIO) -> SegmentHead:
    """Read a segment's head; raises RunCorrupt."""
    fixed = read_exactly(file, _SEGMENT.size)
    magic, version, type_bytes, map_index, partition, records, row_bytes = _SEGMENT.unpack(fixed)
    if magic != SEGMENT_MAGIC or version != RUN_VERSION:
        raise RunCorrupt(f"no run segment of version {RUN_VERSION}: it begins with {fixed[:6]!r}")
    (check,) = _CHECK.unpack(read_exactly(file, _CHECK.size))
    key_type = read_exactly(file, type_bytes)
    if xxh3_64_intdigest(fixed + key_type) != check:
        raise RunCorrupt("the head of a run segment is damaged")
    return SegmentHead(map_index, partition, records, row_bytes, _key_type(json.loads(key_type)))


def _key_type(data: Any) -> KeyType:
    return data if isinstance(data, str) else tuple(map(_key_type, data))


class SegmentReader:
    """Reads the blocks of one segment in order, verifying each. One that ``is_own`` was written by
    this task for itself: that it is damaged is the fault of no map."""

    def __init__(
        self, file: BinaryIO, map_index: int, partition: int, *, is_own: bool = False
    ) -> None:
        self._file = file
        self._culprit = -1 if is_own else map_index
        try:
            self.head = read_head(file)
        except RunCorrupt as error:
            raise RunCorrupt(error.message, self._culprit) from None
        if (self.head.map_index, self.head.partition) != (map_index, partition):
            raise RunCorrupt(
                f"a segment of map {self.head.map_index}, partition {self.head.partition} stands"
                f" where map {map_index}, partition {partition} was expected",
                self._culprit,
            )
        self.remaining = self.head.records
        self._number = 0

    def next_block(self) -> pl.DataFrame | None:
        """The next block, None after the last; raises RunCorrupt."""
        if not self.remaining:
            return None
        try:
            frame = self._read_block()
        except (RunCorrupt, pl.exceptions.PolarsError) as error:
            raise RunCorrupt(f"{self._place()}: {error}", self._culprit) from None
        self.remaining -= frame.height
        self._number += 1
        return frame

    def _read_block(self) -> pl.DataFrame:
        fixed = read_exactly(self._file, _BLOCK.size)
        payload_bytes, records, check = _BLOCK.unpack(fixed)
        payload = read_exactly(self._file, payload_bytes)
        seed = _block_seed(self.head.map_index, self.head.partition, self._number)
        if xxh3_64_intdigest(payload, seed) != check:
            raise RunCorrupt("the checksum does not match")
        frame = pl.read_ipc_stream(io.BytesIO(payload))
        if frame.height != records or not 0 < records <= self.remaining:
            raise RunCorrupt(
                f"{frame.height} records where {records} of {self.remaining} were announced"
            )
        return frame

    def _place(self) -> str:
        head = self.head
        return f"map {head.map_index}, partition {head.partition}, block {self._number}"

    def close(self) -> None:
        """Close the file under it."""
        self._file.close()


def read_exactly(file: BinaryIO, size: int) -> bytes:
    """`size` bytes; raises RunCorrupt if the file ends before."""
    data = file.read(size)
    if len(data) == size:
        return data
    parts = [data]
    missing = size - len(data)
    while data and missing:
        data = file.read(missing)
        parts.append(data)
        missing -= len(data)
    if missing:
        raise RunCorrupt(f"the file ends {missing} bytes too early")
    return b"".join(parts)
