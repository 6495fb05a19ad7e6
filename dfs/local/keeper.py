"""Keeping the processes of one node alive.

The keeper starts its processes, and starts each again that has ended: after a second first,
then after longer and longer pauses, and after a second again once it has held for a minute. A
keeper that is itself started again, its processes having survived it, takes them over: their pid
files name them, and they are looked at twice a second, since only a parent is told of an end.

Signals: TERM, INT and HUP end the processes and the keeper; USR1 starts at once what waits for
its pause to be over.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dfs.limits import MS_NS, SECOND_NS
from dfs.local.launch import start, stop
from dfs.local.layout import Home
from dfs.local.processes import Process, identify, is_running, read_pid_file

PAUSE_MIN_NS = 1 * SECOND_NS
PAUSE_MAX_NS = 30 * SECOND_NS
HELD_NS = 60 * SECOND_NS
"""A process that ran for so long has not failed to start."""

LOOK_NS = 500 * MS_NS


@dataclass(slots=True)
class Kept:
    """One process to keep: which one runs, since when, and when the next may start."""

    process_id: str
    command: Sequence[str]
    running: Process | None = None
    child: subprocess.Popen[bytes] | None = None
    started_ns: int = 0
    pause_ns: int = PAUSE_MIN_NS
    start_at_ns: int = 0

    def ended(self, now_ns: int) -> None:
        """It has ended: decide when to start it again."""
        if now_ns - self.started_ns >= HELD_NS:
            self.pause_ns = PAUSE_MIN_NS
        self.running = None
        self.start_at_ns = now_ns + self.pause_ns
        self.pause_ns = min(2 * self.pause_ns, PAUSE_MAX_NS)

    def hurry(self) -> None:
        """Somebody wants it now."""
        self.pause_ns, self.start_at_ns = PAUSE_MIN_NS, 0


@dataclass(slots=True)
class Keeper:
    """Keeps the ``commands`` (by process id) of a node running until it is told to end."""

    home: Home
    commands: Mapping[str, Sequence[str]]
    _kept: list[Kept] = field(init=False)
    _ending: bool = False

    def __post_init__(self) -> None:
        self._kept = [Kept(name, command) for name, command in self.commands.items()]

    def run(self) -> int:
        """Until it is told to end; returns the exit code."""
        woken, wake = os.pipe()
        for descriptor in (woken, wake):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_end)
        signal.signal(signal.SIGUSR1, self._on_hurry)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        while not self._ending:
            for kept in self._kept:
                self._look_after(kept, time.monotonic_ns())
            select.select([woken], [], [], LOOK_NS / SECOND_NS)
            _drain(woken)
        self._end()
        return 0

    def _on_end(self, _number: int, _frame: object) -> None:
        self._ending = True

    def _on_hurry(self, _number: int, _frame: object) -> None:
        for kept in self._kept:
            kept.hurry()

    def _look_after(self, kept: Kept, now_ns: int) -> None:
        if kept.running is not None:
            if is_running(kept.running):
                return
            status = "" if kept.child is None else f" ({describe_exit(kept.child.wait())})"
            kept.child = None
            kept.ended(now_ns)
            pause_ms = (kept.start_at_ns - now_ns) // MS_NS
            self._say(f"{kept.process_id} has ended{status}: starting it in {pause_ms} ms")
        if now_ns >= kept.start_at_ns:
            self._start(kept, now_ns)

    def _start(self, kept: Kept, now_ns: int) -> None:
        kept.started_ns = now_ns
        kept.running = read_pid_file(self.home.pid_file(kept.process_id))
        if kept.running is not None:
            self._say(f"{kept.process_id} runs already as process {kept.running.pid}")
            return
        kept.child = start(self.home, kept.process_id, kept.command)
        # A child that has ended already is found gone at the next look.
        kept.running = identify(kept.child.pid) or Process(kept.child.pid, "")
        self._say(f"{kept.process_id} starts as process {kept.child.pid}")

    def _end(self) -> None:
        stop([kept.running for kept in self._kept if kept.running is not None])
        for kept in self._kept:
            if kept.child is not None:
                kept.child.wait()
            self.home.pid_file(kept.process_id).unlink(missing_ok=True)

    def _say(self, text: str) -> None:
        print(text, flush=True)


def describe_exit(status: int) -> str:
    """How a process ended, from ``Popen.wait``."""
    if status >= 0:
        return f"exit code {status}"
    return signal.Signals(-status).name


def _drain(descriptor: int) -> None:
    while True:
        try:
            if not os.read(descriptor, 4096):
                return
        except BlockingIOError:
            return
