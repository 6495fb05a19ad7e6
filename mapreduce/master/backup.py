"""Backup attempts: which running tasks get a second attempt beside the first.

After LATE (Zaharia et al., "Improving MapReduce Performance in Heterogeneous Environments", OSDI
2008). An attempt's rate is its progress by its time; what is left divided by the rate is the time
to its end. A task gets a backup when

* nothing of its kind waits in its job, and there is a slot that nothing else wants, or one that an
  early reduce of its own or of a later job has: it waits for maps anyhow, and is killed for it;
* its attempt has run for ``BACKUP_AFTER_NS``: to start an attempt anew costs seconds (process,
  code, input again), so a task of a few seconds cannot win anything by it;
* it is slow: at its rate it takes at least twice as long as attempts of its kind typically do;
* a backup can win: what is left takes longer than a whole typical attempt. One that has said
  nothing new for ``BACKUP_AFTER_NS``, and for as long as a typical attempt takes, stands still
  and will never end: a map that has read all its input counts as nearly done by its rate.

The one with the most time left goes first. Reduces are compared only when all maps are done, and
from then on: before that they wait for others. Typical is the mean of what this master saw
succeed, or else the median of what the running ones will take at their rates; one alone is
compared with nothing.

At most ``BACKUPS_PERCENT`` of all slots run backups, and at least one may. A backup never runs
on its attempt's worker, nor on one that itself runs a slow attempt or lately took half as long
again as others. The first attempt to succeed wins; the other is killed and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median_low
from typing import NamedTuple

from mapreduce.limits import (
    BACKUP_AFTER_NS,
    BACKUPS_PER_STEP,
    BACKUPS_PERCENT,
    SLOW_WORKER_PERCENT,
)
from mapreduce.master.avoid import avoided_by
from mapreduce.master.job import Job
from mapreduce.master.state import State
from mapreduce.master.task import Attempt, Task
from mapreduce.master.worker import Worker
from mapreduce.wire import TaskKind

NEVER_NS = 1 << 62
"""The time to its end of an attempt that has not moved."""


@dataclass(frozen=True, slots=True)
class Straggler:
    """A running attempt that is slow, and how long it will still take."""

    job: Job
    task: Task
    attempt: Attempt
    left_ns: int


def may_start(state: State) -> int:
    """How many backups may start now."""
    return max(1, state.slots * BACKUPS_PERCENT // 100) - state.backups


def stragglers(state: State, now_ns: int) -> list[Straggler]:
    """The attempts that are slow, the one with most time left first."""
    found: list[Straggler] = []
    for job in state.jobs.values():
        if job.speculative and job.is_open:
            for kind in TaskKind:
                found += _of_kind(job, kind, now_ns)
    return sorted(found, key=lambda slow: (-slow.left_ns, slow.attempt.id))


class Backup(NamedTuple):
    """A backup to start, and the early reduce to kill before for its slot."""

    job: Job
    task: Task
    worker: Worker
    victim: Attempt | None


def choose(
    state: State, workers: list[Worker], early: list[Attempt], now_ns: int
) -> Iterator[Backup]:
    """The backups to start now, one after the other; each must be started before the next.
    ``workers`` have room, those with most of it first; ``early`` are reduces that wait for maps, on
    workers that may get work, the newest last."""
    room = min(may_start(state), BACKUPS_PER_STEP)
    slow = stragglers(state, now_ns) if room > 0 and (workers or early) else []
    slow_workers = {straggler.attempt.worker for straggler in slow}
    for straggler in slow:
        if straggler.task.backup is not None:
            continue
        unfit = slow_workers | avoided_by(straggler.job, state, now_ns)
        found = _place(state, straggler, workers, early, unfit)
        if found is not None:
            yield found
            room -= 1
        if room < 1:
            return


def _place(
    state: State,
    straggler: Straggler,
    workers: list[Worker],
    early: list[Attempt],
    unfit: set[str],
) -> Backup | None:
    """Where its backup goes: into a free slot, or else into that of the newest early reduce."""

    def is_fit(worker: Worker) -> bool:
        return worker.name not in unfit and worker.pace_percent < SLOW_WORKER_PERCENT

    job, task = straggler.job, straggler.task
    for worker in workers:
        if worker.room > 0 and is_fit(worker):
            return Backup(job, task, worker, None)
    for victim in reversed(early):
        worker = state.workers[victim.worker]
        if is_fit(worker) and state.jobs[victim.id.job].rank >= job.rank:
            early.remove(victim)
            return Backup(job, task, worker, victim)
    return None


def note_pace(job: Job, attempt: Attempt, worker: Worker, took_ns: int) -> None:
    """An attempt succeeded: how fast is its worker, beside what is typical? A moving mean."""
    kind = attempt.id.kind
    if job.timed[kind] and took_ns >= 0:
        typical_ns = max(1, job.done_ns[kind] // job.timed[kind])
        worker.pace_percent = (3 * worker.pace_percent + 100 * took_ns // typical_ns) // 4


def _of_kind(job: Job, kind: TaskKind, now_ns: int) -> Iterator[Straggler]:
    if not job.running_of[kind] or job.waiting[kind]:
        return
    if kind is TaskKind.REDUCE and not job.maps_done:
        return
    typical_ns = _typical_ns(job, kind, now_ns)
    latest_ns = now_ns - BACKUP_AFTER_NS
    for attempt in job.running.values():
        if attempt.started_ns > latest_ns or attempt.id.kind is not kind:
            continue
        age_ns = now_ns - job.began_ns(attempt)
        if age_ns >= BACKUP_AFTER_NS and age_ns >= 2 * typical_ns * attempt.fraction:
            stands_ns = now_ns - max(attempt.moved_ns, job.began_ns(attempt))
            left_ns = _expected_ns(attempt, age_ns) - age_ns
            if stands_ns >= max(typical_ns, BACKUP_AFTER_NS):
                left_ns = NEVER_NS
            if left_ns > typical_ns:
                yield Straggler(job, job.tasks(kind)[attempt.id.index], attempt, left_ns)


def _expected_ns(attempt: Attempt, age_ns: int) -> int:
    """How long the attempt will have taken, at its rate."""
    return int(age_ns / attempt.fraction) if attempt.fraction > 0 else NEVER_NS


def _typical_ns(job: Job, kind: TaskKind, now_ns: int) -> int:
    """What an attempt takes; ``NEVER_NS`` when there is nothing to compare with."""
    if job.timed[kind]:
        return job.done_ns[kind] // job.timed[kind]
    moving = [
        _expected_ns(attempt, now_ns - job.began_ns(attempt))
        for attempt in job.attempts(kind)
        if attempt.fraction > 0
    ]
    return median_low(moving or [NEVER_NS])
