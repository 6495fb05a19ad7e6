"""Canonical keys: which keys are equal, how they sort, and to which partition they belong.

Rules, the same in every lane and every runner:

* A key is None, bool, int, float, str, bytes, date, naive datetime, or a tuple of keys.
  Exact types only: a subclass would come back as another type than it was emitted with.
* Equal means equal type and equal value. One NaN stands for all of them, -0.0 becomes 0.0,
  and `fold` of a datetime is dropped, for Python calls those equal too.
* The keys of a job have one type; tuples have one type for each field. None goes with any.
* Order: None first, numbers by value with NaN last, text by code point, bytes by byte,
  tuples field by field.

`encode` writes a key so that bytes compare as keys do; `decode` reads it back. Equal keys
have equal bytes, so the bytes also decide the partition. The layout is in docs/formats.md;
tests/golden/keys.json pins it.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta
from typing import Any

from xxhash import xxh3_64_intdigest

KeyType = str | tuple["KeyType", ...]
"""Name of a scalar type, or the types of a tuple's fields."""

NONE: KeyType = "None"

TUPLE_END = 0x00
TAG_NONE = 0x01
TAG_FALSE = 0x02
TAG_TRUE = 0x03
TAG_INT = 0x10
TAG_FLOAT = 0x20
TAG_STR = 0x30
TAG_BYTES = 0x31
TAG_DATE = 0x40
TAG_DATETIME = 0x41
TAG_TUPLE = 0x50

_SCALARS = {type(None): "None"} | {
    kind: kind.__name__ for kind in (bool, int, float, str, bytes, date, datetime)
}
_NAN = math.nan
_EPOCH = datetime(1, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_SIGN = 1 << 63
_ALL = (1 << 64) - 1
_LONG = 127
"""An int of so many bytes or more writes its length in four bytes of its own."""


class KeyTypesError(TypeError):
    """Two keys of one job have different types."""

    def __init__(self, one: KeyType, other: KeyType) -> None:
        super().__init__(
            f"keys of two types: {show_type(one)} and {show_type(other)};"
            " all keys of a job must have the same type"
        )


class KeyTypeError(TypeError):
    """A key's type has no canonical form."""

    def __init__(self, kind: type) -> None:
        advice = "use a tuple" if kind in (list, set, dict) else "convert it to one of those"
        super().__init__(
            f"a key of type {kind.__qualname__}: keys are None, bool, int, float, str, bytes,"
            f" date, naive datetime or tuples of these; {advice}"
        )


def show_type(key_type: KeyType) -> str:
    """The type as people write it: `int`, `tuple[str, int]`."""
    if isinstance(key_type, str):
        return key_type
    return f"tuple[{', '.join(map(show_type, key_type)) or '()'}]"


def join_types(one: KeyType, other: KeyType) -> KeyType:
    """The type of keys of both types; raises KeyTypesError if there is none."""
    if one == other or other == NONE:
        return one
    if one == NONE:
        return other
    if isinstance(one, str) or isinstance(other, str) or len(one) != len(other):
        raise KeyTypesError(one, other)
    try:
        return tuple(map(join_types, one, other))
    except KeyTypesError:
        raise KeyTypesError(one, other) from None


def type_of(key: Any) -> KeyType:
    """The type of one key; raises KeyTypeError."""
    if type(key) is tuple:
        return tuple(map(type_of, key))
    name = _SCALARS.get(type(key))
    if name is None or (type(key) is datetime and key.tzinfo is not None):
        raise KeyTypeError(type(key))
    return name


def type_of_all(keys: Sequence[Any]) -> KeyType:
    """The one type of several keys; raises KeyTypeError or KeyTypesError."""
    kinds = set(map(type, keys))
    if len(kinds) == 1:
        kind = kinds.pop()
        if kind in _SCALARS and kind is not datetime:
            return _SCALARS[kind]
        if kind is tuple and len(set(map(len, keys))) == 1:
            with suppress(KeyTypesError):  # the loop below names the whole tuples' types
                return tuple(type_of_all(field) for field in zip(*keys, strict=True))
    found: KeyType = NONE
    for key in keys:
        found = join_types(found, type_of(key))
    return found


def canonical_all(keys: list[Any], key_type: KeyType) -> list[Any]:
    """The keys with one NaN, no negative zero and no fold; the list itself if none can occur."""
    return list(map(canonical, keys)) if _varies(key_type) else keys


def canonical(key: Any) -> Any:
    """The one key that stands for all keys equal to this one."""
    kind = type(key)
    if kind is float:
        return _NAN if key != key else key + 0.0
    if kind is datetime:
        return key.replace(fold=0)
    if kind is tuple:
        return tuple(map(canonical, key))
    return key


def _varies(key_type: KeyType) -> bool:
    if isinstance(key_type, str):
        return key_type in ("float", "datetime")
    return any(map(_varies, key_type))


def partitions_of(keys: Sequence[Any], partitions: int) -> list[int]:
    """The partition of each canonical key: xxh3-64 of its bytes, modulo `partitions`."""
    if partitions == 1:
        return [0] * len(keys)
    encoder = _encode_str if set(map(type, keys)) == {str} else encode
    return [xxh3_64_intdigest(encoder(key)) % partitions for key in keys]


def encode(key: Any) -> bytes:
    """Canonical bytes of a canonical key: they compare as the keys do."""
    kind = type(key)
    if kind is str:
        return _encode_str(key)
    if kind is int:
        return _encode_int(key)
    if kind is tuple:
        return bytes([TAG_TUPLE]) + b"".join(map(encode, key)) + bytes([TUPLE_END])
    if kind is float:
        return _encode_float(key)
    if kind is bytes:
        return bytes([TAG_BYTES]) + _escape(key)
    if key is None:
        return bytes([TAG_NONE])
    if kind is bool:
        return bytes([TAG_TRUE if key else TAG_FALSE])
    if kind is datetime:
        return struct.pack(">BQ", TAG_DATETIME, (key - _EPOCH) // _MICROSECOND)
    if kind is date:
        return struct.pack(">BI", TAG_DATE, key.toordinal())
    raise KeyTypeError(kind)


def _escape(data: bytes) -> bytes:
    return data.replace(b"\0", b"\0\xff") + b"\0"


def _encode_str(key: str) -> bytes:
    return b"\x30" + _escape(key.encode("utf-8", "surrogatepass"))


def _encode_int(key: int) -> bytes:
    size = (abs(key).bit_length() + 7) // 8
    if key >= 0:
        head = struct.pack(">BI", 0x80 + _LONG, size) if size >= _LONG else bytes([0x80 + size])
        return bytes([TAG_INT]) + head + key.to_bytes(size, "big")
    complement = (key + (1 << 8 * size) - 1).to_bytes(size, "big")
    if size >= _LONG:
        head = struct.pack(">BI", 0x80 - _LONG, 0xFFFFFFFF - size)
    else:
        head = bytes([0x80 - size])
    return bytes([TAG_INT]) + head + complement


def _encode_float(key: float) -> bytes:
    (bits,) = struct.unpack(">Q", struct.pack(">d", key))
    bits ^= _ALL if bits & _SIGN else _SIGN
    return struct.pack(">BQ", TAG_FLOAT, bits)


def decode(data: bytes) -> Any:
    """The key whose canonical bytes these are; raises ValueError for other bytes."""
    try:
        key, end = _decode(data, 0)
    except (IndexError, struct.error, OverflowError) as error:
        raise ValueError(f"no canonical key: {error}") from error
    if end != len(data):
        raise ValueError(f"no canonical key: {len(data) - end} bytes too many")
    return key


def first_field(data: bytes) -> bytes:
    """Canonical bytes of the first field of a tuple that has one."""
    _, end = _decode(data, 1)
    return data[1:end]


def _decode(data: bytes, at: int) -> tuple[Any, int]:
    tag = data[at]
    at += 1
    if tag == TAG_NONE:
        return None, at
    if tag in (TAG_FALSE, TAG_TRUE):
        return tag == TAG_TRUE, at
    if tag == TAG_INT:
        return _decode_int(data, at)
    if tag in (TAG_STR, TAG_BYTES):
        raw, at = _unescape(data, at)
        return (raw.decode("utf-8", "surrogatepass") if tag == TAG_STR else raw), at
    if tag == TAG_FLOAT:
        (bits,) = struct.unpack_from(">Q", data, at)
        bits ^= _SIGN if bits & _SIGN else _ALL
        return struct.unpack(">d", bits.to_bytes(8, "big"))[0], at + 8
    if tag == TAG_DATE:
        return date.fromordinal(*struct.unpack_from(">I", data, at)), at + 4
    if tag == TAG_DATETIME:
        (microseconds,) = struct.unpack_from(">Q", data, at)
        return _EPOCH + microseconds * _MICROSECOND, at + 8
    if tag == TAG_TUPLE:
        return _decode_tuple(data, at)
    raise ValueError(f"no canonical key: tag {tag:#04x}")


def _decode_tuple(data: bytes, at: int) -> tuple[tuple[Any, ...], int]:
    fields = []
    while data[at] != TUPLE_END:
        field, at = _decode(data, at)
        fields.append(field)
    return tuple(fields), at + 1


def _decode_int(data: bytes, at: int) -> tuple[int, int]:
    size = data[at] - 0x80
    negative = size < 0
    at += 1
    if abs(size) >= _LONG:
        (size,) = struct.unpack_from(">I", data, at)
        size = 0xFFFFFFFF - size if negative else size
        at += 4
    size = abs(size)
    magnitude = data[at : at + size]
    if len(magnitude) != size:
        raise ValueError(f"no canonical key: {size - len(magnitude)} bytes of an int are missing")
    value = int.from_bytes(magnitude, "big")
    return (value - (1 << 8 * size) + 1 if negative else value), at + size


def _unescape(data: bytes, at: int) -> tuple[bytes, int]:
    end = data.index(b"\0", at)
    while data[end + 1 : end + 2] == b"\xff":
        end = data.index(b"\0", end + 2)
    return data[at:end].replace(b"\0\xff", b"\0"), end + 1
