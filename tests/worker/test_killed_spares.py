"""Task processes that are killed while they wait for work: no user is blamed for it."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mapreduce.wire import AttemptFailed, AttemptSucceeded, FailureKind
from mapreduce.worker.attempt_run import AttemptRun
from mapreduce.worker.process_pool import ProcessPool
from mapreduce.worker.task_child import TaskChild

from .test_executor import Bench, failed, processes_of


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.executor.close()
    assert processes_of(made.scratch) == set()


def kill(child: TaskChild) -> None:
    os.kill(child.pid, signal.SIGKILL)
    while child.alive:
        time.sleep(0.001)


def await_ready(child: TaskChild) -> None:
    select.select([child.channel], [], [])


class LatePool(ProcessPool):
    """Its processes are killed when they have just been handed out."""

    is_ready = False

    def take(self, job_id: str) -> tuple[TaskChild, bool]:
        child, job_is_open = super().take(job_id)
        if self.is_ready:
            await_ready(child)
        kill(child)
        return child, job_is_open


def run_on(bench: Bench, pool: ProcessPool, folder: Path) -> AttemptSucceeded | AttemptFailed:
    run = AttemptRun(bench.order(), folder, bench.storage, bench.executor._watch)
    report = run.run(pool, bench.executor._files, bench.executor._runs)
    pool.close()
    return report


def test_a_spare_that_was_killed_is_replaced_before_an_attempt_gets_it(bench: Bench) -> None:
    warm = bench.executor._pool._warm
    while not warm:
        time.sleep(0.001)
    spare = warm[0]
    await_ready(spare)
    kill(spare)
    report = bench.run(bench.order())
    assert isinstance(report, AttemptSucceeded), report
    assert not spare.folder.exists(), "nothing of it is left"


@pytest.mark.parametrize("is_ready", [False, True])
def test_one_that_dies_before_it_has_work_is_a_fault_of_the_node(
    bench: Bench, tmp_path: Path, is_ready: bool
) -> None:
    pool = LatePool(tmp_path / "pool", 0, 1)
    pool.is_ready = is_ready
    text = failed(run_on(bench, pool, tmp_path / "attempt"), FailureKind.NODE).text
    assert "the process of m-00000.1 was killed by signal SIGKILL" in text


def test_where_all_die_as_they_start_the_attempt_tells_how(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho no library\nexit 3\n")
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    pool = ProcessPool(tmp_path / "pool", 2, 1)
    text = failed(run_on(bench, pool, tmp_path / "attempt"), FailureKind.NODE).text
    assert text.endswith("m-00000.1 exited with status 3; it printed last:\nno library")
