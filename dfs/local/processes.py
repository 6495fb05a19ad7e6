"""Which processes of a cluster run on this machine, without ever taking a stranger for ours.

A pid alone names nothing: it is used again after its process has ended. So a pid file holds
the pid and the moment at which the process started, and a process is ours only while both
agree. A pid file whose process is gone, or was replaced by a stranger, is *stale*: it counts
as absent and is never signalled. On Linux the signal goes through a pid descriptor, opened
before the check, so that nobody can take the pid over in between.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

PID_FILE_MAX_BYTES = 128


class Process(NamedTuple):
    """A process that once ran: ``started`` is opaque and differs for the next user of the pid."""

    pid: int
    started: str


def identify(pid: int) -> Process | None:
    """The process that runs under ``pid`` now; None if there is none or it is a zombie."""
    found = _look(pid)
    return None if found is None else found[0]


def is_paused(process: Process) -> bool:
    """Does this very process stand still, by SIGSTOP or under a debugger?"""
    found = _look(process.pid)
    return found is not None and found[0] == process and found[1] in "Tt"


def is_running(process: Process) -> bool:
    """Does this very process still run?"""
    return identify(process.pid) == process


def write_pid_file(path: Path, pid: int) -> bool:
    """Note the process ``pid`` in ``path``, replacing what was there at once; False, and nothing
    is noted, if it has ended."""
    process = identify(pid)
    if process is None:
        return False
    temporary = path.with_name(f".{path.name}.{pid}")
    temporary.write_text(f"{process.pid} {process.started}\n", encoding="ascii")
    temporary.replace(path)
    return True


def read_pid_file(path: Path) -> Process | None:
    """The running process that ``path`` names; None if there is no file or it is stale."""
    try:
        with path.open("rb") as file:
            text = file.read(PID_FILE_MAX_BYTES).decode("ascii", "replace")
    except FileNotFoundError:
        return None
    pid, _, started = text.strip().partition(" ")
    if not (pid.isascii() and pid.isdigit() and int(pid) > 0):
        return None
    process = Process(int(pid), started)
    return process if is_running(process) else None


def send_signal(process: Process, number: signal.Signals) -> bool:
    """Signal this very process; False if it has ended."""
    if not hasattr(os, "pidfd_open"):
        if not is_running(process):
            return False
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)
            return True
        return False
    try:
        descriptor = os.pidfd_open(process.pid)
        try:
            if not is_running(process):
                return False
            signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)
    except ProcessLookupError:
        return False
    return True


def _look(pid: int) -> tuple[Process, str] | None:
    """The process under ``pid`` and the letter of its state; None if there is none, or a zombie."""
    if sys.platform != "linux":
        return _look_by_ps(pid)
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the name in brackets, which may hold anything; the rest is plain.
    state, *rest = fields[fields.rindex(")") + 2 :].split()
    return None if state in "ZX" else (Process(pid, rest[18]), state)


def _look_by_ps(pid: int) -> tuple[Process, str] | None:
    done = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    state, _, started = done.stdout.strip().partition(" ")
    if not state or state.startswith("Z"):
        return None
    return Process(pid, started.strip()), state[0]
