"""A worker's core on a bench: events go in by hand, and what it asks for is looked at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar

from dfs.events import (
    NAMENODE,
    Action,
    Now,
    Origin,
    Peer,
    Received,
    Role,
    Send,
    Work,
    WorkDone,
)
from dfs.limits import SECOND_NS
from dfs.wire.codec import Message
from dfs.wire.common import Ok
from mapreduce.job import FileSplit, JobSpec, MapTask, ReduceTask, StepSpec
from mapreduce.wire import (
    AnnounceRuns,
    AttemptId,
    AttemptSucceeded,
    FetchRuns,
    JobOptions,
    LaunchMap,
    LaunchReduce,
    RegisterWorker,
    RunAsked,
    RunHeld,
    TaskKind,
    WorkerRegistered,
)
from mapreduce.worker.core import WorkerCore
from mapreduce.worker.master_link import WorkerSettings
from mapreduce.worker.work import (
    FindHeldRuns,
)

JOB = "j-20261121-0001"
STEP = StepSpec(2, False, True)
SPEC = JobSpec("words", "0" * 64, "job.py", "", {}, (STEP,))
OTHER = Peer(Role.WORKER, "worker-2")
SETTINGS = WorkerSettings(
    "worker-1", ("ipc:///w1", "tcp://127.0.0.1:1"), "host-1", "datanode-1", 2, ("tcp://nn",)
)
T = TypeVar("T")


def map_attempt(index: int = 0, attempt: int = 1, job: str = JOB) -> AttemptId:
    return AttemptId(job, 0, TaskKind.MAP, index, attempt)


def reduce_attempt(index: int = 0, attempt: int = 1) -> AttemptId:
    return AttemptId(JOB, 0, TaskKind.REDUCE, index, attempt)


def launch_map(index: int = 0, attempt: int = 1, epoch: int = 1) -> LaunchMap:
    task = MapTask(JOB, 0, index, attempt, FileSplit("/in", 0, 10, 10), STEP)
    return LaunchMap(epoch, task, 5, SPEC, JobOptions(task_timeout_ns=30 * SECOND_NS), "/.jobs/a")


def launch_reduce(maps: int = 1, index: int = 0) -> LaunchReduce:
    task = ReduceTask(JOB, 0, index, 1, maps, STEP)
    return LaunchReduce(1, task, SPEC, JobOptions(task_timeout_ns=30 * SECOND_NS), "/.jobs/r")


def fetch_runs(*maps: int, partition: int = 0, offset: int = 0) -> FetchRuns:
    return FetchRuns(JOB, 0, partition, tuple(RunAsked(index, 1) for index in maps), offset)


def succeeded(attempt: AttemptId) -> AttemptSucceeded:
    return AttemptSucceeded(attempt, {}, 3, 5, 100)


@dataclass
class Bench:
    """A core, its time, and everything it asked for that was not looked at yet."""

    core: WorkerCore = field(default_factory=lambda: WorkerCore(SETTINGS))
    now_ns: int = 1000 * SECOND_NS
    actions: list[Action] = field(default_factory=list)

    @property
    def now(self) -> Now:
        return Now(self.now_ns, 0)

    def take(self, kind: type[T]) -> list[T]:
        """The messages or tasks of one kind asked for, oldest first; they are forgotten."""
        found: list[T] = []
        rest: list[Action] = []
        for action in self.actions:
            content = action.task if isinstance(action, Work) else getattr(action, "message", 0)
            if isinstance(content, kind):
                found.append(content)
            else:
                rest.append(action)
        self.actions = rest
        return found

    def find(self, kind: type[Any]) -> Any:
        """The last action that carries a message or task of this kind."""
        for action in reversed(self.actions):
            content = action.task if isinstance(action, Work) else getattr(action, "message", 0)
            if isinstance(content, kind):
                return action
        raise AssertionError(f"no {kind.__name__} in {self.actions}")

    def hear(self, peer: Peer, message: Message, request: int = 0, payload: bytes = b"") -> None:
        event = Received(Origin(peer, 1, request), message, payload)
        self.actions += self.core.handle(event, self.now)

    def master(self, message: Message, request: int = 0) -> None:
        self.hear(NAMENODE, message, request)

    def answer(self, kind: type[Any], message: Message, payload: bytes = b"") -> None:
        """Answer the last request of a kind, from whom it was sent to."""
        send = self.find(kind)
        assert isinstance(send, Send)
        self.actions.remove(send)
        self.hear(send.to, message, send.request, payload)

    def done(self, kind: type[Any], result: Any = None, error: Exception | None = None) -> None:
        """End the last piece of work of a kind."""
        work = self.find(kind)
        self.actions.remove(work)
        self.actions += self.core.handle(WorkDone(work.token, result, error), self.now)

    def wait(self, duration_ns: int) -> None:
        """Let time pass, doing all that becomes due."""
        end_ns = self.now_ns + duration_ns
        while (due_ns := self.core.next_deadline()) is not None and due_ns <= end_ns:
            self.now_ns = max(self.now_ns, due_ns)
            self.actions += self.core.on_deadline(self.now)
        self.now_ns = end_ns

    def run_due(self) -> None:
        self.wait(0)

    def boot(self, *runs: RunHeld) -> Bench:
        self.run_due()
        self.done(FindHeldRuns, runs)
        self.run_due()
        return self

    def register(self) -> Bench:
        self.wait(2 * SECOND_NS)
        self.answer(RegisterWorker, WorkerRegistered(1, SECOND_NS))
        self.run_due()
        while any(isinstance(getattr(a, "message", 0), AnnounceRuns) for a in self.actions):
            self.answer(AnnounceRuns, Ok())
            self.run_due()
        self.actions.clear()
        return self
