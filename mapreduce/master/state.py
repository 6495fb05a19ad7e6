"""What the scheduler knows: jobs, tasks, attempts, workers, and how they hang together.

Only this module changes them, and only along ``transitions``. The relations that ``check``
proves, and that every method keeps:

* An attempt runs on one worker: it stands in its task, in ``worker.running`` and in
  ``job.running``, or in none of them. A task has one, or one and a backup on another worker.
* A task that waits stands in ``job.waiting`` or in ``job.paused``, no other does.
* ``job.done`` counts the tasks that are done, ``job.running_of`` and ``backups`` the attempts.
* Every map that is done, of a job with reduces, has its run on a worker we know or expect: it
  stands in that worker's ``runs``, or in its ``doubted``. Losing the run makes the task wait again.
* ``free`` holds the workers that are here and have room, no other, and ``slots`` counts the
  slots of those that are here.
* A number of an attempt is given out once; what has ended never runs again.

Attempts are soft: after a restart the workers tell which ones still run.
"""

from __future__ import annotations

from collections import Counter
from heapq import heappop, heappush
from itertools import islice

from mapreduce.master.job import Job
from mapreduce.master.task import Attempt, Task, Tasks
from mapreduce.master.transitions import TaskState
from mapreduce.master.worker import Worker
from mapreduce.wire import AttemptId, TaskKind


class State:
    """All of it. See the module's text."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.workers: dict[str, Worker] = {}
        self.free: dict[str, Worker] = {}
        self.slots = 0
        self.backups = 0
        self.avoided: dict[str, int] = {}
        """Until when (ns, monotonic) workers get nothing, see ``avoid``."""
        self.racks: dict[str, str] = {}
        """The rack of a node, as far as it was told."""
        self.staffed: Counter[str] = Counter()
        """Workers that are here, by node."""
        self.staffed_racks: Counter[str] = Counter()
        self._here: dict[str, tuple[int, str, str]] = {}
        self.vanishing: dict[str, str] = {}
        """Workers whose doubted runs are being given up, with the reason."""
        self._pauses: list[tuple[int, str, TaskKind, int]] = []
        self._jobs_added = 0
        self._ended: list[Tasks | dict[int, int]] = []

    # -- questions

    def find(self, attempt: AttemptId) -> tuple[Job, Task] | None:
        """The job and task of an attempt, if the job runs and has such a task."""
        job = self.jobs.get(attempt.job)
        if job is None or attempt.step != job.step:
            return None
        tasks = job.tasks(attempt.kind)
        return (job, tasks[attempt.index]) if 0 <= attempt.index < len(tasks) else None

    def live(self, attempt: AttemptId, worker: str) -> Attempt | None:
        """The attempt, if it runs on this worker as far as we know."""
        known = self.workers.get(worker)
        return known.running.get(attempt) if known is not None else None

    def rack(self, worker: Worker) -> str:
        """The rack in which a worker stands, '' if nobody knows."""
        return self.racks.get(worker.node, "")

    @property
    def here(self) -> int:
        """How many workers are here."""
        return len(self._here)

    # -- jobs and workers

    def next_number(self) -> int:
        """The number of the next job."""
        self._jobs_added += 1
        return self._jobs_added

    def add_job(self, job: Job) -> None:
        """A job whose tasks all wait."""
        assert job.id not in self.jobs, f"job {job.id} was added twice"
        self.jobs[job.id] = job

    def replace_job(self, old: Job, job: Job) -> None:
        """The same job at another step, all whose tasks wait, in its old place in the line."""
        self._forget_work(old)
        self.jobs[job.id] = job

    def drop_job(self, job: Job) -> None:
        """Forget a job that is over, with its attempts and runs."""
        self._forget_work(job)
        del self.jobs[job.id]

    def _forget_work(self, job: Job) -> None:
        for attempt in list(job.running.values()):
            worker = self.workers[attempt.worker]
            self._stop(job, job.tasks(attempt.id.kind)[attempt.id.index], attempt)
            self.note_worker(worker)
        for worker in self.workers.values():
            for places in (worker.runs, worker.doubted):
                held = places.pop(job.id, None)
                if held is not None:
                    self._ended.append(held)
        self._ended += [job.maps, job.reduces]

    def clear_away(self, rows: int) -> None:
        """Give back the memory of ended jobs, at most so many rows: all at once takes long."""
        while self._ended and rows > 0:
            last = self._ended[-1]
            rows -= max(1, len(last) if isinstance(last, dict) else last.forget(rows))
            if isinstance(last, dict) or not last:
                self._ended.pop()

    def note_worker(self, worker: Worker) -> None:
        """What was said about a worker changed: keep the sums over those that are here."""
        before = self._here.pop(worker.name, None)
        if before is not None:
            slots, node, rack = before
            self.slots -= slots
            self.staffed[node] -= 1
            self.staffed_racks[rack] -= 1
        if worker.is_here:
            rack = self.rack(worker)
            self._here[worker.name] = (worker.slots, worker.node, rack)
            self.slots += worker.slots
            self.staffed[worker.node] += 1
            self.staffed_racks[rack] += 1
        self._note_room(worker)

    def note_rack(self, node: str, rack: str) -> None:
        """A node stands in this rack."""
        if rack and self.racks.get(node) != rack:
            self.racks[node] = rack
            for worker in self.workers.values():
                if worker.node == node:
                    self.note_worker(worker)

    def _note_room(self, worker: Worker) -> None:
        if worker.is_here and worker.room > 0:
            self.free[worker.name] = worker
        else:
            self.free.pop(worker.name, None)

    # -- attempts

    def launch(self, job: Job, task: Task, worker: Worker, now_ns: int, lease_ns: int) -> Attempt:
        """A new attempt of a waiting task, or a backup of a running one."""
        task.last += 1
        word = "launched" if task.attempt is None else "backed_up"
        return self._run(job, task, worker, word, now_ns, lease_ns)

    def adopt(self, job: Job, task: Task, worker: Worker, now_ns: int, lease_ns: int) -> Attempt:
        """The last attempt of a waiting task turns out to be running still."""
        return self._run(job, task, worker, "adopted", now_ns, lease_ns)

    def _run(
        self, job: Job, task: Task, worker: Worker, word: str, now_ns: int, lease_ns: int
    ) -> Attempt:
        ident = AttemptId(job.id, job.step, task.kind, task.index, task.last)
        is_backup = task.attempt is not None
        task.move(word, f"{task.last} on {worker.name}")
        attempt = Attempt(ident, worker.name, now_ns, lease_ns, task.locality, task.miss)
        if is_backup:
            task.backup = attempt
            self.backups += 1
        else:
            job.leave_queue(task)
            task.attempt = attempt
        worker.running[ident] = job.running[ident] = attempt
        job.running_of[task.kind] += 1
        self._note_room(worker)
        return attempt

    def end(self, attempt: Attempt, word: str, now_ns: int, pause_ns: int = 0) -> None:
        """An attempt is over: ``succeeded`` commits its task; after all else the task goes on
        with its other attempt, or waits again, for ``pause_ns`` at least."""
        found = self.find(attempt.id)
        assert found is not None, f"{attempt} ran without its job"
        job, task = found
        attempt.move(word)
        worker = self.workers[attempt.worker]
        self._stop(job, task, attempt)
        self._note_room(worker)
        if task.attempt is not None and word != "succeeded":
            task.move("one_ended", attempt.id.attempt)
            return
        task.move(word, attempt.id.attempt)
        if task.state is TaskState.DONE:
            job.done_ns[task.kind] += now_ns - job.began_ns(attempt)
            job.timed[task.kind] += 1
            self._commit(job, task, worker, attempt.id.attempt)
            if job.maps_done:
                job.maps_done_ns = now_ns
        elif pause_ns:
            self._pause(job, task, now_ns + pause_ns)
        else:
            job.waiting[task.kind].wait_first(task)

    def _stop(self, job: Job, task: Task, attempt: Attempt) -> None:
        """An attempt does not run any more; a backup takes the place of its attempt."""
        del self.workers[attempt.worker].running[attempt.id]
        del job.running[attempt.id]
        job.running_of[task.kind] -= 1
        if task.backup is not None:
            self.backups -= 1
            task.attempt = task.backup if task.attempt is attempt else task.attempt
            task.backup = None
        else:
            task.attempt = None
        task.ended = max(task.ended, attempt.id.attempt)

    # -- map output

    def lose_output(self, job: Job, task: Task) -> None:
        """The run of a map that is done is gone: the map has to run again."""
        task.move("output_lost", task.worker)
        self.workers[task.worker].let_go(job.id, task.index)
        job.done[task.kind] -= 1
        job.waiting[task.kind].wait_first(task)

    def recover_output(self, job: Job, task: Task, worker: Worker) -> None:
        """The run of a map that waits to run again was found: it is done after all."""
        task.move("recovered", worker.name)
        job.leave_queue(task)
        self._commit(job, task, worker, task.done)

    def restore(self, job: Job, task: Task, worker: str, attempt: int, now_ns: int) -> None:
        """The log says that a task is done; the worker is expected to come back."""
        known = self.workers.setdefault(worker, Worker(worker, now_ns))
        task.move("recovered", worker)
        job.leave_queue(task)
        self._commit(job, task, known, attempt)

    def _commit(self, job: Job, task: Task, worker: Worker, attempt: int) -> None:
        task.done, task.worker = attempt, worker.name
        job.done[task.kind] += 1
        if task.kind is TaskKind.MAP and job.reduces:
            worker.hold(AttemptId(job.id, job.step, task.kind, task.index, attempt))

    def doubted_of(self, worker: Worker, limit: int) -> list[AttemptId]:
        """Runs that a worker has not named and that a reduce still needs, at most so many."""
        found = (
            AttemptId(ident, self.jobs[ident].step, TaskKind.MAP, index, attempt)
            for ident, held in worker.doubted.items()
            if self.jobs[ident].needs_runs
            for index, attempt in held.items()
        )
        return list(islice(found, limit))

    # -- pauses

    def pause(self, job: Job, task: Task, until_ns: int) -> None:
        """Do not start a waiting task before a moment."""
        job.leave_queue(task)
        self._pause(job, task, until_ns)

    def _pause(self, job: Job, task: Task, until_ns: int) -> None:
        job.paused[task.kind, task.index] = until_ns
        heappush(self._pauses, (until_ns, job.id, task.kind, task.index))

    def next_resume_ns(self) -> int | None:
        """When the next pause ends, or one that was cut short would have."""
        return self._pauses[0][0] if self._pauses else None

    def resume(self, now_ns: int) -> bool:
        """Tasks whose pause is over wait like any other; were there any?"""
        resumed = False
        while self._pauses and self._pauses[0][0] <= now_ns:
            until_ns, ident, kind, index = heappop(self._pauses)
            job = self.jobs.get(ident)
            if job is not None and job.paused.get((kind, index)) == until_ns:
                del job.paused[kind, index]
                job.waiting[kind].wait_first(job.tasks(kind)[index])
                resumed = True
        return resumed

    # -- invariants

    def check(self) -> None:
        """Prove the relations in the module's text; for tests and the simulation."""
        running: dict[AttemptId, str] = {}
        for job in self.jobs.values():
            of_job: dict[AttemptId, str] = {}
            for kind in TaskKind:
                self._check_tasks(job, kind, of_job)
            assert of_job == {a: known.worker for a, known in job.running.items()}, f"{job.id}"
            running |= of_job
        on_workers = {a: w.name for w in self.workers.values() for a in w.running}
        assert on_workers == running, f"workers run {on_workers}, tasks say {running}"
        here = [worker for worker in self.workers.values() if worker.is_here]
        assert self.slots == sum(worker.slots for worker in here)
        assert self.free.keys() == {worker.name for worker in here if worker.room > 0}
        assert +self.staffed == Counter(worker.node for worker in here)
        for worker in self.workers.values():
            self._check_worker(worker)

    def _check_worker(self, worker: Worker) -> None:
        assert worker.room >= 0, f"{worker.name} has {worker.slots} slots: {worker.running}"
        assert not (worker.dead and (worker.running or worker.runs)), f"{worker} is dead"
        for ident, runs in (*worker.runs.items(), *worker.doubted.items()):
            for index, attempt in runs.items():
                task = self.jobs[ident].maps[index]
                owner = (task.state, task.worker, task.done)
                assert owner == (TaskState.DONE, worker.name, attempt), f"{worker}, {task}"

    def _check_tasks(self, job: Job, kind: TaskKind, running: dict[AttemptId, str]) -> None:
        waiting = job.waiting[kind]
        done = made_waiting = 0
        for task in job.tasks(kind).made():
            queued = task.index in waiting, (kind, task.index) in job.paused
            assert sum(queued) == (task.state is TaskState.WAITING), f"{task} queued {queued}"
            assert (task.attempt is not None) == (task.state is TaskState.RUNNING), f"{task}"
            assert task.attempt is not None or task.backup is None, f"{task} has a backup alone"
            assert len({attempt.worker for attempt in task.attempts}) == len(task.attempts)
            assert max(task.ended, task.done) <= task.last, f"{task}"
            made_waiting += queued[0]
            running |= {attempt.id: attempt.worker for attempt in task.attempts}
            if task.state is TaskState.DONE:
                done += 1
                if kind is TaskKind.MAP and job.reduces:
                    worker = self.workers[task.worker]
                    run = AttemptId(job.id, job.step, kind, task.index, task.done)
                    held = worker.runs.get(job.id, {}).get(task.index) == task.done
                    assert held != worker.doubts(run), f"{task} has no run, or a doubted one too"
        assert job.done[kind] == done, f"{job.id}: {job.done} but {done} {kind} tasks are done"
        assert job.running_of[kind] == sum(a.kind is kind for a in running), f"{job.id}"
        assert len(waiting) >= made_waiting
