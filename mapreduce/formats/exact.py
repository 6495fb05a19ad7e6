"""Exact records, for what lies between two steps and for results that go back to the caller.

    batch = size:u32 pickle((keys, values))

Pickled by a task, read by a task of the same job or by the user's own process; no daemon
opens it. A task knows the job file as module ``minimr_job``; a reader that imported it under
another name says so, and its own classes come back.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from mapreduce.errors import RunCorrupt
from mapreduce.formats import Batch, Count
from mapreduce.job import FileSplit
from mapreduce.loader import MODULE_NAME

_SIZE = struct.Struct("<I")


class Exact:
    """Records with the types they were emitted with; ``home`` is the job file's module here."""

    def __init__(self, home: str = MODULE_NAME) -> None:
        self._home = home

    whole_files = True

    def encode(self, keys: Sequence[Any], values: Sequence[Any]) -> bytes:
        """One batch."""
        data = pickle.dumps((list(keys), list(values)), pickle.HIGHEST_PROTOCOL)
        return _SIZE.pack(len(data)) + data

    def decode(self, file: BinaryIO) -> Iterator[tuple[Any, Any]]:
        """The records; raises RunCorrupt if the file is cut short."""
        for batch in self._batches(file):
            yield from zip(batch.keys, batch.values, strict=True)

    def position(self, split: FileSplit) -> int:
        """A split is a whole part."""
        return 0

    def read(self, file: BinaryIO, split: FileSplit, count: Count) -> Iterator[Batch]:
        """The records as they were written, batch by batch; each at the offset of its batch."""
        return self._batches(file)

    def _batches(self, file: BinaryIO) -> Iterator[Batch]:
        at = 0
        while head := file.read(_SIZE.size):
            (size,) = _SIZE.unpack(head)
            data = file.read(size)
            if len(data) != size:
                raise RunCorrupt(f"a part of the result ends {size - len(data)} bytes too early")
            keys, values = _Unpickler(data, self._home).load()
            yield Batch(keys, values, [at] * len(keys))
            at += _SIZE.size + size


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, home: str) -> None:
        super().__init__(io.BytesIO(data))
        self._home = home

    def find_class(self, module: str, name: str) -> Any:
        return super().find_class(self._home if module == MODULE_NAME else module, name)
