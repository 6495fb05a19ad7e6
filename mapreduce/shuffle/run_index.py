"""The footer of a run file: where each partition lies. Needs no columns, so a worker can read it.

footer = msgpack [version, map, [[offset, bytes, records, [check, …]], …]]
tail   = footer_bytes:u64 check:u64 "MRUNEND1"
"""

from __future__ import annotations

import struct
from typing import BinaryIO

import msgspec
from xxhash import xxh3_64_intdigest

from mapreduce.errors import RunCorrupt

RUN_VERSION = 1
END_MAGIC = b"MRUNEND1"
TAIL = struct.Struct("<QQ8s")
MAX_FOOTER_BYTES = 64 << 20


class PartitionEntry(msgspec.Struct, frozen=True, array_like=True):
    """One partition of a run: the byte range to fetch and what it holds."""

    offset: int
    size_bytes: int
    records: int
    checks: tuple[int, ...]
    """xxh3-64 of each block."""


class RunIndex(msgspec.Struct, frozen=True, array_like=True):
    """All partitions of a run."""

    version: int
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


def encode_index(index: RunIndex) -> bytes:
    """Footer and tail."""
    footer = msgspec.msgpack.encode(index)
    return footer + TAIL.pack(len(footer), xxh3_64_intdigest(footer), END_MAGIC)


def read_index(file: BinaryIO) -> RunIndex:
    """The index of a run file that can seek; raises RunCorrupt."""
    size = file.seek(0, 2)
    if size < TAIL.size:
        raise RunCorrupt(f"a run file of {size} bytes has no footer")
    file.seek(size - TAIL.size)
    footer_bytes, check, magic = TAIL.unpack(file.read(TAIL.size))
    if magic != END_MAGIC or footer_bytes > min(size - TAIL.size, MAX_FOOTER_BYTES):
        raise RunCorrupt("the run file is cut short: it has no footer")
    file.seek(size - TAIL.size - footer_bytes)
    footer = file.read(footer_bytes)
    if xxh3_64_intdigest(footer) != check:
        raise RunCorrupt("the footer of the run file is damaged")
    index = msgspec.msgpack.decode(footer, type=RunIndex)
    if index.version != RUN_VERSION:
        raise RunCorrupt(f"the run file has version {index.version}, this is {RUN_VERSION}")
    return index
