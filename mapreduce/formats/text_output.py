"""Text outputs, one record a line, UTF-8: TSV, Text and JSONLines.

A record that would not come back as one line of the same fields is refused, and named.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from mapreduce.formats import RecordError


class TSV:
    """`str()` of key and value with a tab between; a None is left out with its tab."""

    def encode(self, keys: Sequence[Any], values: Sequence[Any]) -> bytes:
        """Lines; raises RecordError for a tab in a key or a newline in either."""
        if None in keys or None in values:
            lines = [
                "\t".join([str(part) for part in record if part is not None])
                for record in zip(keys, values, strict=True)
            ]
        else:
            lines = [f"{key}\t{value}" for key, value in zip(keys, values, strict=True)]
        text = "\n".join(lines)
        tabs = "\t" in "".join(map(str, keys))
        if tabs or text.count("\n") != len(lines) - 1:
            _refuse_broken(keys, values)
        return _utf8(text + "\n", keys, values) if lines else b""

    def decode(self, file: BinaryIO) -> Iterator[tuple[Any, Any]]:
        """Key and value as text; a line without a tab has no value (None)."""
        for line in _lines(file):
            key, tab, value = line.partition("\t")
            yield key, value if tab else None


class Text:
    """`str()` of the value; the key is left out, and so is the text of a value None."""

    def encode(self, keys: Sequence[Any], values: Sequence[Any]) -> bytes:
        """Lines."""
        lines = ["" if value is None else str(value) for value in values]
        return _utf8("\n".join([*lines, ""]), keys, values) if lines else b""

    def decode(self, file: BinaryIO) -> Iterator[tuple[Any, Any]]:
        """No key (None) and the line."""
        for line in _lines(file):
            yield None, line


class JSONLines:
    """`[key, value]` as JSON; tuples become arrays, and what JSON has no form for is refused."""

    def encode(self, keys: Sequence[Any], values: Sequence[Any]) -> bytes:
        """Lines; raises RecordError."""
        lines = []
        for key, value in zip(keys, values, strict=True):
            try:
                lines.append(json.dumps([key, value], ensure_ascii=False, allow_nan=False))
            except (TypeError, ValueError, RecursionError) as error:
                raise RecordError(f"JSON cannot hold it: {error}", key, value) from None
        return _utf8("\n".join([*lines, ""]), keys, values) if lines else b""

    def decode(self, file: BinaryIO) -> Iterator[tuple[Any, Any]]:
        """Key and value as JSON has them."""
        for line in _lines(file):
            key, value = json.loads(line)
            yield key, value


def _lines(file: BinaryIO) -> Iterator[str]:
    for line in file:
        yield line.decode("utf-8").removesuffix("\n")


def _refuse_broken(keys: Sequence[Any], values: Sequence[Any]) -> None:
    for key, value in zip(keys, values, strict=True):
        if key is not None and "\t" in str(key):
            raise RecordError("a tab in the key: TSV cannot tell it from its own", key, value)
        if "\n" in str(key) or "\n" in str(value):
            raise RecordError("a newline in the record: TSV has one record a line", key, value)


def _utf8(text: str, keys: Sequence[Any], values: Sequence[Any]) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        for key, value in zip(keys, values, strict=True):
            if not _encodes(str(key)) or not _encodes(str(value)):
                raise RecordError("a lone surrogate: UTF-8 cannot hold it", key, value) from None
        raise


def _encodes(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
