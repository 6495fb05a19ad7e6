"""A task's environment in memory."""

from __future__ import annotations

import io
from typing import BinaryIO


class MemoryEnv:
    """A ``TaskEnv`` over bytes: one input, the segments of a reduce, and what the task makes."""

    def __init__(self, content: bytes, segments: dict[int, bytes]) -> None:
        self._content = content
        self._segments = segments
        self._scratch: dict[str, bytes] = {}
        self._run: dict[str, bytes] = {}
        self.parts: dict[str, bytes] = {}
        """The part files that the task wrote."""

    @property
    def run(self) -> bytes:
        """The run file that the task left."""
        return self._run[""]

    def open_input(self, path: str, offset: int) -> BinaryIO:
        """The input from a byte on."""
        return io.BytesIO(self._content[offset:])

    def create_scratch(self, name: str) -> BinaryIO:
        """A new private file."""
        return _Kept(self._scratch, name)

    def open_scratch(self, name: str) -> BinaryIO:
        """A private file written before."""
        return io.BytesIO(self._scratch[name])

    def remove_scratch(self, name: str) -> None:
        """A private file is not needed any more."""
        del self._scratch[name]

    def create_map_output(self) -> BinaryIO:
        """The run file."""
        return _Kept(self._run, "")

    def open_map_output(self, map_index: int) -> BinaryIO:
        """The segment of one map."""
        return io.BytesIO(self._segments[map_index])

    def create_output(self, name: str) -> BinaryIO:
        """A part file."""
        return _Kept(self.parts, name)

    def progress(self, records: int, fraction: float, status: str) -> None:
        """Nobody watches: the task takes no virtual time."""


class _Kept(io.BytesIO):
    """A file whose content goes into a dict when it is closed."""

    def __init__(self, files: dict[str, bytes], name: str) -> None:
        super().__init__()
        self._files, self._name = files, name

    def close(self) -> None:
        if not self.closed:
            self._files[self._name] = self.getvalue()
        super().close()
