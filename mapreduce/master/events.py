"""What the scheduler is told. Frozen values; a test is a list of these.

Words about work name an attempt, and the worker they come from. The scheduler drops
what is said about an attempt that is not running on that worker.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from mapreduce.job import Failure
from mapreduce.wire import AttemptId, AttemptProgress, FailureKind, TaskKind


@dataclass(frozen=True, slots=True)
class KnownTask:
    """What the log knows of a task: the last attempt number, and the attempt committed
    (``done``, 0: none) with the worker that ran it. ``locality`` and ``miss`` are those of the
    last attempt. The rest is what was counted of its failures, see ``faults``."""

    kind: TaskKind
    index: int
    attempts: int
    done: int
    worker: str
    locality: str = ""
    miss: str = ""
    failed: int = 0
    faults: int = 0
    unread: int = 0
    error: str = ""
    signature: str = ""


@dataclass(frozen=True, slots=True)
class JobSubmitted:
    """A job may run. One that ``is_returning`` was under way before a restart: what the log knows
    of its tasks follows as ``TasksKnown``. Only such a one has ``error`` and ``failure``, of its
    first attempt that failed by its own fault.

    The scheduler has one step of a job at a time: ``step`` counts from 0, and ``maps``,
    ``reduces`` are of this step. Without ``reduces`` the maps write its parts.
    ``failed_maps`` and ``failed_reduces`` count the attempts of all steps that failed.
    """

    job: str
    maps: int
    reduces: int
    max_attempts: int
    began: bool = False
    priority: int = 0
    speculative: bool = True
    error: str = ""
    failure: Failure | None = None
    step: int = 0
    failed_maps: int = 0
    failed_reduces: int = 0
    is_returning: bool = False


@dataclass(frozen=True, slots=True)
class StepChanged:
    """A job goes on with another step: the one behind that which is done, or an earlier one
    because a part that it left is lost. Nothing is known of its tasks; ``TasksKnown`` follows."""

    to: JobSubmitted


@dataclass(frozen=True, slots=True)
class TasksKnown:
    """What the log knows of some tasks of the step that a job goes on with. After the ``last``
    ones it starts attempts. ``may_run``: the master has just started, so workers may come back
    with attempts of those that are not done."""

    job: str
    known: tuple[KnownTask, ...]
    last: bool
    may_run: bool = False


@dataclass(frozen=True, slots=True)
class AllKnown:
    """The master has started: all jobs are told, and from now on workers can be heard."""


@dataclass(frozen=True, slots=True)
class MapsLocated:
    """The nodes that hold most of each map's input; () when it lies on no node, None when its
    chunks do but none of their holders is known yet."""

    job: str
    nodes: tuple[tuple[int, tuple[str, ...] | None], ...]
    racks: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class JobKilled:
    """Somebody wants the job to end."""

    job: str
    reason: str


@dataclass(frozen=True, slots=True)
class TaskKilled:
    """Somebody wants an attempt to end and its task to run anew; number 0 means every running
    attempt of the task."""

    attempt: AttemptId
    reason: str


@dataclass(frozen=True, slots=True)
class OutputPublished:
    """The job's output got its name."""

    job: str


@dataclass(frozen=True, slots=True)
class OutputRefused:
    """The job's output cannot be committed, for this reason."""

    job: str
    reason: str


@dataclass(frozen=True, slots=True)
class WorkerJoined:
    """A worker registered; ``attempts`` are all that it still runs. Its runs follow. ``rack`` is
    that of the node beside it, '' if nobody knows."""

    worker: str
    node: str
    slots: int
    attempts: tuple[AttemptId, ...]
    rack: str = ""


@dataclass(frozen=True, slots=True)
class RunsAnnounced:
    """A worker holds these runs; with ``last`` it holds no others than announced since it
    joined."""

    worker: str
    runs: tuple[AttemptId, ...]
    last: bool


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A worker lives and runs these attempts."""

    worker: str
    attempts: tuple[AttemptProgress, ...]
    rack: str = ""


@dataclass(frozen=True, slots=True)
class WorkerDisconnected:
    """The connection to a worker broke; it may come back."""

    worker: str


@dataclass(frozen=True, slots=True)
class WorkerDrains:
    """A worker will end soon: it takes nothing more, and goes on with what it runs and holds."""

    worker: str


@dataclass(frozen=True, slots=True)
class WorkerLeft:
    """A worker ends; what it runs and holds goes with it."""

    worker: str


@dataclass(frozen=True, slots=True)
class AttemptSucceeded:
    """An attempt did its work, and its task is committed to it now."""

    attempt: AttemptId
    worker: str


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """An attempt failed; ``runs`` are map outputs that it could not get."""

    attempt: AttemptId
    worker: str
    kind: FailureKind
    text: str
    failure: Failure | None = None
    runs: tuple[AttemptId, ...] = ()


@dataclass(frozen=True, slots=True)
class MapOutputLost:
    """A reduce cannot get these runs and waits for others."""

    attempt: AttemptId
    worker: str
    runs: tuple[AttemptId, ...]


@dataclass(frozen=True, slots=True)
class TimePassed:
    """Nothing was said, but leases and waits may have ended."""


Event: TypeAlias = (
    JobSubmitted
    | StepChanged
    | TasksKnown
    | AllKnown
    | MapsLocated
    | JobKilled
    | TaskKilled
    | OutputPublished
    | OutputRefused
    | WorkerJoined
    | RunsAnnounced
    | Heartbeat
    | WorkerDisconnected
    | WorkerDrains
    | WorkerLeft
    | AttemptSucceeded
    | AttemptFailed
    | MapOutputLost
    | TimePassed
)
