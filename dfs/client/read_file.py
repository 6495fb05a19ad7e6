"""Files open for reading.

A read that begins where the last one ended is sequential. Then whole spans of 4 MiB are
fetched, and the next one is under way while this one is consumed. Other reads fetch what
was asked for, so that seeking about costs no more than it must.

Whoever reads on behalf of another process of this machine can give it the open file of a chunk
instead (``open_chunk``), which that process checks itself, see ``chunk_file``.
"""

from __future__ import annotations

import io
import os
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from dfs.client.chunk_file import ChunkFacts
from dfs.client.connection import Connection
from dfs.client.io_thread import Running
from dfs.client.reading import OpenedFile, locate, read_range
from dfs.disk import LocalFile
from dfs.errors import NotFound, StorageFault
from dfs.events import Payload
from dfs.limits import READ_AHEAD_BYTES
from dfs.net.descriptors import open_chunk
from dfs.wire.namespace import LocatedChunk

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class _Span:
    """Bytes that were fetched and not read yet, beginning at ``start``."""

    def __init__(self, start: int, pieces: list[Payload]) -> None:
        self.start = start
        self._pieces = deque(pieces)

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def take_into(self, target: memoryview) -> int:
        """Move bytes from the front into ``target``; how many."""
        done = 0
        while self._pieces and done < len(target):
            piece = memoryview(self._pieces.popleft())
            part = piece[: len(target) - done]
            target[done : done + len(part)] = part
            done += len(part)
            if len(part) < len(piece):
                self._pieces.appendleft(piece[len(part) :])
        self.start += done
        return done

    def take_all(self) -> list[Payload]:
        """Move everything out."""
        pieces = list(self._pieces)
        self._pieces.clear()
        self.start += sum(len(piece) for piece in pieces)
        return pieces


class OpenChunk(NamedTuple):
    """The file of a chunk, opened by a datanode of this machine; whoever holds this closes it.

    The chunk's first byte is byte ``start`` of the DFS file. Nothing is verified yet.
    """

    start: int
    facts: ChunkFacts
    file: LocalFile


class ReadFile(io.RawIOBase):
    """A file open for reading, without a buffer of its own; see ``io.BufferedReader``."""

    mode = "rb"

    def __init__(self, connection: Connection, opened: OpenedFile) -> None:
        super().__init__()
        self.name = opened.entry.path
        self._connection = connection
        self._opened = opened
        self._position = 0
        self._span = _Span(0, [])
        self._ahead: tuple[int, Running[list[Payload]]] | None = None
        self._silent: set[str] = set()
        """Endpoints of this machine that gave out no descriptors: none is waited for again."""

    @property
    def size(self) -> int:
        """The file's length in bytes; it does not change."""
        return self._opened.entry.size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        self._check_open()
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._check_open()
        origins = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}
        if whence not in origins:
            raise ValueError(f"whence {whence} is none of 0, 1 and 2")
        position = origins[whence] + offset
        if position < 0:
            raise ValueError(f"negative seek position {position}")
        self._position = position
        return position

    def readinto(self, buffer: WriteableBuffer) -> int:
        self._check_open()
        target = memoryview(buffer).cast("B")[: max(0, self.size - self._position)]
        if not target:
            return 0
        self._fill(len(target))
        done = self._span.take_into(target)
        self._position += done
        return done

    def readall(self) -> bytes:
        self._check_open()
        # Room for all of it, into which each span is copied as it comes and then let go.
        whole = io.BytesIO(bytes(max(0, self.size - self._position)))
        while self._position < self.size:
            self._fill(self.size - self._position)
            for piece in self._span.take_all():
                whole.write(piece)
            self._position = self._span.start
        return whole.getvalue()

    def chunk_at(self, offset: int) -> LocatedChunk | None:
        """The chunk that holds a byte; None behind the end, and in a file so small that it has
        no chunks. Raises as reading does."""
        self._check_open()
        if self._opened.content is not None or offset >= self.size:
            return None
        known = self._opened.chunk_at(offset)
        return known or self._connection.run(
            locate(self._connection.namenode, self._opened, offset)
        )

    def open_chunk(self, offset: int) -> OpenChunk | None:
        """The open file of the chunk that holds a byte; None unless a datanode of this machine
        has it and gives it out. Raises as reading does."""
        chunk = self.chunk_at(offset)
        if chunk is None:
            return None
        settings = self._connection.namenode.settings
        for node in chunk.nodes:
            endpoint = node.descriptors_for(settings.host)
            file = self._ask_for(endpoint, chunk) if endpoint is not None else None
            if file is not None:
                facts = (settings.cluster, chunk.chunk, chunk.generation, chunk.length)
                return OpenChunk(chunk.start, ChunkFacts(*facts, chunk.digest), file)
        return None

    def _ask_for(self, endpoint: str, chunk: LocatedChunk) -> LocalFile | None:
        """The file of a chunk from a datanode of this machine, if it gives it out."""
        if endpoint in self._silent:
            return None
        try:
            return open_chunk(endpoint, chunk.chunk, chunk.generation)
        except NotFound:
            return None
        except StorageFault:
            self._silent.add(endpoint)
            return None

    def close(self) -> None:
        if not self.closed:
            self._drop_ahead()
            self._span = _Span(0, [])
        super().close()

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError(f"{self.name} is closed")

    def _fill(self, want_bytes: int) -> None:
        """Have at least one byte from the position on; ``want_bytes`` are asked for."""
        at = self._position
        sequential = want_bytes > READ_AHEAD_BYTES or (at == self._span.start and at > 0)
        if self._span and at == self._span.start:
            return
        if self._ahead is not None and self._ahead[0] == at:
            running, self._ahead = self._ahead[1], None
        else:
            self._drop_ahead()
            running = self._fetch(at, READ_AHEAD_BYTES if sequential else want_bytes)
        if sequential and at + READ_AHEAD_BYTES < self.size:
            start = at + READ_AHEAD_BYTES
            self._ahead = start, self._fetch(start, READ_AHEAD_BYTES)
        try:
            self._span = _Span(at, running.wait())
        except BaseException:
            running.abandon()
            self._drop_ahead()
            raise

    def _fetch(self, offset: int, length: int) -> Running[list[Payload]]:
        return self._connection.start(
            read_range(self._connection.namenode, self._opened, offset, length)
        )

    def _drop_ahead(self) -> None:
        if self._ahead is not None:
            self._ahead[1].abandon()
            self._ahead = None
