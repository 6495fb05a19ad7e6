"""Counters of one attempt: group, name, count. They add up over committed attempts only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from mapreduce.job import Counters

USER = "user"
RECORDS = "records"
"""The engine's own group: what went in and out of each phase."""
BYTES = "bytes"
"""Another one: bytes read and written. ``map_output`` of a job with a reducer is what is
shuffled; ``spilled`` was written between, for want of memory."""
MAX_COUNTERS = 10_000
"""Different counters of one attempt; a counter per record is a mistake."""


class TaskCounters:
    """Counts of one attempt, and its status text."""

    def __init__(self) -> None:
        self._counts: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.status = ""

    def add(self, name: str, n: int = 1, group: str = USER) -> None:
        """Add `n` to a counter."""
        self._counts[group, name] += n

    def snapshot(self) -> Counters:
        """Group to name to count, both in order; raises ValueError for too many."""
        if len(self._counts) > MAX_COUNTERS:
            raise ValueError(f"{len(self._counts)} counters in one task: {MAX_COUNTERS} at most")
        found: Counters = {}
        for (group, name), n in sorted(self._counts.items()):
            found.setdefault(group, {})[name] = n
        return found


def total(parts: Iterable[Counters]) -> Counters:
    """The sums of several attempts' counters."""
    sums = TaskCounters()
    for part in parts:
        for group, counts in part.items():
            for name, n in counts.items():
                sums.add(name, n, group)
    return sums.snapshot()


_current = TaskCounters()


@contextmanager
def counting(counters: TaskCounters) -> Iterator[None]:
    """Make `count` count here; a process runs one task at a time."""
    global _current
    before, _current = _current, counters
    try:
        yield
    finally:
        _current = before


def count(name: str, n: int = 1, group: str = USER) -> None:
    """Add `n` to a counter of the running task, for jobs made of plain functions."""
    _current.add(name, n, group)
