"""The most memory that trees of processes ever held together, seen by looking now and then.

A tree is a process and all it started. What counts is the proportional set size (PSS): a page that
several processes share counts once in the sum. Short peaks between two looks are missed; a look
costs some milliseconds of one core.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

PROC = Path("/proc")
LOOK_EVERY_S = 0.25


class PeakMemory:
    """Looks from a thread of its own while it is a context; ``peak_mib`` is what it saw."""

    def __init__(self, roots: Iterable[int]) -> None:
        self._roots = list(roots)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.peak_mib = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(LOOK_EVERY_S):
            self.peak_mib = max(self.peak_mib, held_mib(self._roots))


def held_mib(roots: Iterable[int]) -> float:
    """What these trees hold now."""
    return sum(_pss_kib(pid) for pid in set(_trees(list(roots)))) / 1024


def parent_of(pid: int) -> int:
    """The parent of a process; 0 for one that has ended."""
    try:
        stat = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return 0
    # The name, in brackets, may hold anything.
    return int(stat.rpartition(")")[2].split()[1])


def _trees(pids: list[int]) -> Iterator[int]:
    """These processes and all below them."""
    children = defaultdict(list)
    for entry in PROC.glob("[0-9]*"):
        children[parent_of(int(entry.name))].append(int(entry.name))
    while pids:
        pid = pids.pop()
        yield pid
        pids += children[pid]


def _pss_kib(pid: int) -> int:
    """0 for a process that has ended, or is another user's."""
    try:
        text = (PROC / str(pid) / "smaps_rollup").read_text()
    except OSError:
        return 0
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0
