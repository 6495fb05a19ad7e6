"""Patterns of paths: ``* ? [] {a,b} **``, as in a shell.

``*``, ``?`` and ``[]`` match within one name and not a leading dot; ``**`` matches any
number of directories; ``{a,b}`` stands for each alternative. Matches come sorted by
path components. The walk follows all alternatives at once: a *state* is (pattern,
position), and a directory is entered with the set of states that reached it.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from functools import lru_cache

from dfs.errors import BadArgument
from dfs.limits import GLOB_MAX_ROWS
from dfs.namenode.keys import (
    ROOT,
    EntryRow,
    entry_key,
    entry_name,
    get_row,
    load_row,
    number_key,
)
from dfs.namenode.namespace import describe, inode_row
from dfs.namenode.table import Table, scan_prefix
from dfs.paths import RESERVED, join_path, split_path
from dfs.wire.namespace import Entry

ALTERNATIVES_MAX = 100
_MAGIC = re.compile(r"[*?\[]")

State = tuple[int, int]


def expand_braces(pattern: str) -> list[str]:
    """The patterns that ``{a,b}`` stands for; an unbalanced brace stands for itself."""
    done: list[str] = []
    todo = [pattern]
    while todo:
        if len(done) + len(todo) > ALTERNATIVES_MAX:
            raise BadArgument(
                f"{pattern!r} stands for more than {ALTERNATIVES_MAX} patterns", pattern
            )
        text = todo.pop(0)
        found = re.search(r"\{([^{}]*,[^{}]*)\}", text)
        if found is None:
            done.append(text)
        else:
            head, tail = text[: found.start()], text[found.end() :]
            todo = [head + part + tail for part in found.group(1).split(",")] + todo
    return done


@lru_cache(maxsize=1024)
def _regex(component: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(component))


def _matches(component: str, name: str) -> bool:
    if name.startswith(".") and not component.startswith("."):
        return False
    return _regex(component).match(name) is not None


class GlobWalk:
    """One page of a glob: directories are walked until ``GLOB_MAX_ROWS`` rows were looked at."""

    def __init__(self, table: Table, pattern: str, after: str) -> None:
        self._table = table
        self._patterns = [split_path(p) for p in expand_braces(pattern)]
        self._after = split_path(after) if after else ()
        self._rows = 0
        self.found: list[Entry] = []
        self.more = False
        self.after = after

    def run(self) -> GlobWalk:
        """Walk; then ``found``, ``more`` and ``after`` (where to go on) are set."""
        states = self._close({(p, 0) for p in range(len(self._patterns))})
        if not self._after and self._complete(states):
            self.found.append(describe("/", ROOT, inode_row(self._table, ROOT)))
        self._walk(ROOT, (), states)
        return self

    def _walk(self, inode: int, names: tuple[str, ...], states: set[State]) -> bool:
        """False when the page is full."""
        for name, entry in self._children(inode, names, states):
            here = (*names, name)
            resumed = here <= self._after
            if not resumed:
                if self._rows >= GLOB_MAX_ROWS:
                    self.more = True
                    return False
                self._rows += 1
                self.after = join_path(here)
            below = self._close(self._step(states, name))
            if not resumed and self._complete(below):
                row = inode_row(self._table, entry.inode)
                self.found.append(describe(join_path(here), entry.inode, row))
            if entry.is_dir and below and not self._walk(entry.inode, here, below):
                return False
        return True

    def _children(
        self, inode: int, names: tuple[str, ...], states: set[State]
    ) -> Iterator[tuple[str, EntryRow]]:
        """Children that could match, by name, from where the last page ended."""
        depth = len(names)
        resume = self._after[depth] if self._after[:depth] == names != self._after else ""
        wanted = {self._component(s) for s in states} - {None}
        if not any(w is not None and _MAGIC.search(w) for w in wanted):
            for name in sorted(w for w in wanted if w is not None and w >= resume):
                row = get_row(self._table, "entries", entry_key(inode, name), EntryRow)
                if row is not None:
                    yield name, row
            return
        prefix = number_key(inode)
        for key, value in scan_prefix(self._table, "entries", prefix, prefix + resume.encode()):
            name = entry_name(key)
            if inode == ROOT and name in RESERVED and name not in wanted:
                continue
            yield name, load_row(EntryRow, value)

    def _component(self, state: State) -> str | None:
        pattern, at = state
        components = self._patterns[pattern]
        return components[at] if at < len(components) else None

    def _step(self, states: set[State], name: str) -> set[State]:
        after: set[State] = set()
        for pattern, at in states:
            component = self._component((pattern, at))
            if component == "**":
                if not name.startswith("."):
                    after.add((pattern, at))
            elif component is not None and (component == name or _matches(component, name)):
                after.add((pattern, at + 1))
        return after

    def _close(self, states: set[State]) -> set[State]:
        """Add the states in which ``**`` matches nothing more."""
        closed = set(states)
        todo = list(states)
        while todo:
            pattern, at = todo.pop()
            if self._component((pattern, at)) == "**" and (pattern, at + 1) not in closed:
                closed.add((pattern, at + 1))
                todo.append((pattern, at + 1))
        return closed

    def _complete(self, states: set[State]) -> bool:
        return any(at == len(self._patterns[pattern]) for pattern, at in states)
