"""The scheduler: what is told goes in, what should be done comes out. Pure.

Order of work. Jobs come first in, first out. Within a job maps go before reduces, and a
reduce starts only when no map of its job is without an attempt. A slot that an earlier job
cannot use now (its maps wait for a better node) goes to a later one.

Nothing waits for ever. A running map ends, or loses its lease. A reduce may wait for a map
whose output was lost, so such a map must always get a slot: when no worker has room and
fewer maps run than reduces of the same or of later jobs, the newest of those reduces is
killed and the map takes its place. Reduces of earlier jobs are never killed for it; they have
all their maps, so they end. By induction over the jobs in order, every job ends.

Whose fault it is. What user code does (an exception, a crash, too much memory, no progress)
counts towards the job's ``max_attempts``; the same exception twice fails the job at once. Input
that cannot be read counts by itself. Faults of nodes and lost map output never count, but no
task gets more than ``ATTEMPTS_PER_TASK_MAX`` attempts.

Who is dead. A worker that is silent for ``stale_ns`` gets no work; after ``dead_ns`` its attempts
are lost, and so are its map outputs where a reduce still needs them. A worker that registers
anew loses at once what it does not name any more. After a restart of the master, workers that
hold committed runs have ``dead_ns`` to come back, and started tasks wait a little for their
attempts to be adopted.
"""

from __future__ import annotations

from mapreduce.limits import (
    ADOPTION_WAIT_NS,
    ATTEMPT_LEASE_NS,
    ATTEMPT_PAUSE_NS,
    LOCATE_AGAIN_NS,
)
from mapreduce.master import events as ev
from mapreduce.master.actions import (
    Action,
    EndJob,
    ForgetMapOutput,
    KillAttempt,
    PublishOutput,
    Tell,
)
from mapreduce.master.assign import Assignment, unlocated
from mapreduce.master.faults import judge, told
from mapreduce.master.state import Attempt, Job, State, Task, Worker
from mapreduce.master.transitions import TaskState
from mapreduce.wire import AttemptId, AttemptProgress, FailureKind, JobState, TaskKind

PAUSED_KINDS = frozenset({FailureKind.INPUT, FailureKind.NODE})
"""After these the same task waits a moment: the world has to change before it can succeed."""


class Scheduler:
    """See the module's text. All times are monotonic, in ns."""

    def __init__(self, heartbeat_ns: int, stale_ns: int, dead_ns: int) -> None:
        self.state = State()
        self._sweep_every_ns = heartbeat_ns
        self._stale_ns = stale_ns
        self._dead_ns = dead_ns
        self._sweep_ns = 0
        self._assign_ns: int | None = None

    def handle(self, event: ev.Event, now_ns: int) -> list[Action]:
        """Take in one event."""
        if not isinstance(event, ev.Heartbeat | ev.TimePassed):
            self._assign_ns = now_ns
        match event:
            case ev.JobSubmitted():
                return self._job_submitted(event, now_ns)
            case ev.MapsLocated():
                return self._maps_located(event, now_ns)
            case ev.JobKilled():
                return self._end_job(event.job, "killed", JobState.KILLED, event.reason)
            case ev.OutputPublished():
                return self._end_job(event.job, "published", JobState.SUCCEEDED, "")
            case ev.OutputRefused():
                return self._end_job(event.job, "refused", JobState.FAILED, event.reason)
            case ev.WorkerJoined():
                return self._worker_joined(event, now_ns)
            case ev.RunsAnnounced():
                return self._runs_announced(event, now_ns)
            case ev.Heartbeat():
                return self._heartbeat(event, now_ns)
            case ev.WorkerDisconnected():
                self.state.workers[event.worker].connected = False
                return []
            case ev.AttemptSucceeded():
                return self._attempt_succeeded(event, now_ns)
            case ev.AttemptFailed():
                return self._attempt_failed(event, now_ns)
            case ev.MapOutputLost():
                return self._outputs_lost(event.runs, f"{event.attempt} cannot get it")
            case ev.TimePassed():
                return self._time_passed(now_ns)

    def next_deadline(self) -> int | None:
        """When ``TimePassed`` has something to do; None: not before another event."""
        times = [until for job in self.state.jobs.values() for until in job.paused.values()]
        if self._assign_ns is not None:
            times.append(self._assign_ns)
        if any(not worker.dead for worker in self.state.workers.values()):
            times.append(self._sweep_ns)
        return min(times, default=None)

    def is_usable(self, worker: Worker, now_ns: int) -> bool:
        """May this worker get work?"""
        return worker.connected and worker.announced and now_ns - worker.seen_ns < self._stale_ns

    def unlocated(self, limit: int, now_ns: int) -> list[tuple[Job, Task]]:
        """Maps that are next in line and whose nodes should be looked up before."""
        return unlocated(self.state, self._usable(now_ns), limit, now_ns)

    def _usable(self, now_ns: int) -> list[Worker]:
        return [w for w in self.state.workers.values() if self.is_usable(w, now_ns)]

    # -- jobs

    def _job_submitted(self, event: ev.JobSubmitted, now_ns: int) -> list[Action]:
        maps = [Task(TaskKind.MAP, index, now_ns) for index in range(event.maps)]
        reduces = [Task(TaskKind.REDUCE, index, now_ns) for index in range(event.reduces)]
        job = Job(event.job, event.max_attempts, maps, reduces)
        self.state.add_job(job)
        if event.began:
            job.move("began")
        for known in event.known:
            task = job.tasks(known.kind)[known.index]
            task.last, task.locality, task.miss = known.attempts, known.locality, known.miss
            if known.done:
                self.state.restore(job, task, known.worker, known.done, now_ns)
            else:
                self.state.pause(job, task, now_ns + ADOPTION_WAIT_NS)
        return self._finish_if_done(job)

    def _maps_located(self, event: ev.MapsLocated, now_ns: int) -> list[Action]:
        job = self.state.jobs.get(event.job)
        for index, nodes in event.nodes if job is not None else ():
            assert job is not None
            job.maps[index].nodes = nodes
            job.maps[index].look_ns = now_ns + LOCATE_AGAIN_NS
        return []

    def _end_job(self, ident: str, word: str, state: JobState, error: str) -> list[Action]:
        job = self.state.jobs.get(ident)
        if job is None:
            return []
        job.move(word)
        self.state.drop_job(job)
        maps, reduces = job.done[TaskKind.MAP], job.done[TaskKind.REDUCE]
        return [EndJob(ident, state, maps, reduces, error, job.failure)]

    def _finish_if_done(self, job: Job) -> list[Action]:
        if not job.all_done or not job.is_open:
            return []
        job.move("tasks_done")
        return [PublishOutput(job.id)]

    # -- workers

    def _worker_joined(self, event: ev.WorkerJoined, now_ns: int) -> list[Action]:
        worker = self.state.workers.setdefault(event.worker, Worker(event.worker, now_ns))
        worker.node, worker.slots, worker.seen_ns = event.node, event.slots, now_ns
        worker.connected, worker.announced, worker.dead = True, False, False
        worker.heard = {}
        actions: list[Action] = []
        still = set(event.attempts)
        for attempt in [a for a in worker.running.values() if a.id not in still]:
            actions += self._attempt_lost(attempt, "its worker started anew", now_ns)
        for ident in event.attempts:
            if ident not in worker.running and not self._adopt(ident, worker, now_ns):
                actions.append(KillAttempt(ident, worker.name, "it was given up"))
        return actions

    def _adopt(self, ident: AttemptId, worker: Worker, now_ns: int) -> bool:
        """Take up an attempt that started before the master did, or that is committed."""
        found = self.state.find(ident)
        if found is None:
            return False
        job, task = found
        if task.state is TaskState.DONE and task.done == ident.attempt:
            return True
        waits = task.state is TaskState.WAITING and task.last == ident.attempt > task.ended
        if not waits or task.done == ident.attempt or worker.room < 1:
            return False
        self.state.adopt(job, task, worker, now_ns, now_ns + ATTEMPT_LEASE_NS)
        return True

    def _runs_announced(self, event: ev.RunsAnnounced, now_ns: int) -> list[Action]:
        worker = self.state.workers[event.worker]
        worker.seen_ns = now_ns
        actions: dict[str, Action] = {}
        for run in event.runs:
            found = self.state.find(run)
            if found is None:
                actions[run.job] = ForgetMapOutput(run.job, worker.name)
                continue
            job, task = found
            worker.hear(run)
            if task.state is TaskState.WAITING and task.done == run.attempt and job.needs_runs:
                self.state.recover_output(job, task, worker)
        if not event.last:
            return list(actions.values())
        missing = [
            AttemptId(ident, 0, TaskKind.MAP, index, attempt)
            for ident, runs in worker.runs.items()
            for index, attempt in runs.items()
            if not worker.was_heard(ident, index, attempt)
        ]
        worker.announced, worker.heard = True, {}
        lost = self._outputs_lost(missing, f"{worker.name} does not hold it")
        return [*actions.values(), *lost]

    def _heartbeat(self, event: ev.Heartbeat, now_ns: int) -> list[Action]:
        worker = self.state.workers[event.worker]
        if now_ns - worker.seen_ns >= self._stale_ns:
            self._assign_ns = now_ns
        worker.seen_ns = now_ns
        actions: list[Action] = []
        for progress in event.attempts:
            attempt = worker.running.get(progress.attempt)
            if attempt is not None:
                attempt.lease_ns = now_ns + ATTEMPT_LEASE_NS
                self._note_progress(attempt, progress)
            elif not self._is_committed(progress.attempt):
                actions.append(KillAttempt(progress.attempt, worker.name, "it was given up"))
        return actions

    @staticmethod
    def _note_progress(attempt: Attempt, progress: AttemptProgress) -> None:
        attempt.move("progressed")
        attempt.records, attempt.fraction = progress.records, progress.fraction
        attempt.status = progress.status

    def _is_committed(self, ident: AttemptId) -> bool:
        found = self.state.find(ident)
        return found is not None and found[1].done == ident.attempt

    def _worker_lost(self, worker: Worker, now_ns: int) -> list[Action]:
        worker.dead, worker.connected, worker.announced = True, False, False
        actions: list[Action] = []
        for attempt in list(worker.running.values()):
            actions += self._attempt_lost(attempt, f"{worker.name} is silent", now_ns)
        runs = [
            AttemptId(ident, 0, TaskKind.MAP, index, attempt)
            for ident, held in worker.runs.items()
            for index, attempt in held.items()
        ]
        actions += self._outputs_lost(runs, f"{worker.name} is silent")
        worker.runs = {}
        return actions

    # -- attempts

    def _attempt_succeeded(self, event: ev.AttemptSucceeded, now_ns: int) -> list[Action]:
        attempt = self.state.live(event.attempt, event.worker)
        if attempt is None:
            return []
        self.state.end(attempt, "succeeded", now_ns)
        ident, worker = event.attempt, self.state.workers[event.worker]
        if not worker.announced:
            worker.hear(ident)
        return self._finish_if_done(self.state.jobs[ident.job])

    def _attempt_lost(self, attempt: Attempt, reason: str, now_ns: int) -> list[Action]:
        self.state.end(attempt, "lost", now_ns)
        text = f"{attempt.id} on {attempt.worker} is lost: {reason}"
        return [Tell(attempt.id.job, "attempt_lost", text)]

    def _attempt_failed(self, event: ev.AttemptFailed, now_ns: int) -> list[Action]:
        attempt = self.state.live(event.attempt, event.worker)
        found = self.state.find(event.attempt)
        if attempt is None or found is None:
            return []
        job, task = found
        pause_ns = ATTEMPT_PAUSE_NS if event.kind in PAUSED_KINDS else 0
        self.state.end(attempt, "failed", now_ns, pause_ns)
        actions: list[Action] = [Tell(job.id, "attempt_failed", told(job, event))]
        verdict = judge(job, task, event)
        if verdict and job.is_open:
            return [*actions, *self._end_job(job.id, "failed", JobState.FAILED, verdict)]
        return actions + self._outputs_lost(event.runs, f"{event.attempt} cannot get it")

    def _outputs_lost(
        self, runs: tuple[AttemptId, ...] | list[AttemptId], reason: str
    ) -> list[Action]:
        """These runs are gone; maps whose output a reduce still needs run again."""
        actions: list[Action] = []
        for run in runs:
            found = self.state.find(run)
            if found is None or run.kind is not TaskKind.MAP:
                continue
            job, task = found
            if task.state is TaskState.DONE and task.done == run.attempt and job.needs_runs:
                text = f"the output of {run} on {task.worker} is lost: {reason}"
                self.state.lose_output(job, task)
                actions.append(Tell(job.id, "map_output_lost", text))
        return actions

    # -- time

    def _time_passed(self, now_ns: int) -> list[Action]:
        actions: list[Action] = []
        if now_ns >= self._sweep_ns:
            self._sweep_ns = now_ns + self._sweep_every_ns
            actions += self._sweep(now_ns)
        if self.state.resume(now_ns):
            self._assign_ns = now_ns
        if self._assign_ns is not None and now_ns >= self._assign_ns:
            assignment = Assignment(self.state, self._usable(now_ns), now_ns)
            actions += assignment.run()
            self._assign_ns = self._next_assignment(assignment, now_ns)
        return actions

    @staticmethod
    def _next_assignment(assignment: Assignment, now_ns: int) -> int | None:
        if assignment.is_cut:
            return now_ns
        ripe_ns = assignment.next_ripe_ns()
        return None if ripe_ns is None else min(ripe_ns, now_ns + LOCATE_AGAIN_NS)

    def _sweep(self, now_ns: int) -> list[Action]:
        """Dead workers and ended leases."""
        actions: list[Action] = []
        for worker in self.state.workers.values():
            if not worker.dead and now_ns - worker.seen_ns >= self._dead_ns:
                actions += self._worker_lost(worker, now_ns)
                self._assign_ns = now_ns
            for attempt in list(worker.running.values()):
                if attempt.lease_ns <= now_ns:
                    actions += self._attempt_lost(attempt, "its lease ended", now_ns)
                    actions.append(KillAttempt(attempt.id, worker.name, "its lease ended"))
                    self._assign_ns = now_ns
        return actions
