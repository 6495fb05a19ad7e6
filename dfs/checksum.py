"""Checksums from end to end.

The writer hashes each slice of 64 KiB once (xxh3-64). The chunk's digest is the
xxh3-128 over its identity and its slice hashes, so it needs no second pass over
the data and differs for the same bytes in another place: a swapped or misdirected
chunk file is found, not only a damaged one. Datanodes verify slices on each hop,
the namenode keeps the digest, and the reader verifies hashes against the digest
and bytes against the hashes.

xxh3 guards against accidents, not against an adversary, who can make collisions.
"""

from __future__ import annotations

import struct

import xxhash

from dfs.limits import SLICE_BYTES

_IDENTITY = struct.Struct(">QQQ")
HASH_BYTES = 8
DIGEST_BYTES = 16

FileDigest = xxhash.xxh3_128


def slice_hashes(data: bytes | memoryview) -> bytes:
    """The packed big-endian xxh3-64 of each slice of ``data``; the last slice may be short."""
    if len(data) <= SLICE_BYTES:
        return xxhash.xxh3_64_digest(data) if len(data) else b""
    view = memoryview(data)
    digest = xxhash.xxh3_64_digest
    return b"".join(digest(view[at : at + SLICE_BYTES]) for at in range(0, len(view), SLICE_BYTES))


def slice_count(length: int) -> int:
    """How many slices a chunk of ``length`` bytes has."""
    return -(-length // SLICE_BYTES)


def chunk_digest(cluster: str, chunk: int, generation: int, length: int, hashes: bytes) -> bytes:
    """The digest of a chunk from its identity and the packed hashes of its slices."""
    state = xxhash.xxh3_128(cluster.encode())
    state.update(_IDENTITY.pack(chunk, generation, length))
    state.update(hashes)
    return state.digest()
