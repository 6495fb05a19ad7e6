"""Tasks and their attempts, as the scheduler knows them.

A job may have a hundred thousand tasks, and most of them wait without a history. So a task is made
when it is first needed; what never was is an index and nothing else.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from mapreduce.master.transitions import ATTEMPT, TASK, AttemptState, TaskState, follow
from mapreduce.wire import AttemptId, TaskKind

STORY_WORDS = 12


@dataclass(slots=True)
class Attempt:
    """An attempt that runs, or ran. ``lease_ns`` is when it is given up without a word,
    ``marked_ns`` when its progress was last recorded, ``moved_ns`` when it last said anything
    new."""

    id: AttemptId
    worker: str
    started_ns: int
    lease_ns: int
    locality: str = ""
    miss: str = ""
    state: AttemptState = AttemptState.LAUNCHED
    records: int = 0
    fraction: float = 0.0
    status: str = ""
    marked_ns: int = 0
    moved_ns: int = 0

    def move(self, word: str) -> None:
        """Follow the table."""
        self.state = follow(ATTEMPT, self.state, word, self)

    def take_in(self, records: int, fraction: float, status: str) -> bool:
        """How far it is; was that news?"""
        before = self.records, self.fraction, self.status
        self.records, self.fraction, self.status = records, fraction, status
        return before != (records, fraction, status)

    def __str__(self) -> str:
        return f"{self.id} on {self.worker}"


@dataclass(slots=True)
class Task:
    """A task. ``last`` is the highest attempt number given out (``locality`` and ``miss`` are
    that one's), ``ended`` the highest that is known to be over, ``done`` the one committed last
    (0: none), run by ``worker``. ``attempt`` runs, and ``backup`` beside it; a task with a
    backup has an attempt. ``nodes`` are those with most of its input while it waits."""

    kind: TaskKind
    index: int
    since_ns: int
    state: TaskState = TaskState.WAITING
    nodes: tuple[str, ...] | None = None
    look_ns: int = 0
    locality: str = ""
    miss: str = ""
    last: int = 0
    ended: int = 0
    done: int = 0
    worker: str = ""
    attempt: Attempt | None = None
    backup: Attempt | None = None
    faults: int = 0
    unread: int = 0
    failed: int = 0
    error: str = ""
    story: tuple[str, ...] = ()

    def move(self, word: str, detail: object = "") -> None:
        """Follow the table and remember how we came here."""
        step = sys.intern(f"{word} {detail}".rstrip())
        self.story = (*self.story, step)[-STORY_WORDS:]
        self.state = follow(TASK, self.state, word, self)

    def __str__(self) -> str:
        return f"{self.kind} {self.index}: {', '.join(self.story)}"

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Those that run, the oldest first."""
        return tuple(a for a in (self.attempt, self.backup) if a is not None)


class Tasks:
    """The tasks of one kind of a job, by index."""

    def __init__(self, kind: TaskKind, count: int, since_ns: int) -> None:
        self._kind = kind
        self._since_ns = since_ns
        self._made: list[Task | None] = [None] * count

    def __len__(self) -> int:
        return len(self._made)

    def __getitem__(self, index: int) -> Task:
        """The task; it is made if there is none yet."""
        task = self._made[index]
        if task is None:
            task = self._made[index] = Task(self._kind, index, self._since_ns)
        return task

    @property
    def since_ns(self) -> int:
        """Since when they can run (ns, monotonic)."""
        return self._since_ns

    def forget(self, count: int) -> int:
        """Drop the last tasks, at most so many; how many they were."""
        before = len(self._made)
        del self._made[max(0, before - count) :]
        return before - len(self._made)

    def peek(self, index: int) -> Task | None:
        """The task, if anything ever happened to it."""
        return self._made[index]

    def made(self) -> Iterator[Task]:
        """Those to which anything happened, by index."""
        return (task for task in self._made if task is not None)
