"""Which state follows from which, for jobs, tasks and attempts.

The tables are complete: a pair that is not in them cannot happen, and asking for it is an
assertion that tells the story of the thing. A dead attempt stays dead; what goes on is
always another attempt.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar


class JobPhase(StrEnum):
    """A job that the scheduler knows; the last three leave it at once."""

    QUEUED = "queued"
    RUNNING = "running"
    COMMITTING = "committing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    KILLED = "killed"


class TaskState(StrEnum):
    """A task waits for an attempt, has one running, or is committed to one."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"


class AttemptState(StrEnum):
    """An attempt; all but the first two are ends."""

    LAUNCHED = "launched"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    LOST = "lost"
    KILLED = "killed"


State = TypeVar("State", bound=StrEnum)

JOB: Mapping[tuple[JobPhase, str], JobPhase] = {
    (JobPhase.QUEUED, "began"): JobPhase.RUNNING,
    (JobPhase.QUEUED, "tasks_done"): JobPhase.COMMITTING,  # it has none
    (JobPhase.RUNNING, "tasks_done"): JobPhase.COMMITTING,
    (JobPhase.COMMITTING, "published"): JobPhase.SUCCEEDED,
    (JobPhase.COMMITTING, "refused"): JobPhase.FAILED,
    (JobPhase.RUNNING, "failed"): JobPhase.FAILED,
    (JobPhase.QUEUED, "killed"): JobPhase.KILLED,
    (JobPhase.RUNNING, "killed"): JobPhase.KILLED,
    (JobPhase.COMMITTING, "killed"): JobPhase.KILLED,
}

TASK: Mapping[tuple[TaskState, str], TaskState] = {
    (TaskState.WAITING, "launched"): TaskState.RUNNING,
    (TaskState.WAITING, "adopted"): TaskState.RUNNING,
    (TaskState.WAITING, "recovered"): TaskState.DONE,
    (TaskState.RUNNING, "backed_up"): TaskState.RUNNING,
    (TaskState.RUNNING, "one_ended"): TaskState.RUNNING,  # and the other one runs on
    (TaskState.RUNNING, "succeeded"): TaskState.DONE,
    (TaskState.RUNNING, "failed"): TaskState.WAITING,
    (TaskState.RUNNING, "lost"): TaskState.WAITING,
    (TaskState.RUNNING, "killed"): TaskState.WAITING,
    (TaskState.DONE, "output_lost"): TaskState.WAITING,
}

ATTEMPT: Mapping[tuple[AttemptState, str], AttemptState] = {
    (AttemptState.LAUNCHED, "progressed"): AttemptState.RUNNING,
    (AttemptState.RUNNING, "progressed"): AttemptState.RUNNING,
    **{
        (state, word): end
        for state in (AttemptState.LAUNCHED, AttemptState.RUNNING)
        for word, end in (
            ("succeeded", AttemptState.SUCCEEDED),
            ("failed", AttemptState.FAILED),
            ("lost", AttemptState.LOST),
            ("killed", AttemptState.KILLED),
        )
    },
}


def follow(
    table: Mapping[tuple[State, str], State], state: State, word: str, thing: object
) -> State:
    """The state after ``word``; an impossible pair is an assertion with the thing's story."""
    after = table.get((state, word))
    assert after is not None, f"{word!r} cannot happen to what is {state}: {thing}"
    return after
