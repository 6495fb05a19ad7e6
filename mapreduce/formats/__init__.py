"""Input and output formats: from bytes to records and from records to bytes.

A job names a class or an instance (`output_format = JSONLines`); `made` turns both into an
instance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO, Protocol, TypeVar

from mapreduce.job import FileSplit

Batch = tuple[Sequence[Any], Sequence[Any]]
"""Keys and values of some records, of equal length."""


class InputFormat(Protocol):
    """Reads the records that begin in a split."""

    def position(self, split: FileSplit) -> int:
        """Where the file must be opened for `read`."""
        ...

    def read(
        self, file: BinaryIO, split: FileSplit, count: Callable[[str, int], None]
    ) -> Iterator[Batch]:
        """Batches of records; `count(name, n)` counts what was wrong with them."""
        ...

    def offset_of(self, key: Any) -> int:
        """The byte offset of the record with this key, -1 if unknown."""
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


_Format = TypeVar("_Format")


def made(form: type[_Format] | _Format) -> _Format:
    """The format as an instance."""
    return form() if isinstance(form, type) else form
