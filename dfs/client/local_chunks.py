"""Reading a chunk from its open file, when a datanode on this machine gives out the descriptor.

The bytes go from the file to the reader without passing another process. They are checked
here as those of a network read are: header and trailer must be those of the chunk, the hashes at
the file's end must give the digest, and each slice its hash.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from dfs.checksum import HASH_BYTES, slice_count, slice_hashes
from dfs.client.effects import LocalSlices, ReadLocally
from dfs.datanode.chunkfile import (
    HEADER_BYTES,
    TRAILER_BYTES,
    ReplicaKey,
    check_identity,
    decode_footer,
    decode_header,
)
from dfs.errors import Corrupt, StorageFault
from dfs.limits import SLICE_BYTES


class ChunkFile(Protocol):
    """What reading needs of an open file; see ``dfs.disk.File``."""

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes; fewer only at the end of the file."""

    def close(self) -> None:
        """Close it."""


OpenChunkFile = Callable[[str, int, int], ChunkFile]


def read_locally(open_chunk: OpenChunkFile, task: ReadLocally) -> LocalSlices:
    """Some frames of a chunk, verified. Raises ``Corrupt``, ``NotFound``, ``StorageFault``."""
    file = open_chunk(task.endpoint, task.chunk, task.generation)
    try:
        hashes = task.hashes or _read_hashes(file, task)
        frames = {at: _read_frame(file, at, length, hashes) for at, length in task.frames}
    except OSError as error:
        if isinstance(error, Corrupt):
            raise
        raise StorageFault(f"{task.endpoint}: {error}") from error
    finally:
        file.close()
    return LocalSlices(frames, hashes)


def _read_hashes(file: ChunkFile, task: ReadLocally) -> bytes:
    """The hashes of a whole and undamaged file: header and trailer are looked at too, since
    nobody else may ever read this replica."""
    hashes_bytes = HASH_BYTES * slice_count(task.length)
    header = decode_header(file.read_at(0, HEADER_BYTES))
    footer = decode_footer(file.read_at(HEADER_BYTES + task.length, hashes_bytes + TRAILER_BYTES))
    check_identity(task.cluster, ReplicaKey(task.chunk, task.generation), header, footer)
    if footer.digest != task.digest:
        raise Corrupt(f"{task.endpoint}: chunk {task.chunk} is not what was written")
    return footer.hashes


def _read_frame(file: ChunkFile, at: int, length: int, hashes: bytes) -> bytes:
    data = file.read_at(HEADER_BYTES + at, length)
    first = HASH_BYTES * (at // SLICE_BYTES)
    expected = hashes[first : first + HASH_BYTES * slice_count(length)]
    if len(data) != length or slice_hashes(data) != expected:
        raise Corrupt(f"the bytes at offset {at} do not have their checksum")
    return data
