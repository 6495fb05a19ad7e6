"""Side files: files that the caller ships with a job (`--files`), as its code finds them.

`self.file(name)` and, in a job of plain functions, `mr.file(name)` give the path of a copy on
the machine of the task, which may be read and not changed. A file's name is the last part of
the path that the caller gave.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from dfs.errors import BadArgument, IsADirectory, NotFound

Paths = Mapping[str, Path]
"""Where the side files of a job lie here, by name."""

_current: Paths = {}


def found_here(given: Iterable[Path]) -> dict[str, Path]:
    """The files that a caller ships, by name; raises NotFound, IsADirectory, and BadArgument for
    two of one name."""
    paths: dict[str, Path] = {}
    for path in given:
        if path.is_dir():
            raise IsADirectory(f"--files {path}: it is a directory, pack it into a file", str(path))
        if not path.exists():
            raise NotFound(f"--files {path}: no such file", str(path))
        if paths.setdefault(path.name, path.resolve()) != path.resolve():
            raise BadArgument(f"--files: two files are called {path.name}", str(path))
    return paths


def path_of(paths: Paths, name: str) -> Path:
    """The path of a side file; raises NotFound with the names there are."""
    if name not in paths:
        there = f"there are {', '.join(sorted(paths))}" if paths else "there are none"
        raise NotFound(f"no side file {name!r}: {there}; '--files PATH' ships one", name)
    return paths[name]


def file(name: str) -> Path:
    """The path of a side file, for jobs made of plain functions. Raises NotFound."""
    return path_of(_current, name)


@contextmanager
def finding(paths: Paths) -> Iterator[None]:
    """Make `file` look here; a process runs one task at a time."""
    global _current
    before, _current = _current, paths
    try:
        yield
    finally:
        _current = before
