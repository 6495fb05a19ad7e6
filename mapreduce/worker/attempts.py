"""The attempts of one worker: queued, running, being stopped.

* An attempt is here from its order until its ``RunAttempt`` has ended, or until it was given up
  while it was queued. At most ``slots`` run, those that are being stopped included, and as many
  wait.
* ``StopAttempt`` is repeated with each tick while the attempt has not ended: it may have come
  before the attempt began.
* An attempt that says nothing new for its task timeout is stopped and reported as that; the
  time in which a reduce still lacks segments does not count.
* One that has not ended ``ATTEMPT_STOP_NS`` after it was first told to stop, as on a disk that
  hangs, is left: it is reported as failed and keeps its slot until it does end. When all slots
  are kept so, nothing waits for one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dfs.events import Action, Note, WorkDone
from dfs.limits import SECOND_NS
from mapreduce.limits import ATTEMPT_STOP_NS
from mapreduce.wire import (
    AttemptFailed,
    AttemptId,
    AttemptProgress,
    AttemptSucceeded,
    FailureKind,
    LaunchMap,
    LaunchReduce,
)
from mapreduce.worker.chores import Numbers
from mapreduce.worker.reports import leaves_run
from mapreduce.worker.work import RunAttempt, SampleAttempts, StopAttempt


@dataclass(slots=True)
class _Attempt:
    """``moved_ns`` is when it last said anything new, ``stop_ns`` when it was first told to stop,
    both in monotonic ns; ``hindrance`` is what of its worker's holds it up.
    """

    order: RunAttempt
    timeout_ns: int
    progress: AttemptProgress
    moved_ns: int = 0
    running: bool = False
    given_up: bool = False
    timed_out: bool = False
    hindrance: str = ""
    stop_ns: int | None = None
    left: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt is over. ``report`` is None when the master had given it up."""

    report: AttemptSucceeded | AttemptFailed | None
    may_have_run: bool


@dataclass(frozen=True, slots=True)
class Sampled:
    """Token of ``SampleAttempts``."""


def no_progress(timeout_ns: int) -> str:
    """What is said of an attempt that was silent for so long."""
    return f"made no progress for {timeout_ns / SECOND_NS:g} s"


class Attempts:
    """See the module's text."""

    def __init__(self, slots: int, numbers: Numbers) -> None:
        self._slots = slots
        self._numbers = numbers
        self._known: dict[AttemptId, _Attempt] = {}
        self._sampling = False

    def __contains__(self, attempt: AttemptId) -> bool:
        return attempt in self._known

    @property
    def full(self) -> bool:
        """Are all slots taken and as many attempts waiting? Slots of left attempts do not count."""
        left = self._left()
        return len(self._known) - left >= 2 * (self._slots - left)

    def of_job(self, job: str) -> list[AttemptId]:
        """The attempts of one job."""
        return [attempt for attempt in self._known if attempt.job == job]

    def progress(self) -> list[AttemptProgress]:
        """How far those are that were not given up."""
        return [known.progress for known in self._known.values() if not known.given_up]

    def add(self, order: LaunchMap | LaunchReduce) -> None:
        """Run this when a slot is free."""
        attempt = AttemptId.of(order.task)
        inode = order.inode if isinstance(order, LaunchMap) else 0
        options = order.options
        run = RunAttempt(
            order.task, order.job, options.env, order.folder, inode, options.task_memory_bytes
        )
        progress = AttemptProgress(attempt, 0, 0.0)
        self._known[attempt] = _Attempt(run, options.task_timeout_ns, progress)

    def begin(self, now_ns: int) -> list[RunAttempt]:
        """The attempts for which there is a free slot now; they are to be run."""
        free = self._slots - sum(known.running for known in self._known.values())
        begun = [known for known in self._known.values() if not known.running][:free]
        for known in begun:
            known.running, known.moved_ns = True, now_ns
        return [known.order for known in begun]

    def give_up(self, attempt: AttemptId) -> list[Action]:
        """Nobody wants this attempt any more; fine if it is not here."""
        known = self._known.get(attempt)
        if known is None:
            return []
        if not known.running:
            del self._known[attempt]
            return []
        known.given_up = True
        return [self._numbers.chore(StopAttempt(attempt))]

    def ended(self, attempt: AttemptId, done: WorkDone) -> Ended:
        """Its ``RunAttempt`` is over."""
        known = self._known.pop(attempt)
        may_have_run = leaves_run(known.order.task)
        if known.given_up:
            return Ended(None, may_have_run)
        report = done.result
        if isinstance(report, AttemptSucceeded):
            return Ended(report, may_have_run)
        if known.hindrance:
            report = AttemptFailed(attempt, FailureKind.NODE, known.hindrance)
        elif known.timed_out and not _is_timeout(report):
            text = f"{attempt} {no_progress(known.timeout_ns)}"
            report = AttemptFailed(attempt, FailureKind.TIMEOUT, text)
        elif not isinstance(report, AttemptFailed):
            text = f"{attempt} could not be run: {done.error}"
            report = AttemptFailed(attempt, FailureKind.NODE, text)
        return Ended(report, False)

    def hinder(self, attempt: AttemptId, why: str) -> None:
        """Stop it with the next tick, by this worker's fault; fine if it is not here."""
        known = self._known.get(attempt)
        if known is not None:
            known.timed_out, known.hindrance = True, why

    def leave(self, now_ns: int) -> tuple[list[Action], list[AttemptFailed]]:
        """Give up those that do not end, and those for which there will be no slot."""
        notes: list[Action] = []
        reports = []
        for attempt, known in self._known.items():
            if known.left or not (known.given_up or known.timed_out):
                continue
            known.stop_ns = now_ns if known.stop_ns is None else known.stop_ns
            if now_ns - known.stop_ns >= ATTEMPT_STOP_NS:
                why = f": {known.hindrance}" if known.hindrance else ""
                text = f"{attempt} was stopped and does not end{why}"
                notes.append(Note(f"{text}; its slot stays taken"))
                if not known.given_up:
                    reports.append(AttemptFailed(attempt, FailureKind.NODE, text))
                known.left = known.given_up = True
        if self._left() == self._slots:
            text = "no slot of this worker gets free: what it stopped does not end"
            for attempt in [a for a, known in self._known.items() if not known.running]:
                del self._known[attempt]
                reports.append(AttemptFailed(attempt, FailureKind.NODE, text))
        return notes, reports

    def _left(self) -> int:
        return sum(known.left for known in self._known.values())

    def tick(self, now_ns: int, is_fetching: Callable[[AttemptId], bool]) -> list[Action]:
        """Stop what is to be stopped, and ask how far the others are."""
        actions: list[Action] = []
        for attempt, known in self._known.items():
            if is_fetching(attempt):
                known.moved_ns = now_ns
            if known.running and now_ns - known.moved_ns >= known.timeout_ns:
                known.timed_out = True
            if known.given_up:
                actions.append(self._numbers.chore(StopAttempt(attempt)))
            elif known.timed_out:
                silent = "" if known.hindrance else no_progress(known.timeout_ns)
                actions.append(self._numbers.chore(StopAttempt(attempt, silent)))
        if self._known and not self._sampling:
            self._sampling = True
            actions.append(self._numbers.work(Sampled(), SampleAttempts()))
        return actions

    def sampled(self, samples: tuple[AttemptProgress, ...], now_ns: int) -> None:
        """How far the running attempts are; empty when that could not be told."""
        self._sampling = False
        for sample in samples:
            known = self._known.get(sample.attempt)
            if known is not None and known.progress != sample:
                known.progress, known.moved_ns = sample, now_ns


def _is_timeout(report: object) -> bool:
    return isinstance(report, AttemptFailed) and report.kind is FailureKind.TIMEOUT
