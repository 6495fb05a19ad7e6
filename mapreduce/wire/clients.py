"""Messages between a client and the master: a job from its submission to its output."""

from __future__ import annotations

from dfs.wire.codec import Message, message
from mapreduce.job import Failure, JobSpec
from mapreduce.wire.values import (
    JobEvent,
    JobOptions,
    JobReport,
    PlannedSplit,
    TaskKind,
    TaskReport,
    WorkerReport,
)


@message(1000)
class SubmitJob(Message, frozen=True):
    """Open a job; its splits follow in ``AddSplits``, then ``StartJob``.

    Sent by: client. Answered by: JobSubmitted, Exists (the output), NotFound (the bundle: upload
    it), BadArgument, Unavailable (too many jobs). ``token`` is chosen at random by the client:
    the same token again gets the same job. ``output`` '' leaves the parts in the job's hidden
    folder until ``DropOutput``. The side files that ``spec`` names are put into the job's folder
    before it is started. A job that is not started within 10 minutes is discarded.
    """

    token: bytes
    spec: JobSpec
    output: str
    overwrite: bool = False
    options: JobOptions = JobOptions()


@message(1001)
class JobSubmitted(Message, frozen=True):
    """The job's id, and the hidden folder where its parts will lie. Sent by: master."""

    job: str
    folder: str


@message(1002)
class AddSplits(Message, frozen=True):
    """A page of the job's splits; ``first`` is the index of the first one.

    Sent by: client. Answered by: Ok, NotFound, BadArgument (pages are missing before it, or
    the job has too many maps). Harmless when repeated.
    """

    job: str
    first: int
    splits: tuple[PlannedSplit, ...]


@message(1003)
class StartJob(Message, frozen=True):
    """All ``maps`` splits are there; run. Sent by: client. Answered by: Ok, NotFound,
    BadArgument. Harmless when repeated."""

    job: str
    maps: int


@message(1004)
class WatchJob(Message, frozen=True):
    """What has happened to a job since ``cursor``?

    Sent by: client. Answered by: JobNews, NotFound. The answer comes at once when there are
    events after ``cursor`` or the job has ended, else with the first event and after ``wait_ns``
    at the latest (the master cuts it at 10 s).
    """

    job: str
    cursor: int = 0
    wait_ns: int = 0


@message(1005)
class JobNews(Message, frozen=True):
    """How the job is, and what went wrong or changed after the cursor; ask again from ``cursor``.
    ``ListEvents`` has all events. ``progress`` is between 0 and 1. ``failure`` is that of the first
    attempt whose user code failed. Sent by: master."""

    report: JobReport
    progress: float
    events: tuple[JobEvent, ...]
    cursor: int
    failure: Failure | None = None


@message(1006)
class ListJobs(Message, frozen=True):
    """The jobs, newest first, older than the job ``before`` ('': from the newest).

    Sent by: client. Answered by: JobList. Without ``all`` those that have not ended.
    """

    all: bool = False
    before: str = ""


@message(1007)
class JobList(Message, frozen=True):
    """A page of jobs; ``more``: ask again before the last one. Sent by: master."""

    jobs: tuple[JobReport, ...]
    more: bool


@message(1008)
class KillJob(Message, frozen=True):
    """End a job; its attempts are killed and nothing of its output remains.

    Sent by: client. Answered by: Ok (it is over; also when it was before), NotFound.
    """

    job: str


@message(1020)
class KillTask(Message, frozen=True):
    """End what runs of a task; it is run again, and nothing is counted against it.

    ``attempt`` names one attempt, 0 all that run. Sent by: client. Answered by: Ok, NotFound (no
    such job or task, or nothing of it runs).
    """

    job: str
    kind: TaskKind
    index: int
    attempt: int = 0
    step: int = 0


@message(1009)
class ListTasks(Message, frozen=True):
    """The tasks of one kind from ``first`` on. Sent by: client. Answered by: TaskList, NotFound."""

    job: str
    kind: TaskKind
    first: int = 0


@message(1010)
class TaskList(Message, frozen=True):
    """A page of tasks; ``more``: ask again behind the last one. Sent by: master."""

    tasks: tuple[TaskReport, ...]
    more: bool


@message(1011)
class ListWorkers(Message, frozen=True):
    """The workers. Sent by: client. Answered by: WorkerList."""


@message(1012)
class WorkerList(Message, frozen=True):
    """All workers that registered since the master started. Sent by: master."""

    workers: tuple[WorkerReport, ...]


@message(1013)
class DropOutput(Message, frozen=True):
    """The caller has read the parts of a job without output path; remove them.

    Sent by: client. Answered by: Ok, NotFound. Jobs that nobody drops lose them after an hour.
    """

    job: str


@message(1040)
class ListEvents(Message, frozen=True):
    """The events of a job after ``cursor``; with ``task`` (``m-00017``) those of this task and of
    the job as a whole.

    Sent by: client. Answered by: EventList, NotFound.
    """

    job: str
    cursor: int = 0
    task: str = ""


@message(1041)
class EventList(Message, frozen=True):
    """A page of a job's events in order, perhaps empty; ask again from ``cursor``. ``more``: there
    are more already. ``ended``: the job has ended, and when there is no more nothing will follow.
    Sent by: master."""

    job: str
    events: tuple[JobEvent, ...]
    cursor: int
    more: bool
    ended: bool
