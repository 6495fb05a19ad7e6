"""On which line of a TOML text each key stands.

``tomllib`` does not tell. A TOML statement (a header, or a key with its value) is a run of
whole lines that parses on its own, and no proper beginning of it does: the lines that can be
continued (an open array, an open multi-line string) are errors when they end there. So lines
are gathered until the TOML parser itself accepts them, and what they define is noted under
the last header. Nothing of TOML's grammar is repeated here, except that a statement which
begins with ``[`` is a header.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping


def line_numbers(text: str) -> dict[tuple[str, ...], int]:
    """Line (from 1) on which each table and key of a *valid* text first appears, by its path."""
    found: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    gathered: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):
        gathered.append(line.removesuffix("\r"))
        statement = _parse("\n".join(gathered))
        if statement is None:
            continue
        paths = _paths(statement)
        start = number - len(gathered) + 1
        if gathered[0].lstrip().startswith("["):
            table = paths[-1]
            paths = [table[:depth] for depth in range(1, len(table) + 1)]
        else:
            paths = [table + path for path in paths]
        for path in paths:
            found.setdefault(path, start)
        gathered = []
    return found


def _parse(text: str) -> dict[str, object] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _paths(tree: Mapping[str, object]) -> list[tuple[str, ...]]:
    """Every path of a parsed statement, parents first; an array of tables counts as one table."""
    paths: list[tuple[str, ...]] = []
    for key, value in tree.items():
        paths.append((key,))
        inner = value[0] if isinstance(value, list) and value else value
        if isinstance(inner, dict):
            paths += [(key, *path) for path in _paths(inner)]
    return paths
