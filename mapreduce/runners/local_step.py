"""The tasks of one step of a local run, from the first attempt to the last.

Each running attempt has a thread, which talks to its process; this one starts them, waits for
their ends and looks at their progress. No attempt is left when ``run`` returns or raises.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dfs.limits import SECOND_NS
from mapreduce.conservation import check_conserved
from mapreduce.errors import JobFailed, RunCorrupt
from mapreduce.job import Counters, MapTask
from mapreduce.plan import StepPlan
from mapreduce.runners.files import Files
from mapreduce.runners.here import Parts, PlacedSplit
from mapreduce.runners.local_plan import LocalPlan, Task
from mapreduce.wire import AttemptFailed, AttemptId, FailureKind, JobOptions, TaskCounts, TaskKind
from mapreduce.worker.attempt_run import AttemptRun, Report
from mapreduce.worker.attempts import no_progress
from mapreduce.worker.job_files import JobFiles
from mapreduce.worker.process_pool import ProcessPool
from mapreduce.worker.runs import RunStore
from mapreduce.worker.segments import Place
from mapreduce.worker.serving import OutputFile
from mapreduce.worker.task_watch import TaskWatch
from mapreduce.worker.work import RunAttempt

JOB_ID = "local"
LOOK_EVERY_NS = SECOND_NS // 2


@dataclass(frozen=True, slots=True)
class Tools:
    """What attempts need: task processes, places for files, and what was asked for."""

    slots: int
    attempts: Path
    pool: ProcessPool
    runs: RunStore
    files: JobFiles
    watch: TaskWatch
    options: JobOptions


class LocalInput:
    """An input that is no file of the DFS, and has no chunks."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def open_chunk(self, offset: int) -> None:
        """There is none."""

    def read(self, offset: int, length: int) -> bytes:
        """Bytes from an offset on."""
        self._file.seek(offset)
        return self._file.read(length)

    def close(self) -> None:
        """It is not read any more."""
        self._file.close()


class LocalStorage:
    """One attempt's files: a map's input where it lies, and parts where the output is made."""

    def __init__(self, inputs: Files | None, parts: Parts) -> None:
        self._inputs = inputs
        self._parts = parts
        self._created: list[str] = []

    def open_input(self, path: str, inode: int) -> LocalInput:
        """The input."""
        assert self._inputs is not None, "a reduce has no input file"
        return LocalInput(self._inputs.open(path))

    def create_output(self, path: str, replication: int) -> OutputFile:
        """A part, or a file of a side output."""
        name = path.removeprefix("/")
        self._created.append(name)
        return self._parts.create(name)

    def discard(self) -> None:
        """The attempt has failed: another one may write other files."""
        for name in self._created:
            self._parts.remove(name)


class LocalStep:
    """See the module's text. ``on_change`` hears why an attempt failed, or ''."""

    def __init__(
        self,
        tools: Tools,
        step: StepPlan,
        splits: Sequence[PlacedSplit],
        parts: Parts,
        on_change: Callable[[str], None],
    ) -> None:
        self._tools = tools
        self._step = step
        self._splits = splits
        self._parts = parts
        self._on_change = on_change
        maps = [step.map_task(JOB_ID, index, placed.split) for index, placed in enumerate(splits)]
        reduces = [step.reduce_task(JOB_ID, index) for index in range(step.reduces)]
        self._plan = LocalPlan(maps, reduces, tools.options)
        self._running: dict[Future[Report], AttemptRun] = {}
        self._written: dict[int, int] = {}
        """Records in all runs of each partition, as their footers say."""

    def run(self) -> None:
        """Run the tasks; raises JobFailed, RecordsLost."""
        with ThreadPoolExecutor(self._tools.slots, "attempt") as threads:
            try:
                while not self._plan.finished:
                    self._begin(threads)
                    self._wait()
                    if self._plan.error:
                        raise JobFailed(self._plan.error, JOB_ID, self._plan.failure)
            finally:
                for attempt in self._running.values():
                    attempt.stop()
        for partition, written in self._written.items():
            read = self._plan.outcome(TaskKind.REDUCE, partition).records_in
            check_conserved(f"partition {partition}", written, read)

    def counts(self, kind: TaskKind) -> TaskCounts:
        """The tasks of one kind by state."""
        return self._plan.counts(kind)

    def counters(self) -> Counters:
        """The sums over the tasks that are done."""
        return self._plan.counters()

    def work_done(self) -> float:
        """How many tasks are done, with the parts that running ones have done."""
        return self._plan.work_done()

    def moved(self, kind: TaskKind) -> tuple[int, int]:
        """Records that the tasks of one kind have read and written."""
        tasks = range(self._plan.counts(kind).total)
        done = [self._plan.outcome(kind, index) for index in tasks]
        return sum(one.records_in for one in done), sum(one.records_out for one in done)

    # -- attempts

    def _begin(self, threads: ThreadPoolExecutor) -> None:
        """Start what there are free slots for."""
        while len(self._running) < self._tools.slots:
            task = self._plan.begin(time.monotonic_ns())
            if task is None:
                return
            segments = self._segments_of(task)
            if isinstance(segments, AttemptFailed):
                self._ended(segments)
                return
            inputs = self._splits[task.index].files if isinstance(task, MapTask) else None
            asked = self._tools.options
            order = RunAttempt(
                task, self._step.job, asked.env, "", memory_bytes=asked.task_memory_bytes
            )
            folder = self._tools.attempts / f"{task.step}-{AttemptId.of(task)}"
            storage = LocalStorage(inputs, self._parts)
            attempt = AttemptRun(order, folder, storage, self._tools.watch)
            attempt.segments.lie_at(segments)
            self._running[threads.submit(self._carry_out, attempt, storage)] = attempt

    def _carry_out(self, attempt: AttemptRun, storage: LocalStorage) -> Report:
        """Run an attempt; one that fails leaves nothing."""
        report = attempt.run(self._tools.pool, self._tools.files, self._tools.runs)
        if isinstance(report, AttemptFailed):
            storage.discard()
        return report

    def _segments_of(self, task: Task) -> dict[AttemptId, Place] | AttemptFailed:
        """Where the segments of a reduce lie; there are none for a map."""
        if isinstance(task, MapTask):
            return {}
        places = {}
        written = 0
        for index in range(task.map_count):
            run = self._plan.outcome(TaskKind.MAP, index).attempt
            try:
                path, entry = self._tools.runs.place(run, task.index)
            except (RunCorrupt, OSError) as error:
                text = f"the run of {run} cannot be read: {error}"
                return AttemptFailed(AttemptId.of(task), FailureKind.FETCH, text, runs=(run,))
            places[run] = Place(path, entry.offset)
            written += entry.records
        self._written[task.index] = written
        return places

    def _wait(self) -> None:
        """Wait until an attempt has ended, or long enough to look at them all."""
        ended, _ = wait(self._running, LOOK_EVERY_NS / SECOND_NS, FIRST_COMPLETED)
        for future in ended:
            attempt = self._running.pop(future)
            _pass_on(self._tools.files.log_path(attempt.attempt))
            self._ended(future.result())
        now_ns = time.monotonic_ns()
        for attempt in self._running.values():
            self._plan.progressed(attempt.progress(), now_ns)
        silent = self._plan.silent(now_ns)
        for attempt in self._running.values():
            if attempt.attempt in silent:
                timeout_ns = self._tools.options.task_timeout_ns
                attempt.fail(FailureKind.TIMEOUT, no_progress(timeout_ns))
        self._on_change("")

    def _ended(self, report: Report) -> None:
        told = self._plan.ended(report)
        if told:
            self._on_change(told)


def _pass_on(log: Path) -> None:
    """Put what an attempt printed on stderr; there is no file if it could not begin."""
    if log.exists():
        sys.stderr.write(log.read_text(encoding="utf-8", errors="replace"))
        log.unlink()
