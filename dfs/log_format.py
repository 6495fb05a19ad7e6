"""Bytes of the log: segments, records and the commands in them.

::

    log      = segment 1, segment 2, …           log/00000001.log, …
    segment  = header record* zero*
    header   = magic "mDFSlog1" | format u32 | segment u32 | first index u64
               | previous u64 | cluster 64 bytes, zero-padded | xxh3-64 of all this
    record   = magic "mDFR" | length u32 | index u64 | durable u64 | previous u64
               | payload of ``length`` bytes | zeros up to a multiple of 8 | xxh3-64 of all this
    payload  = msgpack [[module, tag, version, fields], …]

Integers are big-endian. ``index`` rises by one from record to record. ``durable`` is the
highest index known to be synced when the record was written. ``previous`` is the
checksum of the record before, across segments (0 before the first): a chain, so that no
record can be missing, repeated or of another log. A header of zeros is that of a segment
prepared ahead and not begun; it fits into one sector, so it is written whole or not at
all.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import xxhash

from dfs.limits import LOG_RECORD_MAX_BYTES

FORMAT = 1
SEGMENT_MAGIC = b"mDFSlog1"
RECORD_MAGIC = b"mDFR"
CLUSTER_MAX_BYTES = 64

_HEADER = struct.Struct(f">8sIIQQ{CLUSTER_MAX_BYTES}s")
_RECORD = struct.Struct(">4sIQQQ")
_U64 = struct.Struct(">Q")
_NAME = re.compile(r"\d{8}\.log")
_ALIGNMENT = 8

HEADER_BYTES = _HEADER.size + _U64.size


class Header(NamedTuple):
    """The header of a segment. ``previous`` is the checksum of the record before its first."""

    format: int
    segment: int
    first_index: int
    previous: int
    cluster: str


@dataclass(frozen=True, slots=True)
class Record:
    """One record with a right checksum; ``end`` is the offset behind it in its segment."""

    index: int
    durable: int
    previous: int
    payload: bytes
    checksum: int
    end: int


def segment_name(number: int) -> str:
    """The file name of a segment."""
    return f"{number:08}.log"


def segment_number(name: str) -> int | None:
    """The number in a segment's file name; None for other files."""
    return int(name[:8]) if _NAME.fullmatch(name) else None


def pack_header(header: Header) -> bytes:
    """The bytes of a segment's header."""
    cluster = header.cluster.encode()
    assert len(cluster) <= CLUSTER_MAX_BYTES, f"cluster id of {len(cluster)} bytes"
    head = _HEADER.pack(SEGMENT_MAGIC, *header[:-1], cluster)
    return head + xxhash.xxh3_64_digest(head)


def unpack_header(data: bytes) -> Header | None:
    """The header at the start of a segment; None when it is none or damaged.

    A header of a newer format comes back with nothing but its format: the rest of it may
    have another shape.
    """
    if len(data) < HEADER_BYTES or not data.startswith(SEGMENT_MAGIC):
        return None
    _, version, segment, first_index, previous, cluster = _HEADER.unpack_from(data)
    if version > FORMAT:
        return Header(version, 0, 0, 0, "")
    if data[_HEADER.size : HEADER_BYTES] != xxhash.xxh3_64_digest(data[: _HEADER.size]):
        return None
    return Header(version, segment, first_index, previous, cluster.rstrip(b"\0").decode())


def record_bytes(payload_bytes: int) -> int:
    """How long a record with such a payload is."""
    return _RECORD.size + payload_bytes + _padding(payload_bytes) + _U64.size


def _padding(payload_bytes: int) -> int:
    return -payload_bytes % _ALIGNMENT


def pack_record(index: int, durable: int, previous: int, payload: bytes) -> tuple[bytes, int]:
    """The bytes of a record, and its checksum for the one behind it."""
    head = _RECORD.pack(RECORD_MAGIC, len(payload), index, durable, previous)
    body = b"".join((head, payload, bytes(_padding(len(payload)))))
    checksum = xxhash.xxh3_64_intdigest(body)
    return body + _U64.pack(checksum), checksum


def read_record(segment: bytes, offset: int) -> Record | None:
    """The record at an offset of a segment's bytes; None when there is no sound one."""
    if offset + _RECORD.size > len(segment):
        return None
    magic, length, index, durable, previous = _RECORD.unpack_from(segment, offset)
    if magic != RECORD_MAGIC or length > LOG_RECORD_MAX_BYTES:
        return None
    start = offset + _RECORD.size
    stop = start + length + _padding(length)
    if stop + _U64.size > len(segment):
        return None
    (checksum,) = _U64.unpack_from(segment, stop)
    if checksum != xxhash.xxh3_64_intdigest(memoryview(segment)[offset:stop]):
        return None
    payload = segment[start : start + length]
    return Record(index, durable, previous, payload, checksum, stop + _U64.size)


def search_records(segment: bytes, offset: int) -> Iterator[Record]:
    """Every sound record that begins at or behind an offset, whatever lies between them."""
    at = segment.find(RECORD_MAGIC, offset)
    while at >= 0:
        record = read_record(segment, at) if at % _ALIGNMENT == 0 else None
        if record is not None:
            yield record
        at = segment.find(RECORD_MAGIC, at + 1 if record is None else record.end)
