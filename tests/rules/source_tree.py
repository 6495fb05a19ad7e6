"""The Python files of this repository, parsed, for the tests of the house rules."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PRODUCT = ("dfs", "mapreduce", "cli")
AROUND = ("tests", "examples", "benchmarks")


@dataclass(frozen=True)
class Source:
    """One Python file: dotted module name, path from the repository's root, text and tree."""

    module: str
    path: str
    text: str
    tree: ast.Module


@cache
def sources(folders: tuple[str, ...] = PRODUCT) -> tuple[Source, ...]:
    """Every Python file below the folders (those that exist), sorted by path."""
    return tuple(
        _source(path) for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))
    )


def _source(path: Path) -> Source:
    relative = path.relative_to(ROOT)
    parts = relative.with_suffix("").parts
    module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    text = path.read_text(encoding="utf-8")
    return Source(module, str(relative), text, ast.parse(text, str(relative)))


def imports(source: Source) -> Iterator[tuple[int, str]]:
    """Line and dotted name of each thing imported, at any depth; ``from a import b`` is a.b."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _base(source, node)
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def _base(source: Source, node: ast.ImportFrom) -> str:
    if node.level == 0:
        return node.module or ""
    package = source.module.split(".")
    if not source.path.endswith("__init__.py"):
        package.pop()
    package = package[: len(package) - node.level + 1]
    return ".".join([*package, *([node.module] if node.module else [])])
