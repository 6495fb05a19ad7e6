"""Sizes and times: one spelling each, exact, and refusals that name the right one."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfs.errors import BadArgument
from dfs.quantities import MAX_QUANTITY, format_size, format_time, parse_size, parse_time

MILLISECOND_NS = 1_000_000


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("0", 0),
        ("1000", 1000),
        ("64K", 65_536),
        (" 16M ", 16 * 1024**2),
        ("1G", 1024**3),
        ("3T", 3 * 1024**4),
    ],
)
def test_sizes_are_powers_of_1024(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("0s", 0),
        ("100ms", 100 * MILLISECOND_NS),
        ("10s", 10_000 * MILLISECOND_NS),
        ("5m", 300_000 * MILLISECOND_NS),
        ("2h", 7_200_000 * MILLISECOND_NS),
        ("3d", 259_200_000 * MILLISECOND_NS),
    ],
)
def test_times_are_nanoseconds(text: str, time_ns: int) -> None:
    assert parse_time(text) == time_ns


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("16MB", "of 1024 to others; write 16M, which is 16 x 1048576 bytes"),
        ("64KB", "write 64K"),
        ("64kB", "write 64K"),
        ("16MiB", "write 16M"),
        ("1g", "write 1G"),
        ("512B", "bytes have none"),
        ("5s", "the units are K, M, G and T"),
        ("5Gs", "the units are K, M, G and T"),
        ("1.5G", "write a whole number and a unit"),
        ("-1K", "write a whole number and a unit"),
        ("٣K", "write a whole number and a unit"),
        ("", "write a whole number and a unit"),
        ("K", "write a whole number and a unit"),
        ("99999999T", "too large"),
    ],
)
def test_a_wrong_size_is_refused_with_the_right_spelling(text: str, advice: str) -> None:
    with pytest.raises(BadArgument) as caught:
        parse_size(text)
    assert advice in str(caught.value)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("10", "has no unit"),
        ("10sec", "unknown unit 'sec'; use ms, s, m, h or d"),
        ("5M", "unknown unit 'M'"),
        ("1.5s", "write a whole number and a unit"),
        ("9999999999d", "too large"),
    ],
)
def test_a_wrong_time_is_refused_with_the_right_spelling(text: str, advice: str) -> None:
    with pytest.raises(BadArgument) as caught:
        parse_time(text)
    assert advice in str(caught.value)


def test_formats_take_the_largest_unit_that_is_exact() -> None:
    assert [format_size(n) for n in (0, 1000, 65_536, 1024**2 + 1024, 1024**3)] == [
        "0",
        "1000",
        "64K",
        "1025K",
        "1G",
    ]
    times_ms = (0, 100, 10_000, 90_000, 120_000, 86_400_000)
    assert [format_time(ms * MILLISECOND_NS) for ms in times_ms] == [
        "0s",
        "100ms",
        "10s",
        "90s",
        "2m",
        "1d",
    ]


def test_a_time_below_a_millisecond_has_no_spelling() -> None:
    with pytest.raises(BadArgument, match="whole number of milliseconds"):
        format_time(1)


@given(st.integers(0, MAX_QUANTITY))
def test_a_formatted_size_parses_to_itself(size_bytes: int) -> None:
    assert parse_size(format_size(size_bytes)) == size_bytes


@given(st.integers(0, MAX_QUANTITY // MILLISECOND_NS))
def test_a_formatted_time_parses_to_itself(time_ms: int) -> None:
    assert parse_time(format_time(time_ms * MILLISECOND_NS)) == time_ms * MILLISECOND_NS


@given(st.text(max_size=30))
def test_any_text_is_a_quantity_or_a_bad_argument(text: str) -> None:
    for parse in (parse_size, parse_time):
        with contextlib.suppress(BadArgument):
            assert 0 <= parse(text) <= MAX_QUANTITY
