"""The bytes of a chunk file.

A chunk file is written once and never changed::

    header    4096 bytes: who this is, zero padding, own checksum
    data      the chunk's bytes, contiguous and uncompressed
    hashes    xxh3-64 of each slice of 64 KiB, u64 big-endian
    trailer   64 bytes: identity again, length, digest, own checksum

Every byte is covered: the header and the trailer by their own xxh3-64, the hashes by
the digest in the trailer (``dfs.checksum.chunk_digest``), the data by the hashes. The
digest covers cluster, chunk and generation too, so a file under another file's name is
found. The trailer ends the file, hence the size of the file alone tells the length of
the data: a scan needs no reading. All integers are big-endian.
"""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

import xxhash

from dfs.checksum import DIGEST_BYTES, HASH_BYTES, chunk_digest, slice_count
from dfs.errors import Corrupt, NotSupported
from dfs.limits import SLICE_BYTES

FORMAT = 1
HEADER_BYTES = 4096
TRAILER_BYTES = 64

_HEADER_MAGIC = b"mDFchunk"
_TRAILER_MAGIC = b"mDFchend"
_HEADER = struct.Struct(">8sHHHHQQQQ")
_TRAILER = struct.Struct(f">8sHHIQQQ{DIGEST_BYTES}s")
_CHECKSUM = struct.Struct(">Q")
_SEALED_BYTES = HEADER_BYTES - _CHECKSUM.size
_TEXT_MAX_BYTES = _SEALED_BYTES - _HEADER.size
_NAME = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})\.(chunk|tmp)")
_U64_END = 1 << 64


class ReplicaKey(NamedTuple):
    """Which replica: the chunk's id and its generation."""

    chunk: int
    generation: int

    def __str__(self) -> str:
        return f"chunk {self.chunk} generation {self.generation}"


class Header(NamedTuple):
    """What a chunk file says of itself. ``path`` is a hint: the file's path at creation."""

    cluster: str
    key: ReplicaKey
    inode: int
    start: int
    path: str


class Footer(NamedTuple):
    """The end of a chunk file: length of the data in bytes, digest, packed slice hashes."""

    key: ReplicaKey
    length: int
    digest: bytes
    hashes: bytes


def is_key(chunk: int, generation: int) -> bool:
    """Are these numbers that a chunk file can be named by? Chunk ids begin at 1."""
    return chunk != 0 and are_u64(chunk, generation)


def are_u64(*numbers: int) -> bool:
    """Do these numbers fit the fields of a chunk file?"""
    return all(0 <= number < _U64_END for number in numbers)


def folder_of(key: ReplicaKey) -> str:
    """The folder of a chunk file: the last two hex digits of the chunk's id."""
    return f"chunks/{key.chunk & 0xFF:02x}"


def name_of(key: ReplicaKey, suffix: str = "chunk") -> str:
    """The name of a chunk file, without its folder."""
    return f"{key.chunk:016x}-{key.generation:016x}.{suffix}"


def sealed_path(key: ReplicaKey) -> str:
    """Where the file of a sealed replica lies in the data folder."""
    return f"{folder_of(key)}/{name_of(key)}"


def unfinished_path(key: ReplicaKey) -> str:
    """Where the file of a replica lies while it is written: in the same folder."""
    return f"{folder_of(key)}/{name_of(key, 'tmp')}"


def key_of(name: str) -> tuple[ReplicaKey, str] | None:
    """The key and suffix in a file's name; None when it is not a chunk file's name."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    return ReplicaKey(int(match[1], 16), int(match[2], 16)), match[3]


def file_bytes(length: int) -> int:
    """The size of the file of a chunk of ``length`` bytes."""
    return HEADER_BYTES + length + HASH_BYTES * slice_count(length) + TRAILER_BYTES


def length_of(size_bytes: int) -> int | None:
    """The length of the chunk in a file of this size; None when no chunk file has this size."""
    body = size_bytes - HEADER_BYTES - TRAILER_BYTES
    length = body - HASH_BYTES * -(-body // (SLICE_BYTES + HASH_BYTES))
    return length if length > 0 and file_bytes(length) == size_bytes else None


def encode_header(header: Header) -> bytes:
    """The first 4096 bytes of a chunk file. A path that does not fit keeps its end."""
    cluster = header.cluster.encode()
    path = header.path.encode()[-(_TEXT_MAX_BYTES - len(cluster)) :]
    fixed = _HEADER.pack(
        _HEADER_MAGIC, FORMAT, len(cluster), len(path), 0, *header.key, header.inode, header.start
    )
    return _with_checksum((fixed + cluster + path).ljust(_SEALED_BYTES, b"\0"))


def decode_header(data: bytes) -> Header:
    """The header in these bytes. Raises Corrupt, and NotSupported for a newer format."""
    if len(data) != HEADER_BYTES:
        raise Corrupt(f"the header has {len(data)} bytes instead of {HEADER_BYTES}")
    magic, version, cluster_bytes, path_bytes, _, chunk, generation, inode, start = (
        _HEADER.unpack_from(data)
    )
    _check(data, magic, _HEADER_MAGIC, version, "header")
    text = data[_HEADER.size : _HEADER.size + cluster_bytes + path_bytes]
    return Header(
        cluster=text[:cluster_bytes].decode(errors="replace"),
        key=ReplicaKey(chunk, generation),
        inode=inode,
        start=start,
        path=text[cluster_bytes:].decode(errors="replace"),
    )


def encode_footer(footer: Footer) -> bytes:
    """What follows the data: slice hashes and trailer."""
    trailer = _TRAILER.pack(
        _TRAILER_MAGIC, FORMAT, 0, SLICE_BYTES, *footer.key, footer.length, footer.digest
    )
    return footer.hashes + _with_checksum(trailer)


def decode_footer(data: bytes) -> Footer:
    """The footer in these bytes, which end with the trailer and begin with the first hash.

    Raises Corrupt, and NotSupported for a newer format. The digest is not judged here,
    see ``check_footer``.
    """
    if len(data) < TRAILER_BYTES:
        raise Corrupt(f"the footer has {len(data)} bytes, fewer than {TRAILER_BYTES}")
    hashes, trailer = data[:-TRAILER_BYTES], data[-TRAILER_BYTES:]
    magic, version, _, slice_bytes, chunk, generation, length, digest = _TRAILER.unpack_from(
        trailer
    )
    _check(trailer, magic, _TRAILER_MAGIC, version, "trailer")
    if slice_bytes != SLICE_BYTES:
        raise NotSupported(f"the chunk file has slices of {slice_bytes} bytes, not {SLICE_BYTES}")
    if len(hashes) != HASH_BYTES * slice_count(length):
        raise Corrupt(f"{len(hashes)} bytes of hashes do not fit a length of {length}")
    return Footer(ReplicaKey(chunk, generation), length, digest, hashes)


def check_identity(cluster: str, key: ReplicaKey, header: Header, footer: Footer) -> None:
    """Raise Corrupt unless header and footer are those of this replica of this cluster."""
    if header.cluster != cluster or header.key != key or footer.key != key:
        raise Corrupt(
            f"the file of {key} holds {header.key} of cluster {header.cluster}, end {footer.key}"
        )
    if footer.digest != chunk_digest(cluster, *key, footer.length, footer.hashes):
        raise Corrupt(f"the slice hashes of {key} do not match its digest")


def _with_checksum(data: bytes) -> bytes:
    return data + _CHECKSUM.pack(xxhash.xxh3_64_intdigest(data))


def _check(data: bytes, magic: bytes, expected: bytes, version: int, what: str) -> None:
    if magic != expected:
        raise Corrupt(f"the {what} does not begin with {expected!r}")
    (stored,) = _CHECKSUM.unpack_from(data, len(data) - _CHECKSUM.size)
    if version > FORMAT:
        raise NotSupported(f"chunk format {version} is newer than {FORMAT}: upgrade minidfs")
    if stored != xxhash.xxh3_64_intdigest(data[: -_CHECKSUM.size]):
        raise Corrupt(f"the {what} does not match its checksum")
