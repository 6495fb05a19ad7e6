"""Records as columns: how keys and values become a Polars frame and come back unchanged.

A column is typed only where its type is known for certain; Polars never guesses. In a frame

    k            keys of one scalar type             v            values of one scalar type
    k0 k1 …      fields of tuples, one arity         v0 v1 …      fields of tuples, one arity
    kc           canonical bytes of other keys       vp           pickles of other values

so the names say how to read the columns. A scalar type is exactly int within 64 bits, float,
str that encodes, bytes, bool, date or naive datetime; None may stand among them. What comes
out has the exact types that went in. Columns of keys, of all three kinds, sort as canonical
keys do.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import polars as pl

from mapreduce.shuffle import keys as canonical_keys

GENERAL_KEY = "kc"
GENERAL_VALUE = "vp"
_MAX_FIELDS = 64
"""Longer tuples are pickled: a frame of very many columns costs more than it saves."""

_DTYPES: dict[type, pl.DataType] = {
    int: pl.Int64(),
    float: pl.Float64(),
    str: pl.String(),
    bytes: pl.Binary(),
    bool: pl.Boolean(),
    date: pl.Date(),
    datetime: pl.Datetime("us"),
}


def to_frame(keys: Sequence[Any], values: Sequence[Any]) -> pl.DataFrame:
    """The records as columns; keys are canonical and of one type.

    Raises what `pickle` raises for a value that cannot be pickled.
    """
    return pl.DataFrame(key_columns(keys) + value_columns(values))


def key_columns(keys: Sequence[Any]) -> list[pl.Series]:
    """Columns that sort as the keys do."""
    columns = _typed("k", keys)
    if columns is None:
        encoded = list(map(canonical_keys.encode, keys))
        columns = [pl.Series(GENERAL_KEY, encoded, pl.Binary())]
    return columns


def value_columns(values: Sequence[Any]) -> list[pl.Series]:
    """Columns that give the values back."""
    columns = _typed("v", values)
    if columns is None:
        pickled = [pickle.dumps(value, pickle.HIGHEST_PROTOCOL) for value in values]
        columns = [pl.Series(GENERAL_VALUE, pickled, pl.Binary())]
    return columns


def _typed(prefix: str, items: Sequence[Any]) -> list[pl.Series] | None:
    kinds = set(map(type, items))
    if kinds == {tuple}:
        arities = set(map(len, items))
        if len(arities) != 1 or not 0 < max(arities) <= _MAX_FIELDS:
            return None
        columns = []
        for number, field in enumerate(zip(*items, strict=True)):
            column = _scalar(f"{prefix}{number}", field, set(map(type, field)))
            if column is None:
                return None
            columns.append(column)
        return columns
    whole = _scalar(prefix, items, kinds)
    return None if whole is None else [whole]


def _scalar(name: str, items: Sequence[Any], kinds: set[type]) -> pl.Series | None:
    kinds.discard(type(None))
    if not kinds:
        return pl.Series(name, items, pl.Null())
    dtype = _DTYPES.get(kinds.pop())
    if kinds or dtype is None:
        return None
    if dtype == pl.Datetime and any(item and (item.tzinfo or item.fold) for item in items):
        return None
    try:
        return pl.Series(name, items, dtype, strict=True)
    except (TypeError, OverflowError, UnicodeEncodeError):
        return None  # an int beyond 64 bits, a lone surrogate


def key_names(frame: pl.DataFrame) -> list[str]:
    """The columns that make the key."""
    return [name for name in frame.columns if name[0] == "k"]


def value_names(frame: pl.DataFrame) -> list[str]:
    """The columns that make the value."""
    return [name for name in frame.columns if name[0] == "v"]


def keys_of(frame: pl.DataFrame) -> list[Any]:
    """The keys as they were emitted."""
    names = key_names(frame)
    if names == [GENERAL_KEY]:
        return list(map(canonical_keys.decode, frame[GENERAL_KEY].to_list()))
    return _items(frame, names, "k")


def values_of(frame: pl.DataFrame) -> list[Any]:
    """The values as they were emitted."""
    names = value_names(frame)
    if names == [GENERAL_VALUE]:
        return list(map(pickle.loads, frame[GENERAL_VALUE].to_list()))
    return _items(frame, names, "v")


def _items(frame: pl.DataFrame, names: list[str], scalar: str) -> list[Any]:
    if names == [scalar]:
        return frame[scalar].to_list()
    return list(zip(*(frame[name].to_list() for name in names), strict=True))


def key_bytes_at(frame: pl.DataFrame, row: int) -> bytes:
    """Canonical bytes of the key in one row."""
    names = key_names(frame)
    if names == [GENERAL_KEY]:
        encoded: bytes = frame[GENERAL_KEY][row]
        return encoded
    if names == ["k"]:
        return canonical_keys.encode(frame["k"][row])
    return canonical_keys.encode(tuple(frame[name][row] for name in names))


def group_starts(frame: pl.DataFrame) -> list[int]:
    """Rows of a sorted frame where another key begins; the first is 0 unless it is empty."""
    return changes([frame[name] for name in key_names(frame)], frame.height)


def changes(columns: Sequence[pl.Series], height: int) -> list[int]:
    """Row 0, unless there is none, and each row in which one of the columns differs from above."""
    if not height:
        return []
    differs = None
    for column in columns:
        if column.dtype == pl.Null:
            continue
        changed = column.ne_missing(column.shift(1))
        differs = changed if differs is None else differs | changed
    if differs is None:
        return [0]
    starts: list[int] = differs.arg_true().to_list()
    return starts if starts and starts[0] == 0 else [0, *starts]


def sort_by_key(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows by key, those of a key in the order they had."""
    names = [name for name in key_names(frame) if frame[name].dtype != pl.Null]
    if not names:
        return frame
    return frame.sort(names, maintain_order=True, nulls_last=False)


def concat(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The frames below each other; where their columns differ, in the general form of both."""
    if len(frames) == 1:
        return frames[0]
    if len({tuple(frame.schema.items()) for frame in frames}) == 1:
        return pl.concat(frames)
    keys = _same_form([f.select(key_names(f)) for f in frames], _general_keys)
    values = _same_form([f.select(value_names(f)) for f in frames], _general_values)
    return pl.concat(
        [pl.concat([k, v], how="horizontal") for k, v in zip(keys, values, strict=True)]
    )


def _same_form(frames: list[pl.DataFrame], general: Any) -> list[pl.DataFrame]:
    schemas = {tuple(frame.schema.items()) for frame in frames}
    if len(schemas) == 1:
        return frames
    if len({tuple(frame.columns) for frame in frames}) == 1:
        dtypes = [_join_dtypes([f[name].dtype for f in frames]) for name in frames[0].columns]
        if None not in dtypes:
            target = dict(zip(frames[0].columns, dtypes, strict=True))
            return [frame.cast(target) for frame in frames]  # type: ignore[arg-type]
    return [general(frame) for frame in frames]


def _join_dtypes(dtypes: list[pl.DataType]) -> pl.DataType | None:
    known = [dtype for dtype in dtypes if dtype != pl.Null] or [pl.Null()]
    return known[0] if all(dtype == known[0] for dtype in known) else None


def _general_keys(frame: pl.DataFrame) -> pl.DataFrame:
    if frame.columns == [GENERAL_KEY]:
        return frame
    encoded = list(map(canonical_keys.encode, keys_of(frame)))
    return pl.DataFrame([pl.Series(GENERAL_KEY, encoded, pl.Binary())])


def _general_values(frame: pl.DataFrame) -> pl.DataFrame:
    if frame.columns == [GENERAL_VALUE]:
        return frame
    pickled = [pickle.dumps(value, pickle.HIGHEST_PROTOCOL) for value in values_of(frame)]
    return pl.DataFrame([pl.Series(GENERAL_VALUE, pickled, pl.Binary())])


def row_bytes(frame: pl.DataFrame) -> pl.Series:
    """What each row counts against a limit: 16 and the content for text and bytes, else 8."""
    total = pl.repeat(0, frame.height, dtype=pl.Int64, eager=True)
    for column in frame.get_columns():
        if column.dtype == pl.String:
            total = total + (column.str.len_bytes().cast(pl.Int64).fill_null(0) + 16)
        elif column.dtype == pl.Binary:
            total = total + (column.bin.size().cast(pl.Int64).fill_null(0) + 16)
        else:
            total = total + 8
    return total
