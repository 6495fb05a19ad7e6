"""What the scheduler knows: jobs, tasks, attempts, workers, and how they hang together.

Only this module changes them, and only along ``transitions``. The relations that ``check``
proves, and that every method keeps:

* An attempt runs on one worker and is the only one of its task: it stands in
  ``task.attempt`` and in ``worker.running``, or in neither.
* A task that waits stands in ``job.waiting`` or in ``job.paused``, no other does.
* ``job.done`` counts the tasks that are done.
* Every map that is done, of a job with reduces, has its run on a worker we know or expect:
  it stands in that worker's ``runs``. Losing the run makes the task wait again.
* A number of an attempt is given out once; what has ended never runs again.

Attempts are soft: after a restart the workers tell which ones still run.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from mapreduce.job import Failure
from mapreduce.master.transitions import (
    ATTEMPT,
    JOB,
    TASK,
    AttemptState,
    JobPhase,
    TaskState,
    follow,
)
from mapreduce.wire import AttemptId, TaskKind

STORY_WORDS = 12


@dataclass(slots=True)
class Attempt:
    """An attempt that runs, or ran. ``lease_ns`` is when it is given up without a word."""

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

    def move(self, word: str) -> None:
        """Follow the table."""
        self.state = follow(ATTEMPT, self.state, word, f"{self.id} on {self.worker}")


@dataclass(slots=True)
class Task:
    """A task. ``last`` is the highest attempt number given out (``locality`` and ``miss`` are
    that one's), ``ended`` the highest that is known to be over, ``done`` the one committed last
    (0: none), run by ``worker``."""

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
    faults: int = 0
    unread: int = 0
    failed: int = 0
    error: str = ""
    story: tuple[str, ...] = ()

    def move(self, word: str, detail: object = "") -> None:
        """Follow the table and remember how we came here."""
        self.story = (*self.story, f"{word} {detail}".rstrip())[-STORY_WORDS:]
        name = f"{self.kind} {self.index}"
        self.state = follow(TASK, self.state, word, f"{name}: {', '.join(self.story)}")


def _per_kind() -> dict[TaskKind, int]:
    return {TaskKind.MAP: 0, TaskKind.REDUCE: 0}


@dataclass(slots=True)
class Job:
    """A job that may run. ``paused`` holds waiting tasks until a moment (ns, monotonic)."""

    id: str
    max_attempts: int
    maps: list[Task]
    reduces: list[Task]
    phase: JobPhase = JobPhase.QUEUED
    waiting: dict[TaskKind, OrderedDict[int, Task]] = field(default_factory=dict)
    paused: dict[tuple[TaskKind, int], int] = field(default_factory=dict)
    done: dict[TaskKind, int] = field(default_factory=_per_kind)
    failed: dict[TaskKind, int] = field(default_factory=_per_kind)
    signatures: dict[str, int] = field(default_factory=dict)
    failure: Failure | None = None
    error: str = ""

    def tasks(self, kind: TaskKind) -> list[Task]:
        """The tasks of one kind, by index."""
        return self.maps if kind is TaskKind.MAP else self.reduces

    def move(self, word: str) -> None:
        """Follow the table."""
        self.phase = follow(JOB, self.phase, word, f"job {self.id}, {self.done} done")

    def wait_first(self, task: Task) -> None:
        """A task waits again. It is as old as ever, so it goes first: what fails every time
        shows soon, and reduces get a lost run back soon."""
        self.waiting[task.kind][task.index] = task
        self.waiting[task.kind].move_to_end(task.index, last=False)

    @property
    def is_open(self) -> bool:
        """Does it still start attempts?"""
        return self.phase in (JobPhase.QUEUED, JobPhase.RUNNING)

    @property
    def maps_pending(self) -> bool:
        """Is there a map without an attempt?"""
        return bool(self.waiting[TaskKind.MAP]) or any(k is TaskKind.MAP for k, _ in self.paused)

    @property
    def all_done(self) -> bool:
        """Are the tasks done that write the output?"""
        last = TaskKind.REDUCE if self.reduces else TaskKind.MAP
        return self.done[last] == len(self.tasks(last))

    @property
    def needs_runs(self) -> bool:
        """Will a reduce still fetch map output?"""
        return bool(self.reduces) and not self.all_done


@dataclass(slots=True)
class Worker:
    """A worker; ``announced``: it has said which runs it holds, and may get work.

    ``runs`` are committed map outputs that it holds: job, map index, attempt. ``heard`` are those
    announced since it joined. A worker that the log names and that has not come back since the
    master started is expected: it has no slots.
    """

    name: str
    seen_ns: int
    node: str = ""
    slots: int = 0
    connected: bool = False
    announced: bool = False
    dead: bool = False
    running: dict[AttemptId, Attempt] = field(default_factory=dict)
    runs: dict[str, dict[int, int]] = field(default_factory=dict)
    heard: dict[str, dict[int, int]] = field(default_factory=dict)

    @property
    def room(self) -> int:
        """Free slots."""
        return self.slots - len(self.running)

    def hear(self, run: AttemptId) -> None:
        """The worker says that it holds this run."""
        self.heard.setdefault(run.job, {})[run.index] = run.attempt

    def was_heard(self, job: str, index: int, attempt: int) -> bool:
        """Was this run announced since the worker joined?"""
        return self.heard.get(job, {}).get(index) == attempt


class State:
    """All of it. See the module's text."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.workers: dict[str, Worker] = {}

    # -- questions

    def find(self, attempt: AttemptId) -> tuple[Job, Task] | None:
        """The job and task of an attempt, if the job runs and has such a task."""
        job = self.jobs.get(attempt.job)
        if job is None or attempt.step != 0:
            return None
        tasks = job.tasks(attempt.kind)
        return (job, tasks[attempt.index]) if 0 <= attempt.index < len(tasks) else None

    def live(self, attempt: AttemptId, worker: str) -> Attempt | None:
        """The attempt, if it runs on this worker as far as we know."""
        known = self.workers.get(worker)
        return known.running.get(attempt) if known is not None else None

    def running(self, kind: TaskKind) -> Iterator[Attempt]:
        """All running attempts of one kind."""
        for worker in self.workers.values():
            for attempt in worker.running.values():
                if attempt.id.kind is kind:
                    yield attempt

    # -- jobs

    def add_job(self, job: Job) -> None:
        """A job whose tasks all wait."""
        assert job.id not in self.jobs, f"job {job.id} was added twice"
        for kind in TaskKind:
            job.waiting[kind] = OrderedDict((task.index, task) for task in job.tasks(kind))
        self.jobs[job.id] = job

    def drop_job(self, job: Job) -> None:
        """Forget a job that is over, with its attempts and runs."""
        for worker in self.workers.values():
            worker.runs.pop(job.id, None)
            for attempt in [a for a in worker.running if a.job == job.id]:
                del worker.running[attempt]
        del self.jobs[job.id]

    # -- attempts

    def launch(self, job: Job, task: Task, worker: Worker, now_ns: int, lease_ns: int) -> Attempt:
        """A new attempt of a waiting task."""
        task.last += 1
        return self._run(job, task, worker, "launched", now_ns, lease_ns)

    def adopt(self, job: Job, task: Task, worker: Worker, now_ns: int, lease_ns: int) -> Attempt:
        """The last attempt of a waiting task turns out to be running still."""
        return self._run(job, task, worker, "adopted", now_ns, lease_ns)

    def _run(
        self, job: Job, task: Task, worker: Worker, word: str, now_ns: int, lease_ns: int
    ) -> Attempt:
        ident = AttemptId(job.id, 0, task.kind, task.index, task.last)
        task.move(word, f"{task.last} on {worker.name}")
        self._leave_queue(job, task)
        task.attempt = Attempt(ident, worker.name, now_ns, lease_ns, task.locality, task.miss)
        worker.running[ident] = task.attempt
        return task.attempt

    def end(self, attempt: Attempt, word: str, now_ns: int, pause_ns: int = 0) -> None:
        """An attempt is over: ``succeeded`` commits its task, all else lets the task wait again,
        for ``pause_ns`` at least."""
        found = self.find(attempt.id)
        assert found is not None, f"{attempt} ran without its job"
        job, task = found
        attempt.move(word)
        task.move(word, attempt.id.attempt)
        worker = self.workers[attempt.worker]
        del worker.running[attempt.id]
        task.attempt, task.ended = None, attempt.id.attempt
        if task.state is TaskState.DONE:
            self._commit(job, task, worker, attempt.id.attempt)
        elif pause_ns:
            job.paused[task.kind, task.index] = now_ns + pause_ns
        else:
            job.wait_first(task)

    # -- map output

    def lose_output(self, job: Job, task: Task) -> None:
        """The run of a map that is done is gone: the map has to run again."""
        task.move("output_lost", task.worker)
        held = self.workers[task.worker].runs[job.id]
        del held[task.index]
        if not held:
            del self.workers[task.worker].runs[job.id]
        job.done[task.kind] -= 1
        job.wait_first(task)

    def recover_output(self, job: Job, task: Task, worker: Worker) -> None:
        """The run of a map that waits to run again was found: it is done after all."""
        task.move("recovered", worker.name)
        self._leave_queue(job, task)
        self._commit(job, task, worker, task.done)

    def restore(self, job: Job, task: Task, worker: str, attempt: int, now_ns: int) -> None:
        """The log says that a task is done; the worker is expected to come back."""
        known = self.workers.setdefault(worker, Worker(worker, now_ns))
        task.move("recovered", worker)
        self._leave_queue(job, task)
        self._commit(job, task, known, attempt)

    # -- inside

    def _commit(self, job: Job, task: Task, worker: Worker, attempt: int) -> None:
        task.done, task.worker = attempt, worker.name
        job.done[task.kind] += 1
        if task.kind is TaskKind.MAP and job.reduces:
            worker.runs.setdefault(job.id, {})[task.index] = attempt

    def pause(self, job: Job, task: Task, until_ns: int) -> None:
        """Do not start a waiting task before a moment."""
        del job.waiting[task.kind][task.index]
        job.paused[task.kind, task.index] = until_ns

    def resume(self, now_ns: int) -> bool:
        """Tasks whose pause is over wait like any other; were there any?"""
        resumed = False
        for job in self.jobs.values():
            for key in [k for k, until in job.paused.items() if until <= now_ns]:
                del job.paused[key]
                job.wait_first(job.tasks(key[0])[key[1]])
                resumed = True
        return resumed

    @staticmethod
    def _leave_queue(job: Job, task: Task) -> None:
        if job.waiting[task.kind].pop(task.index, None) is None:
            del job.paused[task.kind, task.index]

    # -- invariants

    def check(self) -> None:
        """Prove the relations in the module's text; for tests and the simulation."""
        running: dict[AttemptId, str] = {}
        for job in self.jobs.values():
            for kind in TaskKind:
                self._check_tasks(job, kind, running)
        on_workers = {a: w.name for w in self.workers.values() for a in w.running}
        assert on_workers == running, f"workers run {on_workers}, tasks say {running}"
        for worker in self.workers.values():
            assert worker.room >= 0, f"{worker.name} has {worker.slots} slots: {worker.running}"
            assert not (worker.dead and (worker.running or worker.runs)), f"{worker} is dead"
            for ident, runs in worker.runs.items():
                for index, attempt in runs.items():
                    task = self.jobs[ident].maps[index]
                    owner = (task.state, task.worker, task.done)
                    assert owner == (TaskState.DONE, worker.name, attempt), f"{worker}, {task}"

    def _check_tasks(self, job: Job, kind: TaskKind, running: dict[AttemptId, str]) -> None:
        done = 0
        for task in job.tasks(kind):
            queued = task.index in job.waiting[kind], (kind, task.index) in job.paused
            assert sum(queued) == (task.state is TaskState.WAITING), f"{task} queued {queued}"
            assert (task.attempt is not None) == (task.state is TaskState.RUNNING), f"{task}"
            assert task.ended <= task.last, f"{task}"
            assert task.done <= task.last, f"{task}"
            if task.attempt is not None:
                running[task.attempt.id] = task.attempt.worker
            if task.state is TaskState.DONE:
                done += 1
                if kind is TaskKind.MAP and job.reduces:
                    held = self.workers[task.worker].runs.get(job.id, {})
                    assert held.get(task.index) == task.done, f"{task} has no run"
        assert job.done[kind] == done, f"{job.id}: {job.done} but {done} {kind} tasks are done"
