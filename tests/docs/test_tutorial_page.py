"""docs/tutorial.md names files and functions; all of them exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
STOPS = sorted(set(re.findall(r"`((?:dfs|mapreduce|cli)/[\w/]+\.py)(?::([\w.]+))?`", PAGE)))


def names_in(path: Path) -> set[str]:
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            inside = [n for n in node.body if isinstance(n, ast.FunctionDef)]
            found |= {f"{node.name}.{n.name}" for n in inside}
    return found


@pytest.mark.parametrize(("file", "name"), STOPS)
def test_every_stop_exists(file: str, name: str) -> None:
    assert not name or name in names_in(ROOT / file)


def test_there_are_two_walks() -> None:
    assert len(STOPS) > 30
