"""Frames: the pieces in which a file's bytes travel, and the chunk that they add up to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from dfs.checksum import slice_hashes
from dfs.events import Payload
from dfs.limits import FRAME_BYTES


@dataclass(frozen=True, slots=True)
class Frame:
    """Bytes of a file, with the hashes of their slices. The bytes must not change any more."""

    data: Payload
    hashes: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """There are no more frames. ``digest``: the xxh3-128 of all bytes, empty when not all of
    them were seen."""

    digest: bytes


@dataclass(frozen=True, slots=True)
class Sync:
    """Everything before this is to be durable before anything behind it is taken.

    ``digest`` as in ``Close``.
    """

    digest: bytes


@dataclass(frozen=True, slots=True)
class Mark:
    """Nothing. When it has been taken, everything before it is done."""


@dataclass(frozen=True, slots=True)
class Discard:
    """The file is not wanted after all."""


class DiscardedError(Exception):
    """Ends a write whose file was discarded; never reaches the caller."""


class FrameCutter:
    """Cuts a stream of bytes into frames. Large blocks are cut without a copy.

    A frame is at most 1 MiB, starts at a slice's boundary within its chunk and never
    crosses a chunk's end.
    """

    def __init__(self, chunk_bytes: int) -> None:
        self._chunk_bytes = chunk_bytes
        self._in_chunk = 0
        self._rest = bytearray()

    def push(self, data: bytes | memoryview) -> Iterator[Frame]:
        """The frames that are complete with these bytes."""
        view = memoryview(data)
        while len(view):
            room = min(FRAME_BYTES, self._chunk_bytes - self._in_chunk) - len(self._rest)
            part, view = view[:room], view[room:]
            if not self._rest and len(part) == room:
                yield self._cut(part)
                continue
            self._rest += part
            if len(part) == room:
                yield from self.flush()

    def start_chunk(self) -> None:
        """The next byte begins a chunk, whatever came before; nothing may be left."""
        assert not self._rest, "bytes that were not flushed belong to the chunk before"
        self._in_chunk = 0

    def flush(self) -> Iterator[Frame]:
        """What is left, at the end."""
        if self._rest:
            rest, self._rest = self._rest, bytearray()
            yield self._cut(memoryview(rest).toreadonly())

    def _cut(self, data: memoryview) -> Frame:
        self._in_chunk = (self._in_chunk + len(data)) % self._chunk_bytes
        return Frame(data, slice_hashes(data))


@dataclass(slots=True)
class GrowingChunk:
    """The chunk being written: its frames so far, kept by reference until it is sealed.

    ``start`` is its offset in the file, ``ends`` are the offsets in the chunk at which its
    frames end. ``closing`` is set once the file's last byte came, ``syncing`` once the chunk is
    to be sealed short.
    """

    start: int
    max_bytes: int
    frames: list[Frame] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    length: int = 0
    closing: Close | None = None
    syncing: Sync | None = None

    @property
    def complete(self) -> bool:
        """Will nothing more be added?"""
        ended = self.closing is not None or self.syncing is not None
        return ended or self.length == self.max_bytes

    def take(self, item: Frame | Close | Sync | Mark | Discard) -> None:
        """Take in what the file's writer says. Raises ``DiscardedError``."""
        match item:
            case Frame():
                self.frames.append(item)
                self.length += len(item.data)
                self.ends.append(self.length)
            case Close():
                self.closing = item
            case Sync():
                self.syncing = item
            case Mark():
                pass
            case Discard():
                raise DiscardedError

    def hashes(self) -> bytes:
        """The packed hashes of all slices."""
        return b"".join(frame.hashes for frame in self.frames)
