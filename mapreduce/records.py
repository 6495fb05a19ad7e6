"""Lines of a split: which bytes belong to it.

A line begins at byte 0 of a file or behind a `\\n`, and belongs to the split in which it
begins; so a reader of a later split looks at the byte before its start, skips the rest of the
line there, and reads on behind its end until the last line that began in it is complete.
Every cut of a file into splits gives every line exactly once.

A file is read in whole pieces of READ_BYTES, whatever the file gives at a time, so what comes in
one block depends on the file and the split alone. A line may be much longer than a piece; it is
put together once, when it has ended. One of more than LINE_MAX_BYTES is refused, since it has to
be in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from mapreduce.job import FileSplit

READ_BYTES = 1 << 20
"""Files are read in pieces of this size; lines may be longer."""
LINE_MAX_BYTES = 256 << 20


class LineTooLongError(ValueError):
    """A line has more than LINE_MAX_BYTES; `offset` is where it begins, `start` its first bytes."""

    def __init__(self, offset: int, start: bytes) -> None:
        super().__init__(
            f"a line of more than {LINE_MAX_BYTES >> 20} MiB: WholeFile or mapper_raw reads what"
            " is not made of lines"
        )
        self.offset = offset
        self.start = start


def read_position(split: FileSplit) -> int:
    """Where to open the file to read the lines of a split."""
    return max(split.start - 1, 0)


def read_up_to(file: BinaryIO, size: int) -> bytes:
    """`size` bytes, fewer only at the file's end."""
    data = file.read(size)
    if len(data) == size or not data:
        return data
    parts, missing = [data], size - len(data)
    while missing and (more := file.read(missing)):
        parts.append(more)
        missing -= len(more)
    return b"".join(parts)


def line_blocks(
    file: BinaryIO, split: FileSplit, line_max_bytes: int = LINE_MAX_BYTES
) -> Iterator[tuple[int, bytes]]:
    """Offset and bytes of whole lines, many at a time; only the file's last may lack its `\\n`.

    `file` stands at `read_position(split)`. Raises LineTooLongError.
    """
    offset = read_position(split)
    pending: list[bytes] = []
    held = 0
    skipping = split.start > 0
    while split.length:
        data = read_up_to(file, READ_BYTES)
        if not data:
            if pending and not skipping:
                yield offset, b"".join(pending)
            return
        if skipping:
            newline = data.find(b"\n")
            offset += len(data) if newline < 0 else newline + 1
            if offset >= split.end:
                return
            if newline < 0:
                continue
            skipping = False
            data = data[newline + 1 :]
        whole, finished = _whole_lines(data, offset + held, split.end)
        if whole:
            pending.append(data[:whole])
            yield offset, _joined(pending)
            offset += held + whole
            held = 0
        if finished:
            return
        if whole < len(data):
            pending.append(data[whole:])
            held += len(data) - whole
        if held > line_max_bytes:
            raise LineTooLongError(offset, pending[0])


def _joined(pieces: list[bytes]) -> bytes:
    """All of them in one; the list is empty behind it."""
    whole = b"".join(pieces)
    pieces.clear()
    return whole


def _whole_lines(data: bytes, position: int, end: int) -> tuple[int, bool]:
    """How much of `data`, which stands at `position`, to take; whether the split ends there."""
    last = data.find(b"\n", max(end - 1 - position, 0))
    if last >= 0:
        return last + 1, True
    return data.rfind(b"\n") + 1, False
