"""The chunk file's bytes: golden values, every damaged byte, sizes and names."""

from __future__ import annotations

import struct

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from dfs.checksum import chunk_digest, slice_hashes
from dfs.datanode.chunkfile import (
    HEADER_BYTES,
    TRAILER_BYTES,
    Footer,
    Header,
    ReplicaKey,
    check_identity,
    decode_footer,
    decode_header,
    encode_footer,
    encode_header,
    file_bytes,
    folder_of,
    is_key,
    key_of,
    length_of,
    name_of,
)
from dfs.errors import Corrupt, NotSupported
from dfs.limits import SLICE_BYTES

KEY = ReplicaKey(0x1234, 2)
HEADER = Header("c-demo", KEY, inode=7, start=65536, path="/a/b.txt")
DATA = b"hello world\n"

GOLDEN_HEADER = (
    "6d44466368756e6b0001000600080000"  # magic, format, lengths of cluster and path
    "00000000000012340000000000000002"  # chunk, generation
    "00000000000000070000000000010000"  # inode, start
    "632d64656d6f2f612f622e747874"  # c-demo/a/b.txt
)
GOLDEN_HEADER_CHECKSUM = "4895441abf97a265"
GOLDEN_FOOTER = (
    "d42f7ed4b73c6bde"  # xxh3-64 of the only slice
    "6d44466368656e640001000000010000"  # magic, format, reserved, slice size
    "00000000000012340000000000000002000000000000000c"  # chunk, generation, length
    "cf40cf8519a69dbce27b9a500401391e"  # digest
    "2c1f81fda9093a7f"  # xxh3-64 of the trailer before it
)


def footer_of(data: bytes) -> Footer:
    hashes = slice_hashes(data)
    return Footer(KEY, len(data), chunk_digest("c-demo", *KEY, len(data), hashes), hashes)


def test_golden_header() -> None:
    data = encode_header(HEADER)
    assert len(data) == HEADER_BYTES
    text = bytes.fromhex(GOLDEN_HEADER)
    assert data[: len(text)] == text
    assert not any(data[len(text) : -8])
    assert data[-8:].hex() == GOLDEN_HEADER_CHECKSUM
    assert decode_header(data) == HEADER


def test_golden_footer() -> None:
    data = encode_footer(footer_of(DATA))
    assert data.hex() == GOLDEN_FOOTER
    assert decode_footer(data) == footer_of(DATA)


def test_every_flipped_byte_of_the_header_is_found() -> None:
    good = encode_header(HEADER)
    for at in range(HEADER_BYTES):
        bad = bytearray(good)
        bad[at] ^= 0x40
        with pytest.raises((Corrupt, NotSupported)):
            decode_header(bytes(bad))


def test_every_flipped_byte_of_the_footer_is_found() -> None:
    good = encode_footer(footer_of(DATA))
    for at in range(len(good)):
        bad = bytearray(good)
        bad[at] ^= 0x40
        with pytest.raises((Corrupt, NotSupported)):
            check_identity("c-demo", KEY, HEADER, decode_footer(bytes(bad)))


def test_a_newer_format_is_refused_and_not_called_corrupt() -> None:
    data = bytearray(encode_header(HEADER))
    struct.pack_into(">H", data, 8, 2)
    struct.pack_into(">Q", data, HEADER_BYTES - 8, xxhash.xxh3_64_intdigest(bytes(data[:-8])))
    with pytest.raises(NotSupported, match="upgrade"):
        decode_header(bytes(data))


def test_short_input_is_corrupt() -> None:
    with pytest.raises(Corrupt):
        decode_header(encode_header(HEADER)[:-1])
    with pytest.raises(Corrupt):
        decode_footer(b"x" * (TRAILER_BYTES - 1))


@pytest.mark.parametrize(
    ("cluster", "key", "header_key"),
    [
        ("c-other", KEY, KEY),
        ("c-demo", ReplicaKey(0x1235, 2), KEY),
        ("c-demo", KEY, ReplicaKey(0x1234, 3)),
    ],
)
def test_the_file_of_another_replica_is_corrupt(
    cluster: str, key: ReplicaKey, header_key: ReplicaKey
) -> None:
    with pytest.raises(Corrupt, match="holds"):
        check_identity(cluster, key, HEADER._replace(key=header_key), footer_of(DATA))


def test_hashes_that_do_not_give_the_digest_are_corrupt() -> None:
    footer = footer_of(DATA)._replace(hashes=bytes(8))
    with pytest.raises(Corrupt, match="digest"):
        check_identity("c-demo", KEY, HEADER, footer)


def test_a_long_path_keeps_its_end() -> None:
    header = HEADER._replace(path="/" + "é" * 3000 + "/end.txt")
    kept = decode_header(encode_header(header)).path
    assert kept.endswith("é/end.txt")
    assert len(kept.encode()) < HEADER_BYTES


@given(st.integers(1, 1 << 31) | st.sampled_from([SLICE_BYTES + d for d in (-1, 0, 1)]))
def test_the_size_of_a_file_tells_its_length(length: int) -> None:
    assert length_of(file_bytes(length)) == length


@given(st.integers(0, 400_000))
def test_a_size_is_the_size_of_one_length_or_of_none(size: int) -> None:
    length = length_of(size)
    assert length is None or (length > 0 and file_bytes(length) == size)


@given(st.integers(1, 2**64 - 1), st.integers(0, 2**64 - 1), st.sampled_from(["chunk", "tmp"]))
def test_names_go_both_ways(chunk: int, generation: int, suffix: str) -> None:
    key = ReplicaKey(chunk, generation)
    assert is_key(*key)
    assert key_of(name_of(key, suffix)) == (key, suffix)
    assert folder_of(key) == f"chunks/{chunk % 256:02x}"


@pytest.mark.parametrize("name", ["", "x", "../../etc/passwd", "1-2.chunk", name_of(KEY) + "~"])
def test_other_names_are_nobodys(name: str) -> None:
    assert key_of(name) is None


@pytest.mark.parametrize(("chunk", "generation"), [(0, 0), (-1, 0), (2**64, 0), (1, -1)])
def test_numbers_outside_64_bits_are_no_ids(chunk: int, generation: int) -> None:
    assert not is_key(chunk, generation)
