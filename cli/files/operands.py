"""From what was typed to files: globs, and where a copy of several things goes.

Patterns are expanded by the namenode. A copied or moved thing gets the name it has when the
destination is a directory, which it is if it exists as one, ends in ``/``, or follows several
sources.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from cli.invocation import Invocation
from dfs.errors import BadArgument, NotADirectory, NotFound

if TYPE_CHECKING:
    from dfs.client.client import Client
    from dfs.client.entries import Entry

_MAGIC = re.compile(r"[*?\[]|\{[^{}]*,[^{}]*\}")


class Source(NamedTuple):
    """A path that a command works on, in its cluster."""

    fs: Client
    path: str

    @property
    def name(self) -> str:
        """The last part of the path; '' for the root."""
        return last_name(self.path)


def is_pattern(path: str) -> bool:
    """Does the path have signs that stand for other signs?"""
    return _MAGIC.search(path) is not None


def expand(call: Invocation, operand: str) -> list[Source]:
    """The paths that an operand stands for; raises NotFound for a pattern without a match.

    A plain path is returned as it is, whether it exists or not.
    """
    fs, path = call.locate(operand)
    if not is_pattern(path):
        return [Source(fs, path)]
    matches = [Source(fs, match.path) for match in fs.glob(path)]
    if not matches:
        raise NotFound(f"{operand}: nothing matches this pattern", path)
    return matches


def last_name(path: str) -> str:
    """The last part of a path; '' for the root."""
    return path.rstrip("/").rpartition("/")[2]


def joined(folder: str, name: str) -> str:
    """``name`` in ``folder``."""
    return f"{folder.rstrip('/')}/{name}"


def find(fs: Client, path: str) -> Entry | None:
    """What is at ``path``; None if there is nothing."""
    try:
        return fs.stat(path)
    except NotFound:
        return None


def is_folder_target(found: Entry | None, operand: str, sources: int) -> bool:
    """Do copies go *into* the destination? ``found`` is what is there now."""
    wanted = operand.endswith("/") or sources > 1
    if wanted and found is not None and not found.is_dir:
        raise NotADirectory(f"{operand} is a file: the destination must be a directory", operand)
    return wanted or (found is not None and found.is_dir)


def need_name(name: str, operand: str) -> str:
    """``name``, which something copied must have; raises BadArgument."""
    if not name:
        raise BadArgument(f"{operand} has no name of its own: name the destination", operand)
    return name
