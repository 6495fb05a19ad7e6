"""TextLines: a record is a line; its key is (path, byte offset), its value the text.

A line ends at `\\n` only, and one `\\r` before it is stripped. Bytes that are not UTF-8 are
replaced (U+FFFD) and the lines that had some are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Any, BinaryIO

from mapreduce.formats import Batch
from mapreduce.job import FileSplit
from mapreduce.records import line_blocks, read_position

INVALID_UTF8 = "invalid_utf8"
"""Counter of lines in which bytes were replaced."""


class TextLines:
    """Lines of text files."""

    def position(self, split: FileSplit) -> int:
        """Where the file must be opened for `read`."""
        return read_position(split)

    def offset_of(self, key: Any) -> int:
        """The byte offset of the line."""
        return int(key[1])

    def read(
        self, file: BinaryIO, split: FileSplit, count: Callable[[str, int], None]
    ) -> Iterator[Batch]:
        """Lines that begin in the split, in batches of about a megabyte."""
        path = split.path
        for offset, block in line_blocks(file, split):
            lines, sizes, invalid = _split(block)
            if invalid:
                count(INVALID_UTF8, invalid)
            offsets = accumulate(sizes, lambda at, size: at + size + 1, initial=offset)
            yield [(path, at) for at, _ in zip(offsets, lines, strict=False)], lines


def _split(block: bytes) -> tuple[list[str], Iterator[int], int]:
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
            invalid = sum(not _is_utf8(line) for line in raw)
    if not lines[-1] and block.endswith(b"\n"):
        lines.pop()
    if b"\r" in block:
        lines = _strip_returns(lines, block.endswith(b"\n"))
    return lines, iter(sizes), invalid


def _strip_returns(lines: list[str], complete: bool) -> list[str]:
    """Without the `\\r` before each `\\n`; a last line that has no `\\n` keeps its own."""
    stripped = [line[:-1] if line.endswith("\r") else line for line in lines]
    if not complete:
        stripped[-1] = lines[-1]
    return stripped


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
