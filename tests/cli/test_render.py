"""Sizes, times, modes and tables as people see them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli import render


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0"),
        (1023, "1023"),
        (1024, "1.0K"),
        (1025, "1.1K"),
        (10 * 1024, "10K"),
        (10 * 1024 + 1, "11K"),
        (1023 * 1024, "1023K"),
        (1023 * 1024 + 1, "1.0M"),
        (5 * 1024**3, "5.0G"),
    ],
)
def test_human_sizes_round_up_as_ls_does(size_bytes: int, text: str) -> None:
    assert render.human_size(size_bytes) == text


@given(st.integers(0, 1 << 63))
def test_human_sizes_are_short_and_never_too_small(size_bytes: int) -> None:
    text = render.human_size(size_bytes)
    assert len(text) <= 5
    unit = 1024 ** (" KMGTPE".index(text[-1])) if text[-1].isalpha() else 1
    shown = float(text.rstrip("KMGTPE")) * unit
    assert size_bytes <= shown * (1 + 1e-9)
    assert shown <= size_bytes * 1.11 + 1


def test_times_are_utc_with_microseconds() -> None:
    assert render.rfc3339(1_000_000_000_123_456_789) == "2001-09-09T01:46:40.123456Z"
    assert render.rfc3339(0) == "1970-01-01T00:00:00.000000Z"
    assert render.full_time(1_000_000_000_000_000_001) == ("2001-09-09 01:46:40.000000001 +0000")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (12, "12 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert render.duration(int(seconds * 1e9)) == text


def test_modes() -> None:
    assert render.mode_text(True, 0o755) == "drwxr-xr-x"
    assert render.mode_text(False, 0o640) == "-rw-r-----"


def test_tables_align_columns_and_leave_no_blanks_at_line_ends() -> None:
    rows = [("NAME", "N"), ("a", "100"), ("longer", "")]
    assert render.table(rows, frozenset({1})) == ["NAME      N", "a       100", "longer"]
    assert render.table([]) == []


def test_json_lines_carry_their_version_and_keep_signs_as_they_are() -> None:
    line = render.json_line({"path": "/ü\n😀"})
    assert json.loads(line) == {"v": 1, "path": "/ü\n😀"}
    assert "\n" not in line
    assert "😀" in line
