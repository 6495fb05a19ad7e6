"""FixedLength(n): a record is n bytes, with nothing between.

Read, the key is (path, byte offset) and the value the n bytes. A record belongs to the split in
which its first byte lies. A file whose size is no multiple of n ends in a short record, which
fails the job.

Written, a record is the value, of n bytes; or key and value, where these have n bytes together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from dfs.errors import BadArgument
from mapreduce.formats import BadRecordError, Batch, Count, RecordError
from mapreduce.job import FileSplit
from mapreduce.records import READ_BYTES, read_up_to


class FixedLength:
    """Records of `record_bytes` bytes each."""

    whole_files = False

    def __init__(self, record_bytes: int) -> None:
        if type(record_bytes) is not int or record_bytes < 1:
            raise BadArgument(f"FixedLength({record_bytes!r}): the bytes of a record, 1 or more")
        self._record_bytes = record_bytes

    def position(self, split: FileSplit) -> int:
        """Where the file must be opened for `read`."""
        return min(self._first(split.start), split.file_bytes)

    def read(self, file: BinaryIO, split: FileSplit, count: Count) -> Iterator[Batch]:
        """Records that begin in the split, in batches of about a megabyte.

        Raises BadRecordError if the last is short."""
        size = self._record_bytes
        at, end = self._first(split.start), self._first(split.end)
        while at < end:
            wanted = min(end - at, max(READ_BYTES // size, 1) * size)
            data = read_up_to(file, wanted)
            whole = len(data) - len(data) % size
            offsets = range(at, at + whole, size)
            values = [data[n : n + size] for n in range(0, whole, size)]
            yield Batch([(split.path, offset) for offset in offsets], values, offsets)
            at += whole
            if len(data) < wanted:
                short = data[whole:]
                raise BadRecordError(f"{len(short)} bytes where {size} make a record", at, short)

    def encode(self, keys: Sequence[Any], values: Sequence[Any]) -> bytes:
        """The records behind each other; raises RecordError."""
        return b"".join(map(self._encode, keys, values))

    def decode(self, file: BinaryIO) -> Iterator[tuple[Any, Any]]:
        """No key (None) and the bytes of each record."""
        while data := read_up_to(file, self._record_bytes):
            yield None, data

    def _encode(self, key: Any, value: Any) -> bytes:
        size = self._record_bytes
        if isinstance(value, bytes) and len(value) == size:
            return value
        if isinstance(value, bytes) and isinstance(key, bytes) and len(key) + len(value) == size:
            return key + value
        raise RecordError(f"FixedLength({size}) needs a value of {size} bytes", key, value)

    def _first(self, offset: int) -> int:
        """Where the first record begins that does not begin before `offset`."""
        return -(-offset // self._record_bytes) * self._record_bytes
