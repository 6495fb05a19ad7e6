"""TSV, Text, JSONLines and exact records."""

from __future__ import annotations

import io
import math
from typing import Any

import pytest

from mapreduce import TSV, JSONLines, Text
from mapreduce.errors import RunCorrupt
from mapreduce.formats import RecordError, made
from mapreduce.formats.exact import Exact


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("word", 3, b"word\t3\n"),
        ("word", None, b"word\n"),
        (None, "value", b"value\n"),
        (None, None, b"\n"),
        (("a", 1), 2.5, b"('a', 1)\t2.5\n"),
        ("k", "a\tb", b"k\ta\tb\n"),
        ("", "", b"\t\n"),
        ("grün", b"x", "grün\tb'x'\n".encode()),
    ],
)
def test_tsv_is_str_of_key_and_value(key: Any, value: Any, line: bytes) -> None:
    assert TSV().encode([key], [value]) == line
    assert TSV().encode([key, "x"], [value, 1]) == line + b"x\t1\n"


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("a\tb", 1, "a tab in the key"),
        ("a\nb", 1, "a newline"),
        ("a", "x\ny", "a newline"),
        (None, "\n", "a newline"),
        ("a", "\ud800", "surrogate"),
    ],
)
def test_tsv_refuses_what_would_not_come_back(key: Any, value: Any, words: str) -> None:
    with pytest.raises(RecordError, match=words) as caught:
        TSV().encode(["good", key], ["good", value])
    assert caught.value.record == (key, value)


def test_text_is_the_value() -> None:
    assert Text().encode([1, None, 2], ["a", None, 3]) == b"a\n\n3\n"


def test_json_lines_are_pairs() -> None:
    keys: list[Any] = ["é", ("a", 1), None]
    assert JSONLines().encode(keys, [1.5, {"x": [True]}, None]) == (
        '["é", 1.5]\n[["a", 1], {"x": [true]}]\n[null, null]\n'.encode()
    )


@pytest.mark.parametrize("value", [b"bytes", {1}, math.nan, "\ud800"])
def test_json_refuses_what_it_has_no_form_for(value: Any) -> None:
    with pytest.raises(RecordError) as caught:
        JSONLines().encode([1, 2], ["good", value])
    assert caught.value.record[0] == 2


@pytest.mark.parametrize("form", [TSV, Text, JSONLines, Exact])
def test_no_records_make_no_bytes_that_matter(form: Any) -> None:
    assert list(form().decode(io.BytesIO(form().encode([], [])))) == []


@pytest.mark.parametrize(
    ("form", "records"),
    [
        (TSV, [("a", "1"), ("b", None), ("", "x\ty")]),
        (Text, [(None, "a"), (None, "")]),
        (JSONLines, [("a", [1, None]), (2, "é\n")]),
        (Exact, [(("a", 1), {2}), (None, b"\n")]),
    ],
)
def test_what_was_written_is_read(form: Any, records: list[tuple[Any, Any]]) -> None:
    keys, values = zip(*records, strict=True)
    data = form().encode(keys, values)
    assert list(form().decode(io.BytesIO(data + data))) == records * 2


def test_exact_records_cut_short_are_found() -> None:
    data = Exact().encode([1], [2])
    with pytest.raises(RunCorrupt, match="2 bytes too early"):
        list(Exact().decode(io.BytesIO(data[:-2])))


def test_a_format_is_a_class_or_an_instance() -> None:
    form = Text()
    assert made(form) is form
    assert isinstance(made(Text), Text)
