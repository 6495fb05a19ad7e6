"""The footer of a run file: where each partition lies. Needs no columns, so a worker can read it.

    footer = entry*
    entry  = offset:u64 bytes:u64 records:u64 check:u64
    tail   = map:u32 partitions:u32 check:u64 "MRUNEND2"

Little endian. Entries have one size, so whoever serves one partition reads the tail and one entry,
and keeps nothing: what a worker needs to serve runs does not grow with runs or partitions. The
check of an entry is xxh3-64, seeded with map and partition; that of the tail covers its first
eight bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple

from xxhash import xxh3_64_intdigest

from mapreduce.errors import RunCorrupt

RUN_VERSION = 2
END_MAGIC = b"MRUNEND2"
TAIL = struct.Struct("<IIQ8s")
_TAIL_HEAD = struct.Struct("<II")
_ENTRY = struct.Struct("<QQQQ")
_ENTRY_HEAD = struct.Struct("<QQQ")


class PartitionEntry(NamedTuple):
    """One partition of a run: the byte range to fetch and how many records are in it."""

    offset: int
    size_bytes: int
    records: int


class RunIndex(NamedTuple):
    """All partitions of a run."""

    map_index: int
    partitions: tuple[PartitionEntry, ...]

    @property
    def records(self) -> tuple[int, ...]:
        """Records by partition."""
        return tuple(entry.records for entry in self.partitions)

    @property
    def size_bytes(self) -> int:
        """Size of all partitions together."""
        return sum(entry.size_bytes for entry in self.partitions)


def encode_index(map_index: int, partitions: Sequence[PartitionEntry]) -> bytes:
    """Footer and tail."""
    entries = [_encode_entry(map_index, n, entry) for n, entry in enumerate(partitions)]
    head = _TAIL_HEAD.pack(map_index, len(entries))
    return b"".join(entries) + TAIL.pack(
        map_index, len(entries), xxh3_64_intdigest(head), END_MAGIC
    )


def read_index(file: BinaryIO) -> RunIndex:
    """The index of a run file that can seek; raises RunCorrupt."""
    map_index, partitions, footer_at = _read_tail(file)
    file.seek(footer_at)
    footer = file.read(partitions * _ENTRY.size)
    entries = (
        _decode_entry(map_index, number, footer[at : at + _ENTRY.size])
        for number, at in enumerate(range(0, len(footer), _ENTRY.size))
    )
    return RunIndex(map_index, tuple(entries))


def read_entry(file: BinaryIO, partition: int) -> PartitionEntry:
    """One partition of a run file that can seek; raises RunCorrupt."""
    map_index, partitions, footer_at = _read_tail(file)
    if not 0 <= partition < partitions:
        raise RunCorrupt(f"the run of map {map_index} has no partition {partition}", map_index)
    file.seek(footer_at + partition * _ENTRY.size)
    return _decode_entry(map_index, partition, file.read(_ENTRY.size))


def segments_bytes(file: BinaryIO) -> int:
    """What all segments of a run file that can seek have together; raises RunCorrupt."""
    return _read_tail(file)[2]


def _read_tail(file: BinaryIO) -> tuple[int, int, int]:
    """The map, how many partitions there are, and where their entries begin."""
    size = file.seek(0, 2)
    if size < TAIL.size:
        raise RunCorrupt(f"a run file of {size} bytes has no footer")
    file.seek(size - TAIL.size)
    tail = file.read(TAIL.size)
    map_index, partitions, check, magic = TAIL.unpack(tail)
    if magic != END_MAGIC:
        raise RunCorrupt("the run file is cut short, or of another version: it has no footer")
    footer_at = size - TAIL.size - partitions * _ENTRY.size
    if xxh3_64_intdigest(tail[: _TAIL_HEAD.size]) != check or footer_at < 0:
        raise RunCorrupt("the end of the run file is damaged")
    return map_index, partitions, footer_at


def _encode_entry(map_index: int, partition: int, entry: PartitionEntry) -> bytes:
    head = _ENTRY_HEAD.pack(*entry)
    return head + struct.pack("<Q", xxh3_64_intdigest(head, _seed(map_index, partition)))


def _decode_entry(map_index: int, partition: int, data: bytes) -> PartitionEntry:
    offset, size_bytes, records, check = _ENTRY.unpack(data)
    head = data[: _ENTRY_HEAD.size]
    if xxh3_64_intdigest(head, _seed(map_index, partition)) != check:
        raise RunCorrupt(f"the footer of the run file is damaged: partition {partition}", map_index)
    return PartitionEntry(offset, size_bytes, records)


def _seed(map_index: int, partition: int) -> int:
    return map_index << 32 | partition
