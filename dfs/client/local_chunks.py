"""Reading a chunk from its open file, when a datanode on this machine gives out the descriptor.

The bytes go from the file to the reader without passing another process. They are checked
here as those of a network read are; see ``chunk_file``.
"""

from __future__ import annotations

from collections.abc import Callable

from dfs.client.chunk_file import ChunkFacts, ChunkFile, read_hashes, read_slices
from dfs.client.effects import LocalSlices, ReadLocally
from dfs.errors import Corrupt, StorageFault

OpenChunkFile = Callable[[str, int, int], ChunkFile]


def read_locally(open_chunk: OpenChunkFile, task: ReadLocally) -> LocalSlices:
    """Some frames of a chunk, verified. Raises ``Corrupt``, ``NotFound``, ``StorageFault``."""
    facts = ChunkFacts(task.cluster, task.chunk, task.generation, task.length, task.digest)
    file = open_chunk(task.endpoint, task.chunk, task.generation)
    try:
        hashes = task.hashes or read_hashes(file, facts)
        frames = {at: read_slices(file, at, length, hashes) for at, length in task.frames}
    except OSError as error:
        if isinstance(error, Corrupt):
            raise
        raise StorageFault(f"{task.endpoint}: {error}") from error
    finally:
        file.close()
    return LocalSlices(frames, hashes)
