"""docs/invariants.md against the checkers: each number they cite is explained, and checked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "invariants.md").read_text(encoding="utf-8")
CHECKERS = ("dfs/namenode/invariants.py", "mapreduce/invariants.py", "dfs/namenode/problem.py")
DAMAGES = ("tests/namenode/test_fsck.py", "tests/master/test_job_invariants.py")


def numbers_in(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"^(\d+)\. ", text, re.MULTILINE)]


def cited(files: tuple[str, ...], pattern: str) -> set[int]:
    texts = [(ROOT / file).read_text(encoding="utf-8") for file in files]
    return {int(number) for text in texts for number in re.findall(pattern, text)}


def test_numbers_rise_and_are_used_once() -> None:
    numbers = numbers_in(PAGE)
    assert numbers == sorted(set(numbers))


def test_the_tables_part_is_what_the_checkers_cite() -> None:
    tables = PAGE.split("## The tables")[1].split("\n## ")[0]
    assert set(numbers_in(tables)) == cited(CHECKERS, r"(?:yield \(?\s*|UNREADABLE = )(\d+)")


def test_each_of_them_has_a_test_that_breaks_it() -> None:
    tables = PAGE.split("## The tables")[1].split("\n## ")[0]
    assert set(numbers_in(tables)) == cited(DAMAGES, r"\n    \(\s*(\d+),")


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"[(` ]((?:dfs|mapreduce|tests)/[\w/.]+\w)", PAGE)))
)
def test_what_checks_exists(path: str) -> None:
    assert (ROOT / path).exists()
