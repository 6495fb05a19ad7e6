"""Task processes that hang while they start, or that do not die: nobody waits for them for ever."""

from __future__ import annotations

import fcntl
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from dfs.errors import Unavailable
from dfs.limits import MS_NS
from mapreduce.wire import FailureKind
from mapreduce.worker import attempt_run
from mapreduce.worker.attempt_log import AttemptLog
from mapreduce.worker.attempt_run import AttemptRun
from mapreduce.worker.channel import Channel
from mapreduce.worker.process_pool import ProcessPool
from mapreduce.worker.task_child import TaskChild
from mapreduce.worker.task_messages import FromTask, Ready

from .test_executor import JOB_ID, Bench, failed, processes_of


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.executor.close()
    assert processes_of(made.scratch) == set()


def _leased(file: IO[str]) -> bool:
    try:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except BlockingIOError:
        return False
    return True


@pytest.fixture
def hanging_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """A Python whose start hangs in the kernel, as on a disk that does not answer, until the call.

    Whoever opens a file that another one holds a lease on waits, and so does ``execve``.
    """
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    program.chmod(0o700)
    with program.open() as held:
        fcntl.fcntl(held, fcntl.F_SETSIG, signal.SIGURG)  # which nobody dies of
        while not _leased(held):  # a process that was being started may have it for a moment
            time.sleep(0.001)
        monkeypatch.setattr(sys, "executable", str(program))
        yield lambda: fcntl.fcntl(held, fcntl.F_SETLEASE, fcntl.F_UNLCK)


def test_nobody_waits_for_ever_for_a_process_whose_start_hangs(
    bench: Bench, tmp_path: Path, hanging_python: Callable[[], None]
) -> None:
    pool = ProcessPool(tmp_path / "pool", 0, 1, start_ns=50 * MS_NS)
    run = AttemptRun(bench.order(), tmp_path / "attempt", bench.storage, bench.executor._watch)
    report = run.run(pool, bench.executor._files, bench.executor._runs)
    text = failed(report, FailureKind.NODE).text
    assert text == f"no task process can be started: {sys.executable} did not start in 0.05 s"
    hanging_python()
    while True:
        try:
            child, _ = pool.take(JOB_ID)
            break
        except Unavailable:
            continue
    assert isinstance(child.receive(AttemptLog(tmp_path / "log"))[0], Ready)
    pool.give_back(JOB_ID, child)
    pool.close()


def test_a_process_that_does_not_get_ready_is_a_fault_of_the_node(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nexec sleep 1000\n")
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(attempt_run, "TASK_START_NS", 1)
    pool = ProcessPool(tmp_path / "pool", 0, 1)
    run = AttemptRun(bench.order(), tmp_path / "attempt", bench.storage, bench.executor._watch)
    report = run.run(pool, bench.executor._files, bench.executor._runs)
    assert "a task process said nothing for" in failed(report, FailureKind.NODE).text
    assert processes_of(tmp_path / "pool") == set()
    pool.close()


class Undead(subprocess.Popen[bytes]):
    """A process that the kernel does not let die."""

    def wait(self, timeout: float | None = None) -> int:
        assert timeout is not None
        raise subprocess.TimeoutExpired(self.args, timeout)


def test_a_process_that_does_not_die_is_left_and_named(tmp_path: Path) -> None:
    (tmp_path / "task").mkdir()
    ours, theirs = socket.socketpair()
    process = Undead(["sleep", "1000"], stdout=subprocess.PIPE, start_new_session=True)
    child = TaskChild(process, Channel(ours, FromTask), tmp_path / "task")  # type: ignore[arg-type]
    assert "was killed and does not die" in child.kill()
    theirs.close()
    subprocess.Popen.wait(process)
