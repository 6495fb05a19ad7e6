"""How sizes, times, modes and tables look. Pure functions of what they show."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

SECOND_NS = 1_000_000_000
UNITS = "KMGTPE"


def human_size(size_bytes: int) -> str:
    """As ``ls -h`` writes it: ``999``, ``1.5K``, ``12M``; rounded up, at most four signs."""
    if size_bytes < 1024:
        return str(size_bytes)
    unit, scale = 0, 1024
    while size_bytes > 1023 * scale and unit < len(UNITS) - 1:
        unit, scale = unit + 1, scale * 1024
    tenths = -(-size_bytes * 10 // scale)
    if tenths < 100:
        return f"{tenths // 10}.{tenths % 10}{UNITS[unit]}"
    return f"{-(-size_bytes // scale)}{UNITS[unit]}"


def rfc3339(time_ns: int) -> str:
    """A moment in UTC with microseconds: ``2026-11-21T05:57:01.250000Z``."""
    seconds, rest_ns = divmod(time_ns, SECOND_NS)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest_ns // 1000:06d}Z"


def minute(time_ns: int) -> str:
    """A moment in local time, to the minute, as ``ls -l`` shows it."""
    return f"{datetime.fromtimestamp(time_ns // SECOND_NS):%Y-%m-%d %H:%M}"


def full_time(time_ns: int) -> str:
    """A moment in UTC as ``stat -c %y`` shows it."""
    seconds, rest_ns = divmod(time_ns, SECOND_NS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}.{rest_ns:09d} +0000"


def duration(time_ns: int) -> str:
    """A length of time for people: ``0.4 s``, ``12 s``, ``3 min 20 s``, ``2 h 5 min``."""
    seconds = time_ns / SECOND_NS
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def mode_text(is_dir: bool, mode: int) -> str:
    """Type and permissions as ``ls -l`` shows them: ``drwxr-xr-x``."""
    bits = "".join(
        sign if mode & (0o400 >> position) else "-" for position, sign in enumerate("rwxrwxrwx")
    )
    return ("d" if is_dir else "-") + bits


def table(rows: Iterable[Sequence[str]], right: frozenset[int] = frozenset()) -> list[str]:
    """Lines with aligned columns; those in ``right`` are aligned to the right."""
    kept = [list(row) for row in rows]
    if not kept:
        return []
    widths = [max(len(row[column]) for row in kept) for column in range(len(kept[0]))]
    return [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in kept
    ]


def json_line(fields: dict[str, Any]) -> str:
    """One object in one line, with the version of this form in front."""
    return json.dumps({"v": 1, **fields}, ensure_ascii=False)
