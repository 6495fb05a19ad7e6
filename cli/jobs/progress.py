"""Telling a person how far a job is, on stderr.

On a terminal it is one line that is written over; elsewhere a line every ten seconds.
"""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from cli.jobs.reports import progress_line
from cli.jobs.time_left import TimeLeft

if TYPE_CHECKING:
    from mapreduce.wire import JobReport

AUTO, PLAIN, NONE = "auto", "plain", "none"
MODES = (AUTO, PLAIN, NONE)
PLAIN_EVERY_S = 10.0
TO_LINE_START = "\r"
ERASE_REST = "\x1b[K"


@dataclass(slots=True)
class Progress:
    """Shows reports of one job as they come."""

    mode: str = AUTO
    stream: TextIO = field(default_factory=lambda: sys.stderr)
    plain_every_s: float = PLAIN_EVERY_S
    _time_left: TimeLeft = field(default_factory=TimeLeft)
    _rewriting: bool = False
    _last: str = ""
    _next_plain_s: float = 0.0

    def show(self, report: JobReport, done: float = 0.0) -> None:
        """The job is so now; ``done`` is the part of its work, 0 to 1."""
        left_ns = self._time_left.estimate(done, time.monotonic_ns())
        line = progress_line(report, left_ns)
        if self.mode == NONE:
            return
        if self.mode == AUTO and self.stream.isatty():
            line = line[: shutil.get_terminal_size().columns - 1]
            if line != self._last:
                self.stream.write(f"{TO_LINE_START}{line}{ERASE_REST}")
                self.stream.flush()
                self._rewriting, self._last = True, line
            return
        now_s = time.monotonic()
        if self._next_plain_s == 0.0:
            self._next_plain_s = now_s + self.plain_every_s
        elif now_s >= self._next_plain_s:
            self._next_plain_s = now_s + self.plain_every_s
            print(line, file=self.stream, flush=True)

    def say(self, text: str) -> None:
        """A line that stays."""
        self.clear()
        print(text, file=self.stream, flush=True)

    def clear(self) -> None:
        """Take the line that is written over away."""
        if self._rewriting:
            self.stream.write(f"{TO_LINE_START}{ERASE_REST}")
            self.stream.flush()
            self._rewriting, self._last = False, ""
