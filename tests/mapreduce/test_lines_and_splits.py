"""Every cut of a text into splits gives the same lines, each exactly once."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapreduce import TextLines
from mapreduce.job import FileSplit
from mapreduce.splits import InputFile, plan_splits

Lines = list[tuple[tuple[str, int], str]]


class Trickle(io.BytesIO):
    """Gives a few bytes at a time, as a socket may."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(3)


def read(text: bytes, splits: list[FileSplit], kind: type[io.BytesIO] = io.BytesIO) -> Lines:
    form = TextLines()
    found: Lines = []
    for split in splits:
        file = kind(text)
        file.seek(form.position(split))
        for keys, values, _ in form.read(file, split, lambda name, n: None):
            found += zip(keys, values, strict=True)
    return found


def plain(text: bytes) -> Lines:
    """The lines by the rules, said once more and slowly."""
    found: Lines = []
    offset = 0
    for line in text.split(b"\n"):
        ended = offset + len(line) < len(text)
        if line or ended:
            shown = line[:-1] if ended and line.endswith(b"\r") else line
            found.append((("f", offset), shown.decode("utf-8", "replace")))
        offset += len(line) + 1
    return found


TEXTS = [
    b"",
    b"\n",
    b"one line",
    b"a\nbb\n\nccc\n",
    b"a\r\nb\r\r\nc\r",
    b"no end\nat the end",
    "grüße\n\u2028 is no end\n\x0b nor \x85 \x1c\n".encode(),
    b"bad \xff\xfe bytes\ngood\n\xc3",
]


@pytest.mark.parametrize("kind", [io.BytesIO, Trickle])
@pytest.mark.parametrize("text", TEXTS)
def test_every_cut_gives_the_same_lines(text: bytes, kind: type[io.BytesIO]) -> None:
    for size in range(1, len(text) + 2):
        splits = list(plan_splits([InputFile("f", len(text))], size))
        assert read(text, splits, kind) == plain(text)


@given(st.lists(st.sampled_from([b"\n", b"\r", b"a", b"\xff", "é".encode()])).map(b"".join))
def test_every_text_gives_its_lines(text: bytes) -> None:
    for size in (1, 2, 3, 1000):
        splits = list(plan_splits([InputFile("f", len(text))], size))
        assert read(text, splits) == plain(text)


def test_lines_longer_than_reads_and_splits() -> None:
    text = b"short\n" + b"x" * 5_000_000 + b"\nend"
    splits = list(plan_splits([InputFile("f", len(text))], 1_000_000))
    lines = read(text, splits)
    assert [(key, len(line)) for key, line in lines] == [
        (("f", 0), 5),
        (("f", 6), 5_000_000),
        (("f", 5_000_007), 3),
    ]


def test_lines_with_invalid_bytes_are_counted() -> None:
    counted: list[tuple[str, int]] = []
    split = FileSplit("f", 0, 100, 100)
    text = b"a\xff\xff\nb\n\xc3(\n\xe9"
    list(TextLines().read(io.BytesIO(text), split, lambda name, n: counted.append((name, n))))
    assert {name for name, _ in counted} == {"invalid_utf8"}
    assert sum(n for _, n in counted) == 3


def test_splits_follow_the_chunk_size_of_each_file() -> None:
    files = [InputFile("a", 10, 4), InputFile("empty", 0, 4), InputFile("b", 8, 8)]
    assert [(s.path, s.start, s.length) for s in plan_splits(files)] == [
        ("a", 0, 4),
        ("a", 4, 4),
        ("a", 8, 2),
        ("empty", 0, 0),
        ("b", 0, 8),
    ]


def test_split_bytes_overrides_it() -> None:
    assert [s.length for s in plan_splits([InputFile("a", 10, 4)], 6)] == [6, 4]
