"""The file that `mapper_raw` gets: local, so that it can be read in any order.

An input that can only be read forward is copied to scratch first. Faults of the environment
come up inside user code here; `RawFile` keeps the first, which is raised as what it is, even if
user code swallows it.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, BinaryIO

from mapreduce.records import READ_BYTES
from mapreduce.task.env import TaskEnv

NAME = "input"
"""The copy's name in scratch."""


class RawFile(io.RawIOBase):
    """A file read by user code; tells the share that was read (0 to 1) as the furthest byte
    moves on. `RawFile.buffered()` is what user code gets."""

    def __init__(self, file: BinaryIO, size_bytes: int, tell: Callable[[float], None]) -> None:
        super().__init__()
        self._file = file
        self._size_bytes = max(size_bytes, 1)
        self._tell = tell
        self._furthest = 0
        self.fault: Exception | None = None

    def buffered(self) -> io.BufferedReader:
        """The file with `read`, `readline`, `seek` and all else of a binary file."""
        return io.BufferedReader(self, READ_BYTES)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._file.read(len(buffer))
            buffer[: len(data)] = data
            self._advance()
        except Exception as error:  # kept, and raised again behind user code
            self.fault = self.fault or error
            raise
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def _advance(self) -> None:
        position = self._file.tell()
        if position > self._furthest:
            self._furthest = position
            self._tell(min(position / self._size_bytes, 1.0))


def open_local(env: TaskEnv, path: str, tell: Callable[[], None]) -> tuple[BinaryIO, bool]:
    """An input file that can seek, and whether it is a copy in scratch. `tell` is called
    while it is copied."""
    source = env.open_input(path, 0)
    if source.seekable():
        return source, False
    copy = env.create_scratch(NAME)
    while piece := source.read(READ_BYTES):
        copy.write(piece)
        tell()
    copy.close()
    source.close()
    return env.open_scratch(NAME), True
