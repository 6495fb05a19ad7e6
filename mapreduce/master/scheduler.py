"""The scheduler: what is told goes in, what should be done comes out. Pure.

Order of work. Jobs of a higher priority go first; among equals each gets its fair share of the
slots, and what is left goes to the one submitted first (``policy``). Within a job maps go before
reduces. A slot that an earlier job cannot use now (its maps wait for a better node) goes to a
later one. A reduce starts when all maps of its job are done; *early*, to fetch while maps run,
when half of them are done, the others run, and no map of any job wants the slot.

Nothing waits for ever. A running map ends, or loses its lease; so does a reduce whose maps are
done. An early reduce waits for maps, so they must get slots: when no worker has room and a map of
a job waits, and fewer maps run than there are early reduces of this and of later jobs, the newest
of those is killed and the map takes its place. If every slot is taken and no attempt can end by
itself, all of them are early reduces and no map runs; then the first job that has one has a map
that waits (or is paused, and waits soon), and gets a slot. So maps go on ending, and with the last
map of a job its reduces are not early any more. A worker that is avoided is used
for this when there is no other.

A running map that is far slower than others ends too late rather than never. When it deserves a
backup (``backup``) and no worker that is fit for one has room, the newest early reduce of this or
of later jobs on a fit worker is killed, and the backup takes its place in the same step: so a
reduce is killed only where an attempt starts, and no more than may run as backups. The same goes
for a slow reduce of an earlier job. A sweep offers free slots to backups before early reduces.

Whose fault it is. What user code does (an exception, a crash, too much memory, no progress)
counts towards the job's ``max_attempts``; the same exception twice fails the job at once. Input
that cannot be read counts by itself. Faults of nodes, lost map output and what people kill never
count, but no task gets more than ``ATTEMPTS_PER_TASK_MAX`` attempts. A worker where attempts keep
failing is avoided for a while (``avoid``). What was counted is in the log, so a restart of the
master forgives nobody.

Who is dead. Two clocks watch an attempt. Its *lease* is about the worker's word: each heartbeat
that names the attempt renews it for ``ATTEMPT_LEASE_NS``, and without it the attempt is given up.
Its *task timeout* is about progress: the worker, which sees it at first hand, stops an attempt that
says nothing new for so long and reports the failure. A worker that is silent for ``stale_ns`` gets
no work; after ``dead_ns`` its attempts are lost, and so are its map outputs where a reduce still
needs them. One that drains gets no work and goes on with what it has for a few seconds; one that
says goodbye loses both at once. A worker that registers anew loses at once what it does not name
any more. A worker may hold the output of very many maps: what is lost with it is given up a
bounded number at a time. After a restart of the master, workers that hold committed runs
have ``dead_ns`` to come back, and started tasks wait a little for their attempts to be adopted.

A task that is slow may get a backup attempt (``backup``). The first of both to succeed is
committed, the other one is dead from that moment on.

Steps. The scheduler has one step of a job, and is told when the job goes on with another
(``steps``). A map of a later step whose input cannot be read ``PART_UNREAD_MAX`` times has lost
the part that the step before left, so it asks for that part to be made again instead of failing
the job.
"""

from __future__ import annotations

from mapreduce.limits import (
    ADOPTION_WAIT_NS,
    ATTEMPT_LEASE_NS,
    ATTEMPT_PAUSE_NS,
    ATTEMPTS_PER_TASK_MAX,
    LOCATE_AGAIN_NS,
    PROGRESS_MARK_NS,
    ROWS_FORGOTTEN_MAX,
    RUNS_LOST_PER_STEP,
)
from mapreduce.master import events as ev
from mapreduce.master import presence
from mapreduce.master.actions import (
    Action,
    EndJob,
    KillAttempt,
    MarkProgress,
    PublishOutput,
    RemakePart,
    Tell,
)
from mapreduce.master.assign import Assignment, early_jobs, unlocated
from mapreduce.master.avoid import avoided_by_all, note_failure, note_success
from mapreduce.master.backup import note_pace
from mapreduce.master.faults import judge, record, told
from mapreduce.master.job import Job
from mapreduce.master.state import State
from mapreduce.master.task import Attempt, Task, Tasks
from mapreduce.master.transitions import AttemptState, TaskState
from mapreduce.master.worker import Worker
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
            case ev.StepChanged():
                return self._step_changed(event.to, now_ns)
            case ev.TasksKnown():
                return self._tasks_known(event, now_ns)
            case ev.AllKnown():
                return presence.all_known(self.state, now_ns)
            case ev.MapsLocated():
                return self._maps_located(event, now_ns)
            case ev.JobKilled():
                return self._end_job(event.job, "killed", JobState.KILLED, event.reason)
            case ev.OutputPublished():
                return self._end_job(event.job, "published", JobState.SUCCEEDED, "")
            case ev.OutputRefused():
                return self._end_job(event.job, "refused", JobState.FAILED, event.reason)
            case ev.WorkerJoined():
                return presence.worker_joined(self.state, event, now_ns)
            case ev.RunsAnnounced():
                return presence.runs_announced(self.state, event, now_ns)
            case ev.Heartbeat():
                return self._heartbeat(event, now_ns)
            case ev.WorkerDisconnected():
                return presence.worker_disconnected(self.state, event.worker)
            case ev.WorkerDrains():
                return presence.worker_drains(self.state, event.worker)
            case ev.WorkerLeft():
                return presence.worker_left(self.state, event, now_ns)
            case ev.TaskKilled():
                return self._task_killed(event, now_ns)
            case ev.AttemptSucceeded():
                return self._attempt_succeeded(event, now_ns)
            case ev.AttemptFailed():
                return self._attempt_failed(event, now_ns)
            case ev.MapOutputLost():
                return self._cannot_get(event.attempt, event.runs)
            case ev.TimePassed():
                return self._time_passed(now_ns)

    def next_deadline(self) -> int | None:
        """When ``TimePassed`` has something to do; None: not before another event."""
        someone_lives = any(not worker.dead for worker in self.state.workers.values())
        sweep_ns = self._sweep_ns if someone_lives else None
        vanish_ns = 0 if self.state.vanishing else None
        times = (self.state.next_resume_ns(), self._assign_ns, sweep_ns, vanish_ns)
        return min((at for at in times if at is not None), default=None)

    def is_usable(self, worker: Worker, now_ns: int) -> bool:
        """May this worker get work?"""
        return worker.is_here and now_ns - worker.seen_ns < self._stale_ns

    def unlocated(self, limit: int, now_ns: int) -> list[tuple[Job, Task]]:
        """Maps that are next in line and whose nodes should be looked up before."""
        return unlocated(self.state, limit, now_ns)

    # -- jobs

    def _job_submitted(self, event: ev.JobSubmitted, now_ns: int) -> list[Action]:
        job = _new_job(event, self.state.next_number(), now_ns)
        job.is_returning = event.is_returning
        self.state.add_job(job)
        return self._finish_if_done(job)

    def _step_changed(self, event: ev.JobSubmitted, now_ns: int) -> list[Action]:
        """What still runs of the step before is given up: nobody waits for it."""
        old = self.state.jobs[event.job]
        actions: list[Action] = [
            KillAttempt(attempt.id, attempt.worker, "the job goes on with another step")
            for attempt in old.running.values()
        ]
        job = _new_job(event, old.number, now_ns)
        job.signatures, job.failed_on, job.avoided = old.signatures, old.failed_on, old.avoided
        job.failed, job.is_returning = old.failed, True
        self.state.replace_job(old, job)
        return actions

    def _tasks_known(self, event: ev.TasksKnown, now_ns: int) -> list[Action]:
        """The step comes back as it was left: none of its attempts runs any more, or those do
        that workers name soon."""
        job = self.state.jobs[event.job]
        for known in event.known:
            task = self._restore(job, known, now_ns)
            if not event.may_run:
                task.ended = task.last
            elif task.state is TaskState.WAITING:
                self.state.pause(job, task, now_ns + ADOPTION_WAIT_NS)
        if not event.last:
            return []
        job.is_returning = False
        return self._finish_if_done(job)

    def _restore(self, job: Job, known: ev.KnownTask, now_ns: int) -> Task:
        """What the log knows of a task holds, but for map output on a worker that is dead."""
        task = job.tasks(known.kind)[known.index]
        task.last, task.locality, task.miss = known.attempts, known.locality, known.miss
        task.failed, task.faults, task.unread = known.failed, known.faults, known.unread
        task.error = known.error
        if known.signature:
            job.signatures[known.signature] = 1
        worker = self.state.workers.get(known.worker)
        leaves_run = known.kind is TaskKind.MAP and bool(job.reduces)
        is_lost = leaves_run and worker is not None and worker.dead
        if known.done and not is_lost:
            self.state.restore(job, task, known.worker, known.done, now_ns)
        return task

    def _maps_located(self, event: ev.MapsLocated, now_ns: int) -> list[Action]:
        for node, rack in event.racks:
            self.state.note_rack(node, rack)
        job = self.state.jobs.get(event.job)
        for index, nodes in event.nodes if job is not None else ():
            assert job is not None
            look_ns = now_ns + LOCATE_AGAIN_NS
            job.waiting[TaskKind.MAP].locate(job.maps[index], nodes, look_ns)
        return []

    def _end_job(self, ident: str, word: str, state: JobState, error: str) -> list[Action]:
        job = self.state.jobs.get(ident)
        if job is None:
            return []
        job.move(word)
        self.state.drop_job(job)
        done, failed = dict(job.done), dict(job.failed)
        return [EndJob(ident, state, done, failed, error, job.failure, job.step)]

    def _finish_if_done(self, job: Job) -> list[Action]:
        if not job.all_done or not job.is_open:
            return []
        job.move("tasks_done")
        return [PublishOutput(job.id)]

    # -- workers

    def _heartbeat(self, event: ev.Heartbeat, now_ns: int) -> list[Action]:
        worker = self.state.workers[event.worker]
        if now_ns - worker.seen_ns >= self._stale_ns:
            self._assign_ns = now_ns
        worker.seen_ns = now_ns
        self.state.note_rack(worker.node, event.rack)
        actions: list[Action] = []
        for progress in event.attempts:
            attempt = worker.running.get(progress.attempt)
            if attempt is not None:
                attempt.lease_ns = now_ns + ATTEMPT_LEASE_NS
                actions += self._note_progress(attempt, progress, now_ns)
            elif not presence.is_committed(self.state, progress.attempt):
                actions.append(KillAttempt(progress.attempt, worker.name, "it was given up"))
        return actions

    @staticmethod
    def _note_progress(attempt: Attempt, progress: AttemptProgress, now_ns: int) -> list[Action]:
        """Take in how far an attempt is; a long one leaves a mark now and then."""
        if attempt.state is AttemptState.LAUNCHED:
            attempt.move("progressed")
        if attempt.take_in(progress.records, progress.fraction, progress.status):
            attempt.moved_ns = now_ns
        if now_ns - max(attempt.started_ns, attempt.marked_ns) < PROGRESS_MARK_NS:
            return []
        attempt.marked_ns = now_ns
        return [MarkProgress(attempt.id, attempt.worker, attempt.fraction, attempt.records)]

    # -- attempts

    def _attempt_succeeded(self, event: ev.AttemptSucceeded, now_ns: int) -> list[Action]:
        attempt = self.state.live(event.attempt, event.worker)
        if attempt is None:
            return []
        ident, worker = event.attempt, self.state.workers[event.worker]
        job = self.state.jobs[ident.job]
        note_pace(job, attempt, worker, now_ns - job.began_ns(attempt))
        note_success(job, worker)
        actions: list[Action] = []
        for other in job.tasks(ident.kind)[ident.index].attempts:
            if other is not attempt:
                actions += presence.kill(self.state, other, f"{ident} was faster", now_ns)
        self.state.end(attempt, "succeeded", now_ns)
        return actions + self._finish_if_done(job)

    def _task_killed(self, event: ev.TaskKilled, now_ns: int) -> list[Action]:
        """Nobody's fault: the task waits again, unless another attempt of it goes on."""
        found = self.state.find(event.attempt)
        actions: list[Action] = []
        for attempt in found[1].attempts if found is not None else ():
            if event.attempt.attempt in (0, attempt.id.attempt):
                actions += presence.kill(self.state, attempt, event.reason, now_ns)
        return actions

    def _attempt_failed(self, event: ev.AttemptFailed, now_ns: int) -> list[Action]:
        attempt = self.state.live(event.attempt, event.worker)
        found = self.state.find(event.attempt)
        if attempt is None or found is None:
            return []
        job, task = found
        pause_ns = ATTEMPT_PAUSE_NS if event.kind in PAUSED_KINDS else 0
        self.state.end(attempt, "failed", now_ns, pause_ns)
        is_first = not job.error
        tell = Tell(job.id, "attempt_failed", told(job, event), event.attempt, event.worker)
        actions: list[Action] = [tell]
        verdict = judge(job, task, event)
        actions.append(record(job, task, event, is_first=is_first))
        if note_failure(self.state, job, event, now_ns):
            text = f"{event.worker} is avoided for a while: too many attempts failed there"
            actions.append(Tell(job.id, "worker_avoided", text, None, event.worker))
        if verdict and job.is_open and _lacks_part(job, task, event):
            return [*actions, RemakePart(job.id, task.index)]
        if verdict and job.is_open:
            return [*actions, *self._end_job(job.id, "failed", JobState.FAILED, verdict)]
        return actions + self._cannot_get(event.attempt, event.runs)

    def _cannot_get(self, reduce: AttemptId, runs: tuple[AttemptId, ...]) -> list[Action]:
        return presence.outputs_lost(self.state, runs, f"{reduce} cannot get it")

    # -- time

    def _time_passed(self, now_ns: int) -> list[Action]:
        actions: list[Action] = []
        is_sweep = now_ns >= self._sweep_ns
        if is_sweep:
            self._sweep_ns = now_ns + self._sweep_every_ns
            actions += self._sweep(now_ns)
            self.state.clear_away(ROWS_FORGOTTEN_MAX)
        vanished = presence.runs_vanish(self.state, RUNS_LOST_PER_STEP)
        may_place = is_sweep and (self.state.free or early_jobs(self.state))
        if vanished or self.state.resume(now_ns) or may_place:
            self._assign_ns = now_ns
        actions += vanished
        if self._assign_ns is not None and now_ns >= self._assign_ns:
            actions += self._assign(now_ns, is_sweep)
        return actions

    def _assign(self, now_ns: int, is_sweep: bool) -> list[Action]:
        """One round; with each sweep also backups."""
        self._assign_ns = None
        if not is_sweep and not any(job.waits for job in self.state.jobs.values()):
            return []
        avoided = avoided_by_all(self.state, now_ns)

        def may_work(worker: Worker) -> bool:
            return worker.name not in avoided and self.is_usable(worker, now_ns)

        free = [worker for worker in self.state.free.values() if may_work(worker)]
        assignment = Assignment(self.state, free, now_ns)
        assignment.run()
        assignment.make_room(may_work)
        if is_sweep and not assignment.is_cut:
            assignment.place_backups(may_work)
        assignment.place_early()
        if assignment.is_cut:
            self._assign_ns = now_ns
        elif free or early_jobs(self.state):
            ripe_ns = assignment.next_ripe_ns()
            if ripe_ns is not None:
                self._assign_ns = min(ripe_ns, now_ns + LOCATE_AGAIN_NS)
        return assignment.actions

    def _sweep(self, now_ns: int) -> list[Action]:
        """Dead workers and ended leases."""
        actions: list[Action] = []
        for worker in self.state.workers.values():
            if not worker.dead and now_ns - worker.seen_ns >= self._dead_ns:
                actions += presence.worker_lost(self.state, worker, "is silent", now_ns)
                self._assign_ns = now_ns
            if now_ns < worker.lease_ns:
                continue
            ended = [a for a in worker.running.values() if a.lease_ns <= now_ns]
            leases = [a.lease_ns for a in worker.running.values() if a.lease_ns > now_ns]
            worker.lease_ns = min(leases, default=now_ns + ATTEMPT_LEASE_NS)
            for attempt in ended:
                actions += presence.attempt_lost(self.state, attempt, "its lease ended", now_ns)
                actions.append(KillAttempt(attempt.id, worker.name, "its lease ended"))
                self._assign_ns = now_ns
        return actions


def _new_job(event: ev.JobSubmitted, number: int, now_ns: int) -> Job:
    maps = Tasks(TaskKind.MAP, event.maps, now_ns)
    reduces = Tasks(TaskKind.REDUCE, event.reduces, now_ns)
    options = event.priority, event.speculative
    job = Job(event.job, number, event.max_attempts, maps, reduces, *options, step=event.step)
    if event.began:
        job.move("began")
    job.error, job.failure = event.error, event.failure
    job.failed = {TaskKind.MAP: event.failed_maps, TaskKind.REDUCE: event.failed_reduces}
    return job


def _lacks_part(job: Job, task: Task, event: ev.AttemptFailed) -> bool:
    """Is it the input of a later step that cannot be read? Not for ever."""
    is_part = event.kind is FailureKind.INPUT and job.step > 0
    return is_part and task.last < ATTEMPTS_PER_TASK_MAX
