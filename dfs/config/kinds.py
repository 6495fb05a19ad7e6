"""The kinds of values a configuration key can have: how each is read, checked and written.

``read`` takes what the TOML parser gave and returns the typed value, or raises BadArgument
whose text says what is wrong with it (the place is added by the caller). ``write`` is its
inverse and returns TOML source. TOML's ``true`` arrives as a ``bool``, which Python counts
as an ``int``: every reader therefore compares exact types.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from dfs.address import check_address
from dfs.errors import BadArgument
from dfs.quantities import format_size, format_time, parse_size, parse_time
from dfs.security.keys import key_text, parse_key

T = TypeVar("T")

SHOWN_MAX_CHARS = 60
"""As much of a wrong value is repeated in the error about it."""

WITHOUT_KEYS = "none"
"""The security mode in which nobody proves who he is."""

AUTO = "auto"
"""What a file says where a value is derived from others; the typed value is None."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of value: its reader and its writer, inverse to each other."""

    read: Callable[[object], Any]
    write: Callable[[Any], str]


@dataclass(frozen=True, slots=True)
class Reserve:
    """Disk space that a datanode leaves free: the larger of a size and a share of the disk."""

    size_bytes: int
    percent: int

    def of(self, capacity_bytes: int) -> int:
        """Bytes to leave free on a disk of ``capacity_bytes``."""
        return max(self.size_bytes, capacity_bytes * self.percent // 100)


def text() -> Kind:
    """Any printable text, not empty."""
    return Kind(_text, _quote)


def name(max_chars: int) -> Kind:
    """Letters, digits, dot, dash and underscore; may be empty."""

    def read(value: object) -> str:
        found = _typed(value, str, "text in quotes")
        plain = found.replace("-", "").replace("_", "").replace(".", "")
        if len(found) > max_chars or not plain.isascii() or not (plain.isalnum() or not found):
            raise BadArgument(f"{found!r} is not a name of up to {max_chars} letters, digits, .-_")
        return found

    return Kind(read, _quote)


def whole(low: int, high: int) -> Kind:
    """A whole number from ``low`` to ``high``."""

    def read(value: object) -> int:
        number = _typed(value, int, "a whole number")
        if not low <= number <= high:
            raise BadArgument(f"{number} is not from {low} to {high}")
        return number

    return Kind(read, str)


def size(low_bytes: int, high_bytes: int) -> Kind:
    """A size such as ``"64M"``; bytes."""

    def read(value: object) -> int:
        found = _typed(value, str, 'a size in quotes, as "64M"')
        return _in_range(found, parse_size(found), (low_bytes, high_bytes), format_size)

    return Kind(read, lambda size_bytes: _quote(format_size(size_bytes)))


def time(low_ns: int, high_ns: int) -> Kind:
    """A time such as ``"10s"``; nanoseconds."""

    def read(value: object) -> int:
        found = _typed(value, str, 'a time in quotes, as "10s"')
        return _in_range(found, parse_time(found), (low_ns, high_ns), format_time)

    return Kind(read, lambda time_ns: _quote(format_time(time_ns)))


def boolean() -> Kind:
    """``true`` or ``false``."""
    return Kind(
        lambda value: _typed(value, bool, "true or false"),
        lambda value: "true" if value else "false",
    )


def choice(*options: str) -> Kind:
    """One of a few words."""

    def read(value: object) -> str:
        found = _typed(value, str, "text in quotes")
        if found not in options:
            raise BadArgument(f"{found!r} is not known: the choice is {', '.join(options)}")
        return found

    return Kind(read, _quote)


def address(*, port_min: int = 0) -> Kind:
    """``host:port`` or ``ipc://PATH``."""

    def read(value: object) -> str:
        found = _typed(value, str, 'an address in quotes, as "127.0.0.1:9860"')
        check_address(found, port_min=port_min)
        return found

    return Kind(read, _quote)


def key() -> Kind:
    """A public key; empty where there is none, the typed value is None."""

    def read(value: object) -> bytes | None:
        found = _typed(value, str, "a key in quotes")
        return parse_key(found) if found else None

    return Kind(read, lambda value: _quote(key_text(value) if value else ""))


def folder() -> Kind:
    """A folder, absolute or below MINIDFS_HOME; ``{id}`` in it stands for the process's id."""
    return Kind(_folder, _quote)


def folders() -> Kind:
    """A list of different folders, at least one."""

    def read(value: object) -> tuple[str, ...]:
        found = tuple(_folder(item) for item in _typed(value, list, "a list of folders"))
        if not found or len(set(found)) != len(found):
            raise BadArgument("the list needs at least one folder and none twice")
        return found

    return Kind(read, lambda value: f"[{', '.join(map(_quote, value))}]")


def reserve() -> Kind:
    """A size, a percentage, or both with a comma between; the larger one counts."""
    return Kind(_reserve, _format_reserve)


def auto(kind: Kind) -> Kind:
    """``kind``, or the word ``auto``, which is read as None."""
    return Kind(
        lambda value: None if value == AUTO else kind.read(value),
        lambda value: _quote(AUTO) if value is None else kind.write(value),
    )


def _typed(value: object, kind: type[T], wanted: str) -> T:
    if not isinstance(value, kind) or type(value) is not kind:
        raise BadArgument(f"{_shown(value)} is not {wanted}")
    return value


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    shown = repr(value)
    return shown if len(shown) <= SHOWN_MAX_CHARS else f"{shown[:SHOWN_MAX_CHARS]}…"


def _in_range(found: str, value: int, bounds: tuple[int, int], show: Callable[[int], str]) -> int:
    low, high = bounds
    if not low <= value <= high:
        raise BadArgument(f"{found} is not from {show(low)} to {show(high)}")
    return value


def _text(value: object) -> str:
    found = _typed(value, str, "text in quotes")
    if not found.strip() or not found.isprintable():
        raise BadArgument(f"{found!r} is empty or has signs that cannot be printed")
    return found


def _folder(value: object) -> str:
    found = _text(value)
    if found.startswith("~"):
        raise BadArgument(f"{found!r} is not expanded: write the folder's full path")
    return found


def _reserve(value: object) -> Reserve:
    found = _typed(value, str, 'text in quotes, as "1G, 5%"')
    size_bytes, percent = 0, 0
    for part in found.split(","):
        digits = part.strip().removesuffix("%")
        if digits == part.strip():
            size_bytes = parse_size(part)
        elif digits.isascii() and digits.isdigit() and int(digits[:3]) < 100 and len(digits) < 3:
            percent = int(digits)
        else:
            raise BadArgument(f"{part.strip()!r} is not a percentage from 0% to 99%")
    return Reserve(size_bytes, percent)


def _format_reserve(value: Reserve) -> str:
    return _quote(f"{format_size(value.size_bytes)}, {value.percent}%")


def _quote(value: str) -> str:
    # For printable text a JSON string is a TOML basic string.
    return json.dumps(value, ensure_ascii=False)
