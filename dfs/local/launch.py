"""Starting a process in the background and ending it.

A process in the background has its own session, so neither a closed terminal nor Ctrl-C reaches
it, and prints into its log. Its pid file is written by whoever starts it, before it could have
done anything. Ending is TERM, which a process answers by finishing what it does, and KILL for
those that have not ended ten seconds later. A paused process gets CONT behind the TERM, since it
would not see it before.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence

from dfs.limits import MS_NS, SECOND_NS
from dfs.local.layout import Home
from dfs.local.log_lines import bound
from dfs.local.processes import Process, is_running, send_signal, write_pid_file

STOP_GRACE_NS = 10 * SECOND_NS
"""Time between TERM and KILL."""

POLL_NS = 20 * MS_NS
LOG_TAIL_LINES = 10
LOG_TAIL_BYTES = 8 * 1024


def start(home: Home, process_id: str, command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start ``command`` in the background as the process ``process_id`` of this cluster.

    Raises OSError when it cannot be started or noted; then it does not run.
    """
    log = home.log_file(process_id)
    bound(log)
    environment = {k: v for k, v in os.environ.items() if k != "MINIDFS_CLUSTER"}
    environment["MINIDFS_HOME"] = str(home.folder)
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=home.folder,
            env=environment,
            start_new_session=True,
        )
    try:
        if not write_pid_file(home.pid_file(process_id), process.pid):
            process.wait()  # it ended at once; who waits for it to serve tells why
    except OSError:
        process.kill()
        process.wait()
        raise
    return process


def log_size(home: Home, process_id: str) -> int:
    """Bytes in the log of a process, 0 if it has none."""
    log = home.log_file(process_id)
    return log.stat().st_size if log.exists() else 0


def log_tail(home: Home, process_id: str, since_bytes: int = 0) -> list[str]:
    """The last lines that a process has printed behind ``since_bytes`` of its log."""
    try:
        with home.log_file(process_id).open("rb") as log:
            end = log.seek(0, os.SEEK_END)
            log.seek(max(since_bytes if since_bytes <= end else 0, end - LOG_TAIL_BYTES))
            text = log.read(LOG_TAIL_BYTES).decode("utf-8", "replace")
    except FileNotFoundError:
        return []
    return text.splitlines()[-LOG_TAIL_LINES:]


def stop(processes: Iterable[Process], grace_ns: int = STOP_GRACE_NS) -> list[Process]:
    """End processes and wait for it; returns those that had to be killed."""
    running = [process for process in processes if send_signal(process, signal.SIGTERM)]
    for process in running:
        send_signal(process, signal.SIGCONT)
    return kill(_wait(running, grace_ns))


def kill(processes: Iterable[Process]) -> list[Process]:
    """End processes without giving them a chance; returns those that ran."""
    killed = [process for process in processes if send_signal(process, signal.SIGKILL)]
    _wait(killed, STOP_GRACE_NS)
    return killed


def _wait(processes: list[Process], limit_ns: int) -> list[Process]:
    """Those that still run when all have ended or the time is over."""
    deadline_ns = time.monotonic_ns() + limit_ns
    while processes := [process for process in processes if is_running(process)]:
        if time.monotonic_ns() >= deadline_ns:
            break
        time.sleep(POLL_NS / SECOND_NS)
    return processes
