"""Files open for writing.

Nothing is visible before ``close`` returns. What is small at the end goes into the namespace
with the close itself; what grows is streamed, a frame at a time. A ``with`` block left by an
exception, an interrupted call and a forgotten file discard what was written.

Of a file that is appended to, readers see the old content until ``sync`` or ``close`` shows
them more. Discarding it ends it behind the chunks that are committed already.
"""

from __future__ import annotations

import io
from types import TracebackType
from typing import TYPE_CHECKING, Any

from dfs.checksum import FileDigest
from dfs.client.connection import Connection
from dfs.client.entries import Stored
from dfs.client.frames import Close, Discard, Frame, FrameCutter, Mark, Sync
from dfs.client.io_thread import Running
from dfs.client.writing import FileWriter, close_inline, discard_file
from dfs.errors import BadArgument, DfsError
from dfs.limits import CLOSE_WAIT_NS
from dfs.wire.namespace import Closed, Created

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class WriteFile(io.BufferedIOBase):
    """A file being written. ``stored`` and ``durable`` tell after ``close`` what is safe."""

    def __init__(
        self,
        connection: Connection,
        path: str,
        created: Created,
        size_hint: int = 0,
        mode: str = "wb",
    ) -> None:
        super().__init__()
        self.name = path
        self.mode = mode
        self.stored: Stored | None = None
        self._connection = connection
        self._created = created
        self._writer = FileWriter(connection.namenode, path, created, size_hint)
        self._running: Running[Closed | None] | None = None
        self._cutter = FrameCutter(created.chunk_bytes)
        self._early: list[Frame] = []
        self._sees_all = len(created.content) == created.size
        self._digest = FileDigest(created.content)
        self._size = created.size
        self._early += self._cutter.push(created.content)

    @property
    def durable(self) -> int:
        """How many copies of each chunk were on disk when the file was closed; 0 before."""
        return self.stored.durable if self.stored is not None else 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        self._check_open()
        return self._size

    def write(self, data: ReadableBuffer) -> int:
        self._check_open()
        # What is kept by reference until its chunk is sealed must not change.
        fixed = data if isinstance(data, bytes) else memoryview(data).tobytes()
        try:
            self._digest.update(fixed)
            self._size += len(fixed)
            for frame in self._cutter.push(fixed):
                self._pass_on(frame)
        except BaseException:
            self.discard()
            raise
        return len(fixed)

    def sync(self) -> None:
        """Have everything written so far on disk, on as many nodes as the file needs.

        Of a file that is appended to readers see it then; a new file stays invisible.
        """
        self._check_open()
        try:
            for frame in self._cutter.flush():
                self._early.append(frame)
            if self._early or self._running is not None:
                running = self._stream()
                running.feed(Sync(self._whole_digest()))
                running.feed(Mark())
                running.drain()
            self._cutter.start_chunk()
        except BaseException:
            self.discard()
            raise

    def close(self) -> None:
        """Make the file visible. Raises what went wrong; then it is discarded."""
        if self.closed:
            return
        try:
            self._finish()
        except DfsError:
            raise  # the operation that failed has discarded the file
        except BaseException:
            self.discard()
            raise
        finally:
            super().close()

    def discard(self) -> None:
        """Close without a trace: what this file was to replace stays."""
        if self.closed:
            return
        super().close()
        discarding = self._start_discarding()
        if discarding is None:
            return
        try:
            discarding.wait(CLOSE_WAIT_NS)
        except TimeoutError:
            if discarding is self._running:
                discarding.abandon()
                self._abandon_name()
        except DfsError:
            return  # it failed, and was discarded by that

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.discard()
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_cutter") and not self.closed:
            super().close()
            self._start_discarding()

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError(f"{self.name} is closed")

    def _pass_on(self, frame: Frame) -> None:
        """Hold frames while the file may still be stored inline, then stream them."""
        self._early.append(frame)
        if self._running is not None or self._size > self._created.inline_max_bytes:
            self._stream()

    def _stream(self) -> Running[Closed | None]:
        """The operation that writes chunks, with all frames handed to it."""
        if self._running is None:
            self._running = self._connection.start(self._writer.run())
        for held in self._early:
            self._running.feed(held)
        self._early.clear()
        return self._running

    def _whole_digest(self) -> bytes:
        return self._digest.digest() if self._sees_all else b""

    def _finish(self) -> None:
        for frame in self._cutter.flush():
            self._pass_on(frame)
        if self._running is None and self._sees_all:
            content = b"".join(frame.data for frame in self._early)
            closed = self._connection.run(
                close_inline(self._connection.namenode, self.name, self._created, content)
            )
        else:
            running = self._stream()
            running.feed(Close(self._whole_digest()))
            written = running.wait()
            assert written is not None, f"{self.name} was closed and discarded"
            closed = written
        self.stored = Stored.of(closed)

    def _start_discarding(self) -> Running[Any] | None:
        """What has to end before the name is free again."""
        self._early.clear()
        if self._running is None:
            return self._abandon_name()
        self._running.feed_at_once(Discard())
        return self._running

    def _abandon_name(self) -> Running[Any] | None:
        try:
            discarding = discard_file(self._connection.namenode, self._created.inode)
            return self._connection.start(discarding)
        except BadArgument:
            return None  # the client is closed, and with it the file


class TextWriteFile(io.TextIOWrapper):
    """Text over a ``WriteFile``, discarded like it."""

    def __init__(
        self, file: WriteFile, encoding: str, errors: str | None, newline: str | None
    ) -> None:
        super().__init__(file, encoding, errors, newline)
        self._file = file

    @property
    def durable(self) -> int:
        """How many copies of each chunk were on disk when the file was closed; 0 before."""
        return self._file.durable

    def sync(self) -> None:
        """See ``WriteFile.sync``."""
        self.flush()
        self._file.sync()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._file.discard()
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.__del__()
