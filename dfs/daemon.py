"""What every daemon does around its loop.

* limits: as many files as the system allows, no core dumps (they could hold users' data);
* what lives from the start on, all modules for one, is kept out of garbage collections, which
  would stop everything for as long as it takes to look through it;
* log lines on stderr, each with the time and the process's id;
* a pid file while it serves;
* SIGTERM and SIGINT end the loop after the step it is in, or after a bounded time in which it
  parts (a second one ends that too); everything is closed, exit 0;
* an error that people can act on is one line, anything else a traceback; both end the process.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from dfs.errors import DfsError
from dfs.local.log_lines import Log
from dfs.local.processes import write_pid_file
from dfs.net.loop import Loop

FILES_MIN = 1024


class Service(Protocol):
    """A daemon that is ready to run."""

    loop: Loop
    wake_fd: int
    """A descriptor that lets the loop's wait return when something is written to it."""

    def close(self) -> None:
        """Close what it holds. After an error in the loop it saves nothing."""


def run(process_id: str, pid_file: Path | None, start: Callable[[Log], Service]) -> int:
    """Start a service and serve until told to stop; the exit code of the process.

    To be called in the main thread. Whoever starts daemons may read readiness from the
    pid file: it is written once the service listens.
    """
    log = Log(process_id)
    try:
        limit_process(log)
        service = start(log)
        gc.freeze()
    except DfsError as error:
        log(f"cannot start: {error.message}")
        return error.exit_code
    try:
        with _stopped_by_signals(service), _pid_file(pid_file):
            service.loop.run()
    except DfsError as error:
        log(f"stopped: {error.message}")
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the last edge: say what happened and end
        log.traceback(error)
        return 1
    finally:
        service.close()
    log("stopped")
    return 0


def limit_process(log: Callable[[str], None]) -> None:
    """Raise the limit of open files to what the system allows; forbid core dumps."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with_room = hard if hard != resource.RLIM_INFINITY else 1 << 16
    resource.setrlimit(resource.RLIMIT_NOFILE, (with_room, hard))
    if with_room < FILES_MIN:
        log(f"only {with_room} files can be open at a time: raise the limit (ulimit -Hn)")


@contextmanager
def _stopped_by_signals(service: Service) -> Iterator[None]:
    """SIGTERM and SIGINT stop the loop; the descriptor ends its wait even if another thread
    is interrupted by the signal."""

    def stop(number: int, frame: object) -> None:
        service.loop.stop()

    old_fd = signal.set_wakeup_fd(service.wake_fd, warn_on_full_buffer=False)
    old = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(old_fd)


@contextmanager
def _pid_file(path: Path | None) -> Iterator[None]:
    if path is None:
        yield
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_pid_file(path, os.getpid())
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
