"""A job as the scheduler knows it: its tasks, which of them wait, and what failed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from mapreduce.job import Failure
from mapreduce.master.task import Attempt, Task, Tasks
from mapreduce.master.transitions import JOB, JobPhase, follow
from mapreduce.master.waiting import WaitingTasks
from mapreduce.wire import AttemptId, TaskKind


def _per_kind() -> dict[TaskKind, int]:
    return {TaskKind.MAP: 0, TaskKind.REDUCE: 0}


@dataclass(slots=True)
class Job:
    """A job that may run, at one of its steps; the tasks are those of the step. ``number`` counts
    jobs in the order of their submission. ``paused`` holds waiting tasks until a moment (ns,
    monotonic). ``done_ns`` sums what the committed attempts of this master took, and ``timed``
    counts them. ``failed_on`` counts what failed by worker since something succeeded there; a
    worker in ``avoided`` gets nothing until a moment. One ``is_returning`` to a step while what the
    log knows of its tasks is still being told.
    """

    id: str
    number: int
    max_attempts: int
    maps: Tasks
    reduces: Tasks
    priority: int = 0
    speculative: bool = True
    phase: JobPhase = JobPhase.QUEUED
    waiting: dict[TaskKind, WaitingTasks] = field(default_factory=dict)
    paused: dict[tuple[TaskKind, int], int] = field(default_factory=dict)
    running: dict[AttemptId, Attempt] = field(default_factory=dict)
    running_of: dict[TaskKind, int] = field(default_factory=_per_kind)
    done: dict[TaskKind, int] = field(default_factory=_per_kind)
    done_ns: dict[TaskKind, int] = field(default_factory=_per_kind)
    timed: dict[TaskKind, int] = field(default_factory=_per_kind)
    maps_done_ns: int = 0
    failed_on: dict[str, int] = field(default_factory=dict)
    avoided: dict[str, int] = field(default_factory=dict)
    failed: dict[TaskKind, int] = field(default_factory=_per_kind)
    signatures: dict[str, int] = field(default_factory=dict)
    failure: Failure | None = None
    error: str = ""
    step: int = 0
    is_returning: bool = False

    def __post_init__(self) -> None:
        self.waiting = {kind: WaitingTasks(self.tasks(kind)) for kind in TaskKind}

    def tasks(self, kind: TaskKind) -> Tasks:
        """The tasks of one kind, by index."""
        return self.maps if kind is TaskKind.MAP else self.reduces

    def move(self, word: str) -> None:
        """Follow the table."""
        self.phase = follow(JOB, self.phase, word, self)

    def __str__(self) -> str:
        return f"job {self.id}, {self.done} done"

    @property
    def rank(self) -> tuple[int, int]:
        """Jobs with a lower one go first."""
        return -self.priority, self.number

    @property
    def is_open(self) -> bool:
        """Does it still start attempts?"""
        return self.phase in (JobPhase.QUEUED, JobPhase.RUNNING) and not self.is_returning

    @property
    def waits(self) -> bool:
        """Does a task of it wait for a slot?"""
        return bool(self.waiting[TaskKind.MAP] or self.waiting[TaskKind.REDUCE])

    @property
    def maps_pending(self) -> bool:
        """Is there a map without an attempt?"""
        return bool(self.waiting[TaskKind.MAP]) or any(k is TaskKind.MAP for k, _ in self.paused)

    @property
    def maps_done(self) -> bool:
        """Can a reduce of it get all its input?"""
        return self.done[TaskKind.MAP] == len(self.maps)

    @property
    def all_done(self) -> bool:
        """Are the tasks done that write the output?"""
        last = TaskKind.REDUCE if self.reduces else TaskKind.MAP
        return self.done[last] == len(self.tasks(last))

    @property
    def needs_runs(self) -> bool:
        """Will a reduce still fetch map output?"""
        return bool(self.reduces) and not self.all_done

    def attempts(self, kind: TaskKind) -> Iterator[Attempt]:
        """Its running attempts of one kind, the oldest first."""
        return (attempt for attempt in self.running.values() if attempt.id.kind is kind)

    def began_ns(self, attempt: Attempt) -> int:
        """When an attempt had all that it needs: a reduce waits for the last map."""
        is_reduce = attempt.id.kind is TaskKind.REDUCE
        return max(attempt.started_ns, self.maps_done_ns if is_reduce else 0)

    def leave_queue(self, task: Task) -> None:
        """A waiting task does not wait any more."""
        if not self.waiting[task.kind].remove(task):
            del self.paused[task.kind, task.index]
