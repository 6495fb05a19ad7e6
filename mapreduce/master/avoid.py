"""Workers that get nothing for a while because attempts failed there.

A job avoids a worker for ``AVOID_NS`` when ``AVOID_AFTER_FAILURES`` of its attempts failed there
with no success between. All jobs avoid a worker for as long when so many attempts failed there by
the fault of the node (``NODE``) since anything last succeeded. Whatever may be the fault of a job,
its code or its input, takes no worker from the others, however many jobs fail. What fetches
failed for is never counted: the fault is elsewhere.

Nothing is avoided for ever, and what would be more than half of the workers is not avoided at
all: when it fails everywhere, no worker is to blame, and the only worker is always used.
"""

from __future__ import annotations

from collections.abc import Mapping

from dfs.limits import SECOND_NS
from mapreduce.limits import AVOID_AFTER_FAILURES, AVOID_NS
from mapreduce.master.events import AttemptFailed
from mapreduce.master.job import Job
from mapreduce.master.state import State
from mapreduce.master.worker import Worker
from mapreduce.wire import FailureKind

NOBODY: frozenset[str] = frozenset()


def note_failure(state: State, job: Job, event: AttemptFailed, now_ns: int) -> bool:
    """An attempt of a job failed on a worker; does anybody avoid it from now on?"""
    if event.kind is FailureKind.FETCH:
        return False
    worker = state.workers[event.worker]
    until_ns, began = now_ns + AVOID_NS, False
    failures = job.failed_on.get(worker.name, 0) + 1
    job.failed_on[worker.name] = failures
    if failures >= AVOID_AFTER_FAILURES:
        del job.failed_on[worker.name]
        job.avoided[worker.name] = until_ns
        began = True
    worker.failures += event.kind is FailureKind.NODE
    if worker.failures >= AVOID_AFTER_FAILURES:
        worker.forgive()
        state.avoided[worker.name] = until_ns
        worker.avoided_why = f"{AVOID_AFTER_FAILURES} attempts failed, the last: {event.text}"
        began = True
    avoided = avoided_by(job, state, now_ns) | avoided_by_all(state, now_ns)
    return began and worker.name in avoided


def note_success(job: Job, worker: Worker) -> None:
    """An attempt of a job succeeded on a worker."""
    job.failed_on.pop(worker.name, None)
    worker.forgive()


def avoided_by(job: Job, state: State, now_ns: int) -> frozenset[str]:
    """The workers that get nothing of a job now."""
    return _effective(job.avoided, state, now_ns) if job.avoided else NOBODY


def avoided_by_all(state: State, now_ns: int) -> frozenset[str]:
    """The workers that get nothing at all now."""
    return _effective(state.avoided, state, now_ns) if state.avoided else NOBODY


def _effective(until: Mapping[str, int], state: State, now_ns: int) -> frozenset[str]:
    here = [
        name for name, end_ns in until.items() if end_ns > now_ns and state.workers[name].is_here
    ]
    return frozenset(here) if 2 * len(here) <= state.here else NOBODY


def explain(worker: Worker, state: State, now_ns: int) -> str:
    """Why a worker gets less than it could, '' if it does not. One line."""
    reasons = []
    if worker.name in avoided_by_all(state, now_ns):
        seconds = -((now_ns - state.avoided[worker.name]) // SECOND_NS)
        reasons.append(f"avoided for {seconds} s: {worker.avoided_why}")
    for job in state.jobs.values():
        if worker.name in avoided_by(job, state, now_ns):
            seconds = -((now_ns - job.avoided[worker.name]) // SECOND_NS)
            reasons.append(
                f"{job.id} avoids it for {seconds} s: {AVOID_AFTER_FAILURES} of its attempts failed"
            )
    return "; ".join(reasons)
