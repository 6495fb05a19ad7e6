"""A map's input as its task reads it: from the open file of a chunk, or as the worker sends it.

At each place the task asks its worker once. Where a datanode of this machine holds the chunk, the
answer is the chunk's open file, and the task reads to the chunk's end by itself; the worker is not
in the way of the bytes. They are verified slice by slice as every reader does it. Whatever goes
wrong there (a damaged slice, a disk's error, no descriptor to be had), the task asks for the rest
of that chunk as bytes: its worker then reads as any client does, which reports a bad replica and
goes on with another one.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from dfs.client.chunk_file import ChunkFacts, read_hashes, read_slices
from dfs.errors import DfsError, ProtocolError
from dfs.limits import SLICE_BYTES
from mapreduce.worker.task_messages import (
    READ_BYTES,
    ChunkHere,
    CloseInput,
    Question,
    ReadInput,
    ToTask,
)

Ask = Callable[[Question], tuple[ToTask, bytearray]]
TakeDescriptor = Callable[[], int | None]


class TaskInput(io.RawIOBase):
    """An input file, read forward in pieces."""

    def __init__(self, ask: Ask, take_descriptor: TakeDescriptor, handle: int, offset: int) -> None:
        self._ask = ask
        self._take_descriptor = take_descriptor
        self._handle = handle
        self._position = offset
        """Of the byte behind the piece."""
        self._piece = memoryview(b"")
        self._chunk: _Chunk | None = None
        self._as_bytes_before = 0
        """Up to here the worker is asked for bytes."""
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._piece and not self._ended:
            self._piece = self._next_piece()
            self._position += len(self._piece)
            self._ended = not self._piece
        count = min(len(buffer), len(self._piece))
        buffer[:count] = self._piece[:count]
        self._piece = self._piece[count:]
        return count

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._leave_chunk()
            self._ask(CloseInput(self._handle))

    def _next_piece(self) -> memoryview:
        """What lies at the position; empty at the end."""
        while True:
            piece = self._piece_of_chunk()
            if piece is not None:
                return piece
            as_bytes = self._position < self._as_bytes_before
            answer, payload = self._ask(ReadInput(self._handle, self._position, as_bytes))
            if not isinstance(answer, ChunkHere):
                return memoryview(payload)
            self._enter_chunk(answer)

    def _piece_of_chunk(self) -> memoryview | None:
        """The next bytes of the open chunk; None without one, behind its end and after a fault."""
        if self._chunk is None:
            return None
        piece = None
        try:
            piece = self._chunk.read(self._position)
        except (DfsError, OSError):
            self._as_bytes_before = self._chunk.end
        if piece is None:
            self._leave_chunk()
        return piece

    def _enter_chunk(self, here: ChunkHere) -> None:
        end = here.start + here.length
        if not here.start <= self._position < end:
            raise ProtocolError(f"byte {self._position} does not lie in {here}")
        descriptor = self._take_descriptor()
        if descriptor is None:
            self._as_bytes_before = end
        else:
            self._chunk = _Chunk(descriptor, here)

    def _leave_chunk(self) -> None:
        if self._chunk is not None:
            self._chunk.close()
            self._chunk = None


class _Chunk:
    """A chunk's open file; positions are those of the input."""

    def __init__(self, descriptor: int, here: ChunkHere) -> None:
        self._file = _ChunkFile(descriptor)
        self._start = here.start
        self._facts = ChunkFacts(
            here.cluster, here.chunk, here.generation, here.length, here.digest
        )
        self._hashes = b""
        self.end = here.start + here.length

    def read(self, position: int) -> memoryview | None:
        """At most ``READ_BYTES``, verified; None behind the end. Raises DfsError, OSError."""
        if position >= self.end:
            return None
        self._hashes = self._hashes or read_hashes(self._file, self._facts)
        inside = position - self._start
        at = inside - inside % SLICE_BYTES
        length = min(READ_BYTES, self._facts.length - at)
        return memoryview(read_slices(self._file, at, length, self._hashes))[inside - at :]

    def close(self) -> None:
        self._file.close()


class _ChunkFile:
    """A ``ChunkFile`` of a descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read_at(self, offset: int, length: int) -> bytes:
        return os.pread(self._descriptor, length, offset)

    def close(self) -> None:
        with suppress(OSError):  # the user's code closed it
            os.close(self._descriptor)
