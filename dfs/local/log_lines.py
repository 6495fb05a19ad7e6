"""Log lines: how they are written, and how a log is kept from growing for ever.

A line is the time (RFC 3339, UTC, milliseconds), the process's id and the text. A process in the
background prints into ``logs/ID.log``, which it was given open by its keeper and never opens
itself. So the keeper bounds it: it copies a log that has grown too long to ``ID.log.1`` and
empties it; the process, which appends, goes on at its beginning. A line written between the
copy's end and the emptying is lost. On a full disk the copy is given up and the log is emptied
all the same: its bound holds, and its room is free.
"""

from __future__ import annotations

import os
import shutil
import sys
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from dfs.limits import LOG_TEXT_MAX_BYTES


class Log:
    """Lines on stderr: RFC 3339 time, process id, text. One that cannot be written is lost:
    a full disk or a closed terminal is no reason to end."""

    def __init__(self, process_id: str) -> None:
        self._process_id = process_id

    def __call__(self, text: str) -> None:
        """Write one line."""
        moment = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        with suppress(OSError):
            sys.stderr.write(f"{moment} {self._process_id} {' '.join(text.splitlines())}\n")
            sys.stderr.flush()

    def traceback(self, error: BaseException) -> None:
        """Write an error that nobody expected."""
        for line in "".join(traceback.format_exception(error)).splitlines():
            self(line)


def time_of(line: str) -> str:
    """The time that a line begins with, '' for one that no ``Log`` wrote; times sort as text."""
    moment = line.partition(" ")[0]
    return moment if len(moment) == 24 and moment[10] == "T" and moment.endswith("Z") else ""


def text_of(line: str) -> str:
    """The line without its time and its process's id."""
    return line.split(" ", 2)[-1] if time_of(line) else line


def older(log: Path) -> Path:
    """Where the lines before the ones in ``log`` are."""
    return log.with_name(f"{log.name}.1")


def bound(log: Path, max_bytes: int = LOG_TEXT_MAX_BYTES) -> bool:
    """Set the lines of a log aside that has grown beyond ``max_bytes``; was it?"""
    try:
        if log.stat().st_size <= max_bytes:
            return False
    except FileNotFoundError:
        return False
    before = older(log)
    try:
        before.unlink(missing_ok=True)
        with log.open("rb") as source, before.open("wb") as copy:
            shutil.copyfileobj(source, copy)
    except OSError:
        with suppress(OSError):
            before.unlink(missing_ok=True)
    with suppress(OSError):  # at the next look again
        os.truncate(log, 0)
    return True
