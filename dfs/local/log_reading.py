"""Reading the logs of a cluster's processes: the last lines, and what is added to them.

Lines of several logs are put in the order of their times. A line without one (a traceback of
the interpreter) belongs to the line before it. A log that was set aside meanwhile is read to its
end in ``ID.log.1`` first, so that whoever follows a log sees each line once.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from dfs.limits import LOG_READ_MAX_BYTES
from dfs.local.layout import Home
from dfs.local.log_lines import older, time_of


class LogLine(NamedTuple):
    """A line of a process's log; ``time`` is that of the last line before that had one."""

    time: str
    process_id: str
    text: str


class LogFile:
    """The log of one process, read from wherever it was read to."""

    def __init__(self, home: Home, process_id: str) -> None:
        self._path = home.log_file(process_id)
        self._process_id = process_id
        self._read_to = 0
        self._time = ""

    def last(self, lines: int) -> Sequence[LogLine]:
        """The last lines, of those set aside too; what comes later is new."""
        found: deque[LogLine] = deque(maxlen=lines)
        if _size(self._path) < LOG_READ_MAX_BYTES:
            found.extend(self._lines(older(self._path), 0)[0])
        texts, self._read_to = self._lines(self._path, 0)
        found.extend(texts)
        return found

    def new(self) -> list[LogLine]:
        """The whole lines that were added since."""
        found: list[LogLine] = []
        if _size(self._path) < self._read_to:
            found, _ = self._lines(older(self._path), self._read_to)
            self._read_to = 0
        added, self._read_to = self._lines(self._path, self._read_to, whole=True)
        return found + added

    def _lines(self, path: Path, start: int, whole: bool = False) -> tuple[list[LogLine], int]:
        """The lines from byte ``start`` on, and where they end."""
        try:
            with path.open("rb") as file:
                file.seek(max(start, _size(path) - LOG_READ_MAX_BYTES))
                data = file.read(2 * LOG_READ_MAX_BYTES)
                end = file.tell()
        except FileNotFoundError:
            return [], 0
        if whole:
            rest = len(data) - (data.rfind(b"\n") + 1)
            data, end = data[: len(data) - rest], end - rest
        return list(self._timed(data.decode("utf-8", "replace").splitlines())), end

    def _timed(self, texts: Iterable[str]) -> Iterator[LogLine]:
        for text in texts:
            self._time = time_of(text) or self._time
            yield LogLine(self._time, self._process_id, text)


class Logs:
    """The logs of some processes as one."""

    def __init__(self, home: Home, process_ids: Iterable[str]) -> None:
        self._files = [LogFile(home, process_id) for process_id in process_ids]

    def last(self, lines: int) -> list[LogLine]:
        """The last lines of all together, in the order of their times."""
        found = list(merge(*(file.last(lines) for file in self._files), key=attrgetter("time")))
        return list(islice(found, max(0, len(found) - lines), None))

    def new(self) -> list[LogLine]:
        """What was added to any since."""
        return list(merge(*(file.new() for file in self._files), key=attrgetter("time")))


def logged_ids(home: Home) -> list[str]:
    """The processes that have a log here."""
    return sorted(path.name.removesuffix(".log") for path in home.logs.glob("*.log"))


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
