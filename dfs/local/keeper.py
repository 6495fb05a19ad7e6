"""Keeping processes alive: the namenode, or the datanode and the worker of one node.

The keeper starts its processes, and starts each again that has ended: after a second first,
then after longer and longer pauses, and after a second again once it has held for a minute. Why
it ended does not matter: a namenode whose disk is damaged is tried again too, each time after a
longer pause, and what it said last is noted for ``status``. A process that was stopped on purpose
(``dfs.local.notes``) is left alone until its mark is gone.

A keeper that is itself started again, its processes having survived it, takes them over: their
pid files name them, and they are looked at twice a second, since only a parent is told of an end.
At each look the logs are bounded too. A disk that is full keeps it from starting a process, not
from trying again.

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
from dfs.local.launch import log_size, log_tail, start, stop
from dfs.local.layout import Home
from dfs.local.log_lines import Log, bound, text_of
from dfs.local.notes import End, is_stopped, note_end
from dfs.local.processes import Process, identify, is_running, read_pid_file, send_signal

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
    log_start: int = 0
    """Bytes in its log when it was started."""

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
    """Keeps the ``commands`` (by process id) running until it is told to end.

    ``name`` is the keeper's own id.
    """

    home: Home
    name: str
    commands: Mapping[str, Sequence[str]]
    _kept: list[Kept] = field(init=False)
    _say: Log = field(init=False)
    _ending: bool = False

    def __post_init__(self) -> None:
        self._say = Log(self.name)
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
                bound(self.home.log_file(kept.process_id))
            bound(self.home.log_file(self.name))
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
            self._on_ended(kept, now_ns)
        if is_stopped(self.home, kept.process_id):
            kept.hurry()  # when it may run again, somebody wants it
        elif now_ns >= kept.start_at_ns:
            self._start(kept, now_ns)

    def _on_ended(self, kept: Kept, now_ns: int) -> None:
        how = self._how_it_ended(kept)
        note_end(self.home, kept.process_id, End(kept.started_ns, how))
        kept.child = None
        kept.ended(now_ns)
        if is_stopped(self.home, kept.process_id):
            self._say(f"{kept.process_id} was stopped")
            return
        pause_ms = (kept.start_at_ns - now_ns) // MS_NS
        self._say(f"{kept.process_id} has ended ({how}): starting it in {pause_ms} ms")

    def _how_it_ended(self, kept: Kept) -> str:
        """In words; of one that ended by itself with an error, its last line too."""
        if kept.child is None:
            return "seen by nobody"
        status = kept.child.wait()
        lines = log_tail(self.home, kept.process_id, kept.log_start) if status > 0 else []
        return ": ".join([describe_exit(status), *map(text_of, lines[-1:])])

    def _start(self, kept: Kept, now_ns: int) -> None:
        kept.started_ns = now_ns
        kept.running = read_pid_file(self.home.pid_file(kept.process_id))
        if kept.running is not None:
            self._say(f"{kept.process_id} runs already as process {kept.running.pid}")
            return
        try:
            kept.log_start = log_size(self.home, kept.process_id)
            kept.child = start(self.home, kept.process_id, kept.command)
        except OSError as error:
            kept.ended(now_ns)
            self._say(f"{kept.process_id} cannot be started: {error}")
            return
        # A child that has ended already is found gone at the next look.
        kept.running = identify(kept.child.pid) or Process(kept.child.pid, "")
        self._say(f"{kept.process_id} starts as process {kept.child.pid}")
        if is_stopped(self.home, kept.process_id):  # marked since this look began
            send_signal(kept.running, signal.SIGTERM)

    def _end(self) -> None:
        stop([kept.running for kept in self._kept if kept.running is not None])
        for kept in self._kept:
            if kept.child is not None:
                kept.child.wait()
            self.home.pid_file(kept.process_id).unlink(missing_ok=True)


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
