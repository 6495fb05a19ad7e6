"""What the scheduler wants done. Frozen values; the core makes messages and commands of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from mapreduce.job import Failure
from mapreduce.wire import AttemptId, JobState, TaskKind


@dataclass(frozen=True, slots=True)
class BeginJob:
    """The first attempt of a job is about to start."""

    job: str


@dataclass(frozen=True, slots=True)
class LaunchAttempt:
    """Start this attempt on this worker. A map's input is so far from it, for this reason."""

    attempt: AttemptId
    worker: str
    locality: str = ""
    miss: str = ""


@dataclass(frozen=True, slots=True)
class KillAttempt:
    """This attempt is given up; its worker should end it and drop what it made."""

    attempt: AttemptId
    worker: str
    reason: str


@dataclass(frozen=True, slots=True)
class PublishOutput:
    """All tasks of the job's step are committed: commit the job, or go on with the next step."""

    job: str


@dataclass(frozen=True, slots=True)
class RemakePart:
    """The part that this map of a later step reads is lost: the step before has to make it
    again."""

    job: str
    index: int


@dataclass(frozen=True, slots=True)
class EndJob:
    """The job is over: record it, discard what it left unless it succeeded, and tell the
    workers to forget it. ``done`` counts tasks of the step it was at, ``failed`` attempts."""

    job: str
    state: JobState
    done: dict[TaskKind, int]
    failed: dict[TaskKind, int]
    error: str = ""
    failure: Failure | None = None
    step: int = 0


@dataclass(frozen=True, slots=True)
class RecordFailure:
    """An attempt failed: record what is counted of its task from now on. ``signature`` is the
    failure's; ``error`` and ``failure`` come with the first one of the job that counts."""

    attempt: AttemptId
    failed: int
    faults: int
    unread: int
    text: str
    signature: str = ""
    error: str = ""
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class ForgetMapOutput:
    """This worker holds runs of a job that is over."""

    job: str
    worker: str


@dataclass(frozen=True, slots=True)
class Tell:
    """Something happened to a job: it is recorded, and those who watch hear of it. ``attempt``
    and ``worker`` are those it happened to."""

    job: str
    kind: str
    text: str
    attempt: AttemptId | None = None
    worker: str = ""


@dataclass(frozen=True, slots=True)
class MarkProgress:
    """An attempt runs long: record how far it is. ``fraction`` is between 0 and 1."""

    attempt: AttemptId
    worker: str
    fraction: float
    records: int


Action: TypeAlias = (
    BeginJob
    | LaunchAttempt
    | KillAttempt
    | RecordFailure
    | PublishOutput
    | RemakePart
    | EndJob
    | ForgetMapOutput
    | Tell
    | MarkProgress
)
