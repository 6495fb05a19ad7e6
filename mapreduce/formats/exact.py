"""Exact records, for results that go back to the caller instead of into files.

    batch = size:u32 pickle((keys, values))

Pickled by a task and read by the user's own process; no daemon opens it.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from mapreduce.errors import RunCorrupt

_SIZE = struct.Struct("<I")


class Exact:
    """Records with the types they were emitted with."""

    def encode(self, keys: Sequence[Any], values: Sequence[Any]) -> bytes:
        """One batch."""
        data = pickle.dumps((list(keys), list(values)), pickle.HIGHEST_PROTOCOL)
        return _SIZE.pack(len(data)) + data

    def decode(self, file: BinaryIO) -> Iterator[tuple[Any, Any]]:
        """The records; raises RunCorrupt if the file is cut short."""
        while head := file.read(_SIZE.size):
            (size,) = _SIZE.unpack(head)
            data = file.read(size)
            if len(data) != size:
                raise RunCorrupt(f"a part of the result ends {size - len(data)} bytes too early")
            keys, values = pickle.loads(data)
            yield from zip(keys, values, strict=True)
