"""The bytes of a chunk from its open file, handed on only when they prove themselves.

Whoever has the descriptor of a chunk's file, which a datanode gave out, reads with this. Header
and trailer must be those of the chunk, the hashes at the file's end must give the digest that the
namenode knows, and each slice its hash: what a datanode checks before it sends anything.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from dfs.checksum import HASH_BYTES, slice_count, slice_hashes
from dfs.datanode.chunkfile import (
    HEADER_BYTES,
    TRAILER_BYTES,
    ReplicaKey,
    check_identity,
    decode_footer,
    decode_header,
)
from dfs.errors import Corrupt
from dfs.limits import SLICE_BYTES


class ChunkFile(Protocol):
    """What reading needs of an open file; see ``dfs.disk.File``."""

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes; fewer only at the end of the file."""

    def close(self) -> None:
        """Close it."""


class ChunkFacts(NamedTuple):
    """What the namenode says of a chunk: ``length`` in bytes, the digest of ``chunk_digest``."""

    cluster: str
    chunk: int
    generation: int
    length: int
    digest: bytes


def read_hashes(file: ChunkFile, chunk: ChunkFacts) -> bytes:
    """The packed slice hashes of a whole and undamaged file: header and trailer are looked at too,
    since nobody else may ever read this replica. Raises ``Corrupt``, ``NotSupported``."""
    hashes_bytes = HASH_BYTES * slice_count(chunk.length)
    header = decode_header(file.read_at(0, HEADER_BYTES))
    footer = decode_footer(file.read_at(HEADER_BYTES + chunk.length, hashes_bytes + TRAILER_BYTES))
    check_identity(chunk.cluster, ReplicaKey(chunk.chunk, chunk.generation), header, footer)
    if footer.digest != chunk.digest:
        raise Corrupt(f"chunk {chunk.chunk} is not what was written")
    return footer.hashes


def read_slices(file: ChunkFile, at: int, length: int, hashes: bytes) -> bytes:
    """Bytes of the chunk from ``at``, where a slice begins, each slice with its hash.

    Raises ``Corrupt``.
    """
    data = file.read_at(HEADER_BYTES + at, length)
    first = HASH_BYTES * (at // SLICE_BYTES)
    expected = hashes[first : first + HASH_BYTES * slice_count(length)]
    if len(data) != length or slice_hashes(data) != expected:
        raise Corrupt(f"the bytes at offset {at} do not have their checksum")
    return data
