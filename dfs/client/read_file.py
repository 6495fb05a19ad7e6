"""Files open for reading.

A read that begins where the last one ended is sequential. Then whole spans of 4 MiB are
fetched, and the next one is under way while this one is consumed. Other reads fetch what
was asked for, so that seeking about costs no more than it must.
"""

from __future__ import annotations

import io
import os
from collections import deque
from typing import TYPE_CHECKING

from dfs.client.connection import Connection
from dfs.client.io_thread import Running
from dfs.client.reading import OpenedFile, read_range
from dfs.events import Payload
from dfs.limits import READ_AHEAD_BYTES

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
