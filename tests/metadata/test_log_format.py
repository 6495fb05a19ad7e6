"""The bytes of the log, written down once and for all."""

from __future__ import annotations

from dfs.log_format import (
    FORMAT,
    HEADER_BYTES,
    Header,
    pack_header,
    pack_record,
    read_record,
    record_bytes,
    search_records,
    segment_name,
    segment_number,
    unpack_header,
)
from dfs.namenode.apply import MODULE
from dfs.namenode.command_codec import CommandCodec
from dfs.namenode.commands import Formatted, SessionStarted

HEADER = Header(FORMAT, segment=1, first_index=1, previous=0, cluster="c-3f2a9c")
GOLDEN_HEADER = bytes.fromhex(
    """
    6d 44 46 53 6c 6f 67 31  00 00 00 01 00 00 00 01
    00 00 00 00 00 00 00 01  00 00 00 00 00 00 00 00
    63 2d 33 66 32 61 39 63  00 00 00 00 00 00 00 00
    00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00
    00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00
    00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00
    16 bc a4 77 b7 54 a4 ff
    """
)
GOLDEN_RECORD = bytes.fromhex(
    """
    6d 44 46 52 00 00 00 17  00 00 00 00 00 00 00 01
    00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00
    91 94 a3 64 66 73 01 01  92 a4 61 6e 6e 61 cf 18
    79 ef ae c4 f5 06 00 00  36 8b a6 a0 e5 0a 43 0e
    """
)
GOLDEN_NEXT_RECORD = bytes.fromhex(
    """
    6d 44 46 52 00 00 00 17  00 00 00 00 00 00 00 02
    00 00 00 00 00 00 00 01  36 8b a6 a0 e5 0a 43 0e
    91 94 a3 64 66 73 02 01  92 a4 61 6e 6e 61 cf 18
    79 ef af 00 8f d0 00 00  0e b5 9c 22 b9 2d da 32
    """
)
FORMATTED = Formatted("anna", 1_763_704_263_000_000_000)
STARTED = SessionStarted("anna", 1_763_704_264_000_000_000)


def test_golden_header() -> None:
    assert pack_header(HEADER) == GOLDEN_HEADER
    assert unpack_header(GOLDEN_HEADER) == HEADER
    assert len(GOLDEN_HEADER) == HEADER_BYTES


def test_golden_records() -> None:
    codec = CommandCodec((MODULE,))
    first, checksum = pack_record(1, 0, 0, codec.encode([FORMATTED]))
    second, _ = pack_record(2, 1, checksum, codec.encode([STARTED]))
    assert (first, second) == (GOLDEN_RECORD, GOLDEN_NEXT_RECORD)
    record = read_record(GOLDEN_HEADER + GOLDEN_RECORD + GOLDEN_NEXT_RECORD, HEADER_BYTES + 64)
    assert record is not None
    assert (record.index, record.durable, record.previous) == (2, 1, checksum)
    assert record.end == HEADER_BYTES + 128
    assert codec.decode(record.payload, "here") == [STARTED]


def test_a_header_with_any_byte_changed_is_none_or_of_a_newer_format() -> None:
    for at in range(HEADER_BYTES):
        damaged = bytearray(GOLDEN_HEADER)
        damaged[at] ^= 0x10
        header = unpack_header(bytes(damaged))
        assert header is None or header.format > FORMAT, at


def test_a_record_with_any_byte_changed_is_none() -> None:
    for at in range(len(GOLDEN_RECORD)):
        damaged = bytearray(GOLDEN_RECORD)
        damaged[at] ^= 0x10
        assert read_record(bytes(damaged), 0) is None, at


def test_a_record_cut_short_anywhere_is_none() -> None:
    for length in range(len(GOLDEN_RECORD)):
        assert read_record(GOLDEN_RECORD[:length], 0) is None
        assert read_record(GOLDEN_RECORD[:length] + bytes(99), 0) is None


def test_records_are_aligned_whatever_their_payload() -> None:
    for length in range(20):
        data, _ = pack_record(1, 0, 0, bytes(length))
        assert len(data) == record_bytes(length)
        assert len(data) % 8 == 0
        found = read_record(data, 0)
        assert found is not None
        assert found.payload == bytes(length)


def test_search_finds_sound_records_behind_damage() -> None:
    one, first = pack_record(1, 0, 0, b"one")
    two, second = pack_record(2, 0, first, b"mDFR and mDFRmDFR")
    three, _ = pack_record(3, 1, second, b"three")
    damaged = b"\xff" + one[1:] + two[:20] + b"?" + two[21:] + three
    assert [r.index for r in search_records(damaged, 0)] == [3]
    assert [r.index for r in search_records(one + two + three, 8)] == [2, 3]
    assert list(search_records(b"mDFR" * 10, 0)) == []


def test_segments_are_numbered_and_other_files_are_none() -> None:
    assert segment_number(segment_name(12)) == 12
    assert segment_name(12) == "00000012.log"
    assert [segment_number(n) for n in ("x.log", "00000001.log~", "1.log", "README")] == [None] * 4
