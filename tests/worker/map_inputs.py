"""Inputs of maps: in memory, and as files of chunks on this machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from dfs.checksum import chunk_digest, slice_hashes
from dfs.client.chunk_file import ChunkFacts
from dfs.client.read_file import OpenChunk
from dfs.datanode.chunkfile import (
    HEADER_BYTES,
    Footer,
    Header,
    ReplicaKey,
    encode_footer,
    encode_header,
)
from dfs.disk import LocalFile

CLUSTER = "c"


class BytesInput:
    """An ``InputFile`` without chunks."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.closed = False

    def open_chunk(self, offset: int) -> OpenChunk | None:
        return None

    def read(self, offset: int, length: int) -> bytes:
        return self._content[offset : offset + length]

    def close(self) -> None:
        self.closed = True


class ChunkedInput(BytesInput):
    """An ``InputFile`` in chunks, numbered from 1, each in a file of ``folder``. Those in ``away``
    lie on other machines; ``sent`` is what the worker read, as (offset, length); ``on_open`` is
    called before a chunk is opened."""

    def __init__(self, folder: Path, content: bytes, chunk_bytes: int) -> None:
        super().__init__(content)
        self._folder = folder
        self._chunk_bytes = chunk_bytes
        self.facts: dict[int, ChunkFacts] = {}
        self.away: set[int] = set()
        self.sent: list[tuple[int, int]] = []
        self.on_open: Callable[[int], None] = lambda number: None
        for start in range(0, len(content), chunk_bytes):
            self._seal(start, content[start : start + chunk_bytes])

    def path(self, number: int) -> Path:
        return self._folder / str(number)

    def damage(self, number: int, at: int) -> None:
        """Flip a bit of a chunk's data."""
        with self.path(number).open("r+b") as file:
            file.seek(HEADER_BYTES + at)
            (old,) = file.read(1)
            file.seek(HEADER_BYTES + at)
            file.write(bytes([old ^ 1]))

    def open_chunk(self, offset: int) -> OpenChunk | None:
        number = self.number_at(offset)
        if number in self.away or offset >= len(self._content):
            return None
        self.on_open(number)
        file = LocalFile(os.open(self.path(number), os.O_RDONLY))
        return OpenChunk((number - 1) * self._chunk_bytes, self.facts[number], file)

    def read(self, offset: int, length: int) -> bytes:
        end = self.number_at(offset) * self._chunk_bytes
        data = super().read(offset, min(length, end - offset))
        if data:
            self.sent.append((offset, len(data)))
        return data

    def number_at(self, offset: int) -> int:
        return offset // self._chunk_bytes + 1

    def _seal(self, start: int, data: bytes) -> None:
        number, hashes = self.number_at(start), slice_hashes(data)
        digest = chunk_digest(CLUSTER, number, 1, len(data), hashes)
        key = ReplicaKey(number, 1)
        header = encode_header(Header(CLUSTER, key, 5, start, "/in"))
        footer = encode_footer(Footer(key, len(data), digest, hashes))
        self.path(number).write_bytes(header + data + footer)
        self.facts[number] = ChunkFacts(CLUSTER, number, 1, len(data), digest)


def open_descriptors(pid: int | str = "self") -> int:
    """How many descriptors a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))
