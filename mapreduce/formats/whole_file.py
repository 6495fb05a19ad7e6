"""WholeFile: a record is a file; its key is the path, its value what the file holds.

A split is a whole file, whatever its size, and the file is in memory while it is mapped.
`mapper_raw` reads files that are too large for that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from mapreduce.formats import Batch, Count
from mapreduce.formats.text_lines import INVALID_UTF8, is_utf8
from mapreduce.job import FileSplit
from mapreduce.records import READ_BYTES


class WholeFile:
    """Text, in which bytes that are not UTF-8 are replaced and the file counted; or bytes."""

    whole_files = True

    def __init__(self, binary: bool = False) -> None:
        self._binary = binary

    def position(self, split: FileSplit) -> int:
        """Where the file must be opened for `read`."""
        return 0

    def read(self, file: BinaryIO, split: FileSplit, count: Count) -> Iterator[Batch]:
        """The one record."""
        data = bytearray()
        while piece := file.read(READ_BYTES):
            data += piece
        if self._binary:
            yield Batch([split.path], [bytes(data)], [0])
            return
        if not is_utf8(data):
            count(INVALID_UTF8, 1)
        yield Batch([split.path], [data.decode("utf-8", "replace")], [0])
