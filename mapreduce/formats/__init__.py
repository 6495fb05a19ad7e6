"""Input and output formats: from bytes to records and from records to bytes.

A job names a class or an instance (`output_format = JSONLines`); `made` turns both into an
instance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple, Protocol, TypeVar

from mapreduce.job import FileSplit

Count = Callable[[str, int], None]
"""Counts what was wrong with records, under a name."""


class Batch(NamedTuple):
    """Some records: keys, values and byte offsets in the file, of equal length."""

    keys: Sequence[Any]
    values: Sequence[Any]
    offsets: Sequence[int]


class InputFormat(Protocol):
    """Reads the records that begin in a split."""

    whole_files: bool
    """A split is a whole file, also an empty one."""

    def position(self, split: FileSplit) -> int:
        """Where the file must be opened for `read`."""
        ...

    def read(self, file: BinaryIO, split: FileSplit, count: Count) -> Iterator[Batch]:
        """Batches of records; raises BadRecordError. `file.read(n)` may return fewer bytes."""
        ...


class OutputFormat(Protocol):
    """Writes records, and reads back what it wrote."""

    def encode(self, keys: Sequence[Any], values: Sequence[Any]) -> bytes:
        """The records as bytes; raises RecordError."""
        ...

    def decode(self, file: BinaryIO) -> Iterator[tuple[Any, Any]]:
        """The records of a part file, as far as the format kept their types."""
        ...


class RecordError(ValueError):
    """The format cannot write a record."""

    def __init__(self, reason: str, key: Any, value: Any) -> None:
        super().__init__(reason)
        self.record = (key, value)


class BadRecordError(ValueError):
    """The input is not what the format reads; `offset` is where in the file."""

    def __init__(self, reason: str, offset: int, record: bytes) -> None:
        super().__init__(reason)
        self.offset = offset
        self.record = record


_Format = TypeVar("_Format")


def made(form: type[_Format] | _Format) -> _Format:
    """The format as an instance."""
    return form() if isinstance(form, type) else form
