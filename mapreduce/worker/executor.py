"""Carries out the work of a worker's core: attempts, segments, runs.

``execute`` may be called from many threads. ``RunAttempt`` keeps its thread for as long as the
attempt lives, everything else is short.

    scratch/tasks/17/    home and working directory of task process 17
    scratch/attempts/…   files of running attempts
    scratch/runs/JOB/    run files, see ``runs``
    scratch/bundles/     code of jobs
    scratch/files/       side files of jobs, see ``side_store``
    scratch/logs/JOB/    what attempts printed, of the newest jobs

At start the first two are emptied and what an earlier worker left running is killed; what runs
of old jobs are held the master is asked about, and the rest is bounded.
"""

from __future__ import annotations

import time
from pathlib import Path
from threading import Lock
from typing import Any

from dfs.errors import NotFound
from mapreduce.limits import FETCH_READ_NS
from mapreduce.wire import AttemptId, FailureKind
from mapreduce.worker.attempt_run import AttemptRun, Report
from mapreduce.worker.job_files import JobFiles
from mapreduce.worker.process_pool import ProcessPool
from mapreduce.worker.runs import RunStore
from mapreduce.worker.scratch import remove_tree
from mapreduce.worker.serving import Storage
from mapreduce.worker.task_watch import Limits, TaskWatch
from mapreduce.worker.work import (
    DropJob,
    DropRun,
    FindHeldRuns,
    ReadLog,
    ReadRuns,
    RunAttempt,
    SampleAttempts,
    StopAttempt,
    StoreSegments,
    WorkerTask,
)

FOLDERS = ("tasks", "attempts", "runs", "bundles", "files", "logs")
WARM_PROCESSES = 2


class AttemptExecutor:
    """See the module's text."""

    def __init__(self, scratch: Path, slots: int, storage: Storage, limits: Limits) -> None:
        """Use ``scratch``, which is the worker's alone, for at most ``slots`` tasks at a time."""
        scratch = scratch.resolve()
        self._attempts = scratch / "attempts"
        remove_tree(self._attempts)
        self._storage = storage
        self._runs = RunStore(scratch / "runs")
        self._files = JobFiles(scratch, storage)
        self._pool = ProcessPool(scratch / "tasks", min(slots, WARM_PROCESSES), slots)
        self._watch = TaskWatch.on(scratch, slots, limits)
        self._running: dict[AttemptId, AttemptRun] = {}
        self._lock = Lock()

    @property
    def groups(self) -> str:
        """What limits the memory of tasks and ends their processes, for people."""
        return self._pool.groups.uses

    def execute(self, work: WorkerTask) -> Any:
        """Do it and return its result; see ``mapreduce.worker.work``."""
        match work:
            case RunAttempt():
                return self._run(work)
            case StopAttempt():
                self._stop(work)
            case SampleAttempts():
                return tuple(run.progress() for run in self._all_running())
            case StoreSegments():
                self._store(work)
            case ReadRuns():
                return self._runs.read(work, time.monotonic_ns() + FETCH_READ_NS)
            case ReadLog():
                return self._files.read_log(work.attempt, work.offset)
            case FindHeldRuns():
                return self._runs.find()
            case DropRun():
                self._runs.drop(work.run)
            case DropJob():
                self._pool.drop_job(work.job)
                self._runs.drop_job(work.job)
                self._files.side.drop_job(work.job)
        return None

    def close(self) -> None:
        """Stop every attempt and end every process."""
        for run in self._all_running():
            run.stop()
        self._pool.close()
        self._watch.close()

    def _run(self, order: RunAttempt) -> Report:
        attempt = AttemptId.of(order.task)
        folder = self._attempts / f"{attempt.job}-{attempt.file_name}"
        run = AttemptRun(order, folder, self._storage, self._watch)
        with self._lock:
            self._running[attempt] = run
        try:
            return run.run(self._pool, self._files, self._runs)
        finally:
            with self._lock:
                del self._running[attempt]

    def _stop(self, order: StopAttempt) -> None:
        with self._lock:
            run = self._running.get(order.attempt)
        if run is not None and order.silent:
            run.fail(FailureKind.TIMEOUT, order.silent)
        elif run is not None:
            run.stop()

    def _store(self, brought: StoreSegments) -> None:
        with self._lock:
            run = self._running.get(brought.attempt)
        if run is None:
            raise NotFound(f"{brought.attempt} is not running")
        try:
            run.segments.store(brought)
        except OSError as error:
            run.fail(FailureKind.NODE, f"a segment cannot be stored: {error}")
            raise

    def _all_running(self) -> list[AttemptRun]:
        with self._lock:
            return list(self._running.values())
