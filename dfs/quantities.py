"""Quantities as people write them: ``64K``, ``16M``, ``1G``; ``100ms``, ``10s``; ``1 file``.

There is one spelling for each quantity. Sizes are powers of 1024 and carry one letter, so
``MB`` (which means a million bytes to some and 1024² to others) is refused. Times always
carry a unit. Fractions do not exist: both kinds become integers, bytes and nanoseconds.
"""

from __future__ import annotations

import re

from dfs.errors import BadArgument

SIZE_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
TIME_UNITS = {
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60 * 1_000_000_000,
    "h": 3_600 * 1_000_000_000,
    "d": 86_400 * 1_000_000_000,
}
MAX_QUANTITY = (1 << 63) - 1
"""Largest value of either kind: it fits a signed 64-bit field; 292 years or 8 EiB."""

_QUANTITY = re.compile(r"([0-9]{1,19})([A-Za-z]*)")


def parse_size(text: str) -> int:
    """Bytes meant by ``text``; raises BadArgument that names the right spelling."""
    number, unit = _split(text, "a size", "64K, 16M or 1G")
    if unit not in SIZE_UNITS:
        raise BadArgument(f"{text!r} is not a size: {_size_advice(number, unit)}")
    return _bounded(text, number * SIZE_UNITS[unit])


def format_size(size_bytes: int) -> str:
    """The shortest exact spelling: ``65536`` is ``64K``, ``1000`` stays ``1000``."""
    return _format(size_bytes, SIZE_UNITS)


def parse_time(text: str) -> int:
    """Nanoseconds meant by ``text``; raises BadArgument that names the right spelling."""
    number, unit = _split(text, "a time", "100ms, 10s, 5m, 2h or 3d")
    if unit not in TIME_UNITS:
        problem = f"has the unknown unit {unit!r}" if unit else "has no unit"
        raise BadArgument(f"{text!r} is not a time: it {problem}; use ms, s, m, h or d")
    return _bounded(text, number * TIME_UNITS[unit])


def format_time(time_ns: int) -> str:
    """The shortest exact spelling; ``time_ns`` is a multiple of a millisecond."""
    if time_ns % TIME_UNITS["ms"]:
        raise BadArgument(f"{time_ns} ns is not a whole number of milliseconds")
    return _format(time_ns, TIME_UNITS) if time_ns else "0s"


def _split(text: str, kind: str, examples: str) -> tuple[int, str]:
    match = _QUANTITY.fullmatch(text.strip())
    if match is None:
        raise BadArgument(f"{text!r} is not {kind}: write a whole number and a unit, as {examples}")
    return int(match[1]), match[2]


def _size_advice(number: int, unit: str) -> str:
    letter = unit[:1].upper()
    if letter not in SIZE_UNITS or unit.upper() not in (letter, f"{letter}B", f"{letter}IB"):
        return "the units are K, M, G and T (powers of 1024); bytes have none"
    if unit == f"{letter}B":
        return (
            f"{unit} means a power of 1000 to some and of 1024 to others;"
            f" write {number}{letter}, which is {number} x {SIZE_UNITS[letter]} bytes"
        )
    return f"write {number}{letter}"


def _bounded(text: str, value: int) -> int:
    if value > MAX_QUANTITY:
        raise BadArgument(f"{text!r} is too large: the limit is {MAX_QUANTITY}")
    return value


def _format(value: int, units: dict[str, int]) -> str:
    """``value`` in the largest unit that divides it; ``units`` rise."""
    unit = max((u for u in units if value % units[u] == 0), key=units.__getitem__)
    return f"{value // units[unit]}{unit}" if value else "0"


def counted(number: int, word: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{number} {word}{'' if number == 1 else 's'}"
