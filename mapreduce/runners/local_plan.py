"""Which attempts of a local run begin, which are stopped, and whether the job goes on.

Rules of the file:

* Maps go before reduces, and a reduce begins when every map is done. Of what waits, a task that
  has failed goes first, so that what fails every time shows soon.
* The job fails with the error of its first failed attempt: when one task has failed
  ``max_attempts`` times, or when two attempts failed by the same fault of the user's code. Faults
  of the machine count like those of the job, since there is no other machine to try.
* A reduce that cannot read a run has its map run again.
* An attempt that says nothing new for the task timeout is silent, and to be stopped.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from mapreduce.counters import TaskCounters
from mapreduce.job import Counters, Failure, MapTask, ReduceTask
from mapreduce.limits import ERROR_MAX_CHARS
from mapreduce.wire import (
    AttemptFailed,
    AttemptId,
    AttemptProgress,
    AttemptSucceeded,
    FailureKind,
    JobOptions,
    TaskCounts,
    TaskKind,
)
from mapreduce.worker.attempts import no_progress

Task = MapTask | ReduceTask


@dataclass(slots=True)
class _Running:
    """``moved_ns`` is when it last said anything new, in monotonic ns."""

    said: AttemptProgress
    moved_ns: int
    timed_out: bool = False


class LocalPlan:
    """See the module's text. Attempts are numbered from 1 for each task."""

    def __init__(
        self, maps: Sequence[MapTask], reduces: Sequence[ReduceTask], options: JobOptions
    ) -> None:
        self._options = options
        self._tasks: dict[TaskKind, Sequence[Task]] = {
            TaskKind.MAP: maps,
            TaskKind.REDUCE: reduces,
        }
        self._waiting = {kind: deque(range(len(self._tasks[kind]))) for kind in TaskKind}
        self._begun: dict[TaskKind, Counter[int]] = {kind: Counter() for kind in TaskKind}
        self._failed: dict[TaskKind, Counter[int]] = {kind: Counter() for kind in TaskKind}
        self._done: dict[TaskKind, dict[int, AttemptSucceeded]] = {kind: {} for kind in TaskKind}
        self._counters = TaskCounters()
        self._running: dict[AttemptId, _Running] = {}
        self._signatures: set[str] = set()
        self._first_error = ""
        self.failure: Failure | None = None
        """That of the first attempt which failed by a fault of the user's code."""
        self.error = ""
        """Why the job has failed, '' if it has not."""

    # -- questions

    @property
    def finished(self) -> bool:
        """Is every task done?"""
        return all(len(self._done[kind]) == len(self._tasks[kind]) for kind in TaskKind)

    def counts(self, kind: TaskKind) -> TaskCounts:
        """The tasks of one kind by state."""
        return TaskCounts(
            len(self._tasks[kind]),
            len(self._done[kind]),
            sum(attempt.kind is kind for attempt in self._running),
            self._failed[kind].total(),
        )

    def outcome(self, kind: TaskKind, index: int) -> AttemptSucceeded:
        """What a task that is done reported."""
        return self._done[kind][index]

    def counters(self) -> Counters:
        """The sums over all tasks that are done."""
        return self._counters.snapshot()

    def work_done(self) -> float:
        """How many tasks are done, with the parts that running ones have done."""
        running = sum(known.said.fraction for known in self._running.values())
        return sum(len(done) for done in self._done.values()) + running

    def silent(self, now_ns: int) -> list[AttemptId]:
        """The attempts that have made no progress for too long; each time, until they end."""
        limit_ns = self._options.task_timeout_ns
        for known in self._running.values():
            known.timed_out = known.timed_out or now_ns - known.moved_ns >= limit_ns
        return [attempt for attempt, known in self._running.items() if known.timed_out]

    # -- what happens

    def begin(self, now_ns: int) -> Task | None:
        """The attempt that begins now in a free slot, as its task with the attempt's number."""
        maps_done = len(self._done[TaskKind.MAP]) == len(self._tasks[TaskKind.MAP])
        kind = TaskKind.REDUCE if maps_done else TaskKind.MAP
        return (
            self._start(kind, self._waiting[kind].popleft(), now_ns)
            if self._waiting[kind]
            else None
        )

    def progressed(self, said: AttemptProgress, now_ns: int) -> None:
        """How far a running attempt is."""
        known = self._running[said.attempt]
        if known.said != said:
            known.said, known.moved_ns = said, now_ns

    def ended(self, report: AttemptSucceeded | AttemptFailed) -> str:
        """An attempt is over; what people are told about it, '' if it succeeded."""
        attempt = report.attempt
        known = self._running.pop(attempt)
        if isinstance(report, AttemptSucceeded):
            self._done[attempt.kind][attempt.index] = report
            self._count(report, 1)
            return ""
        if known.timed_out and report.kind is not FailureKind.TIMEOUT:
            text = f"{attempt} {no_progress(self._options.task_timeout_ns)}"
            report = AttemptFailed(attempt, FailureKind.TIMEOUT, text)
        return self._judge(report)

    # -- details

    def _start(self, kind: TaskKind, index: int, now_ns: int) -> Task:
        self._begun[kind][index] += 1
        task = msgspec.structs.replace(self._tasks[kind][index], attempt=self._begun[kind][index])
        attempt = AttemptId.of(task)
        self._running[attempt] = _Running(AttemptProgress(attempt, 0, 0.0), now_ns)
        return task

    def _judge(self, report: AttemptFailed) -> str:
        kind, index = report.attempt.kind, report.attempt.index
        what = report.failure.describe() if report.failure is not None else report.text
        told = f"{report.attempt} failed: {what}"[:ERROR_MAX_CHARS]
        self._failed[kind][index] += 1
        self._first_error = self._first_error or told
        self.failure = self.failure or report.failure
        worn_out = self._failed[kind][index] >= self._options.max_attempts
        if self._seen_before(report.failure) or worn_out:
            self.error = self._first_error
        self._waiting[kind].appendleft(index)
        for run in report.runs:
            self._run_lost(run)
        return told

    def _run_lost(self, run: AttemptId) -> None:
        """Another attempt may have made a new run meanwhile, or be about to."""
        done = self._done[TaskKind.MAP].get(run.index)
        if done is not None and done.attempt == run:
            del self._done[TaskKind.MAP][run.index]
            self._count(done, -1)
            self._waiting[TaskKind.MAP].appendleft(run.index)

    def _count(self, done: AttemptSucceeded, sign: int) -> None:
        for group, counts in done.counters.items():
            for name, n in counts.items():
                self._counters.add(name, sign * n, group)

    def _seen_before(self, failure: Failure | None) -> bool:
        signature = failure.signature if failure is not None else ""
        seen = signature in self._signatures
        self._signatures.add(signature)
        return bool(signature) and seen
