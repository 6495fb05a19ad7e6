"""Lines of text: TextLines, and KeyValue, which cuts each at its first tab.

A line ends at `\\n` only, and one `\\r` before it is stripped. Bytes that are not UTF-8 are
replaced (U+FFFD) and the lines that had some are counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import BinaryIO

from mapreduce.formats import BadRecordError, Batch, Count
from mapreduce.job import FileSplit
from mapreduce.records import LineTooLongError, line_blocks, read_position

INVALID_UTF8 = "invalid_utf8"
"""Counter of lines, or whole files, in which bytes were replaced."""


class TextLines:
    """The key is (path, byte offset), the value the line."""

    whole_files = False

    def position(self, split: FileSplit) -> int:
        """Where the file must be opened for `read`."""
        return read_position(split)

    def read(self, file: BinaryIO, split: FileSplit, count: Count) -> Iterator[Batch]:
        """Lines that begin in the split, in batches of about a megabyte."""
        path = split.path
        for offsets, lines in _batches(file, split, count):
            yield Batch([(path, at) for at in offsets], lines, offsets)


class KeyValue:
    """The key is the line before its first tab, the value what follows; None without a tab.

    So it reads what TSV wrote, as text.
    """

    whole_files = False

    def position(self, split: FileSplit) -> int:
        """Where the file must be opened for `read`."""
        return read_position(split)

    def read(self, file: BinaryIO, split: FileSplit, count: Count) -> Iterator[Batch]:
        """Lines that begin in the split, in batches of about a megabyte."""
        for offsets, lines in _batches(file, split, count):
            cut = [line.partition("\t") for line in lines]
            values = [value if tab else None for _, tab, value in cut]
            yield Batch([key for key, _, _ in cut], values, offsets)


def _batches(
    file: BinaryIO, split: FileSplit, count: Count
) -> Iterator[tuple[list[int], list[str]]]:
    """Offsets and texts of the lines that begin in the split."""
    try:
        for offset, block in line_blocks(file, split):
            lines, sizes, invalid = _split(block)
            if invalid:
                count(INVALID_UTF8, invalid)
            offsets = list(accumulate(sizes, lambda at, size: at + size + 1, initial=offset))
            yield offsets[: len(lines)], lines
    except LineTooLongError as error:
        raise BadRecordError(str(error), error.offset, error.start) from None


def _split(block: bytes) -> tuple[list[str], list[int], int]:
    """The lines of a block as text, their sizes in bytes without `\\n`, and how many were bad."""
    invalid = 0
    if block.isascii():
        lines = block.decode("ascii").split("\n")
        sizes = [len(line) for line in lines]
    else:
        raw = block.split(b"\n")
        sizes = [len(line) for line in raw]
        try:
            lines = block.decode("utf-8").split("\n")
        except UnicodeDecodeError:
            lines = [line.decode("utf-8", "replace") for line in raw]
            invalid = sum(not is_utf8(line) for line in raw)
    if not lines[-1] and block.endswith(b"\n"):
        lines.pop()
    if b"\r" in block:
        lines = _strip_returns(lines, block.endswith(b"\n"))
    return lines, sizes, invalid


def _strip_returns(lines: list[str], complete: bool) -> list[str]:
    """Without the `\\r` before each `\\n`; a last line that has no `\\n` keeps its own."""
    stripped = [line[:-1] if line.endswith("\r") else line for line in lines]
    if not complete:
        stripped[-1] = lines[-1]
    return stripped


def is_utf8(data: bytes | bytearray) -> bool:
    """Whether the bytes are text."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
