"""Whether a job can go on after an attempt failed."""

from __future__ import annotations

from dataclasses import replace

from mapreduce.limits import (
    ATTEMPTS_PER_TASK_MAX,
    ERROR_MAX_CHARS,
    PART_UNREAD_MAX,
    SIGNATURES_MAX,
    TASK_ERROR_MAX_CHARS,
)
from mapreduce.master.actions import RecordFailure
from mapreduce.master.events import AttemptFailed
from mapreduce.master.job import Job
from mapreduce.master.task import Task
from mapreduce.wire import FailureKind

COUNTED = frozenset(
    {
        FailureKind.USER,
        FailureKind.CRASH,
        FailureKind.MEMORY,
        FailureKind.SCRATCH,
        FailureKind.TIMEOUT,
    }
)


def first_error(event: AttemptFailed) -> str:
    """What people read about a failed attempt: the traceback of user code, else one line."""
    what = event.failure.describe() if event.failure is not None else event.text
    return f"{event.attempt} on {event.worker} failed: {what}"[:ERROR_MAX_CHARS]


def told(job: Job, event: AttemptFailed) -> str:
    """What those who watch the job are told: the whole of its first failure that counts, one
    short line of any other. So what is kept of a job's events stays small."""
    text = first_error(event)
    if event.kind in COUNTED and not job.error:
        return text
    return text.partition("\n")[0][:TASK_ERROR_MAX_CHARS]


def judge(job: Job, task: Task, event: AttemptFailed) -> str:
    """Count the failure; returns why the job has failed, '' if another attempt may succeed.

    The reason shows the first failing attempt of the job, not the last one.
    """
    task.failed += 1
    task.error = event.text[:TASK_ERROR_MAX_CHARS]
    job.failed[task.kind] += 1
    if event.kind in COUNTED:
        task.faults += 1
        job.error = job.error or first_error(event)
        job.failure = job.failure or event.failure
        if task.faults >= job.max_attempts or _seen_before(job, event):
            return job.error
    elif event.kind is FailureKind.INPUT:
        task.unread += 1
        if task.unread >= (PART_UNREAD_MAX if job.step else job.max_attempts):
            return first_error(event)
    if task.last >= ATTEMPTS_PER_TASK_MAX:
        return f"{first_error(event)} (after {task.last} attempts)"
    return ""


def record(job: Job, task: Task, event: AttemptFailed, *, is_first: bool) -> RecordFailure:
    """What the log has to know of a failure that was judged; ``is_first``: the job had none that
    counts before it."""
    failure = event.failure
    counted = RecordFailure(
        event.attempt,
        task.failed,
        task.faults,
        task.unread,
        task.error,
        failure.signature if failure is not None else "",
    )
    if is_first and job.error:
        return replace(counted, error=job.error, failure=job.failure)
    return counted


def _seen_before(job: Job, event: AttemptFailed) -> bool:
    signature = event.failure.signature if event.failure is not None else ""
    if not signature:
        return False
    seen = job.signatures.get(signature, 0)
    if seen or len(job.signatures) < SIGNATURES_MAX:
        job.signatures[signature] = seen + 1
    return seen > 0
