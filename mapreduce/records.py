"""Lines of a split: which bytes belong to it.

A line begins at byte 0 of a file or behind a `\\n`, and belongs to the split in which it
begins; so a reader of a later split looks at the byte before its start, skips the rest of the
line there, and reads on behind its end until the last line that began in it is complete.
Every cut of a file into splits gives every line exactly once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from mapreduce.job import FileSplit

READ_BYTES = 1 << 20
"""Files are read in pieces of this size; lines may be longer."""


def read_position(split: FileSplit) -> int:
    """Where to open the file to read the lines of a split."""
    return max(split.start - 1, 0)


def line_blocks(file: BinaryIO, split: FileSplit) -> Iterator[tuple[int, bytes]]:
    """Offset and bytes of whole lines, many at a time; only the file's last may lack its `\\n`.

    `file` stands at `read_position(split)`.
    """
    offset = read_position(split)
    pending: list[bytes] = []
    skipping = split.start > 0
    while split.length:
        data = file.read(READ_BYTES)
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
        whole, finished = _whole_lines(data, offset + sum(map(len, pending)), split.end)
        if whole:
            block = b"".join([*pending, data[:whole]])
            yield offset, block
            offset += len(block)
            pending = []
        if finished:
            return
        if whole < len(data):
            pending.append(data[whole:])


def _whole_lines(data: bytes, position: int, end: int) -> tuple[int, bool]:
    """How much of `data`, which stands at `position`, to take; whether the split ends there."""
    last = data.find(b"\n", max(end - 1 - position, 0))
    if last >= 0:
        return last + 1, True
    return data.rfind(b"\n") + 1, False
