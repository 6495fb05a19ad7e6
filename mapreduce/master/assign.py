"""Giving free slots to waiting tasks: one round over jobs and workers.

Within a job local maps are placed first, on every worker with room, then maps that need not
wait for their node, then reduces; each time the worker with most room comes first, so that
work spreads. How a full cluster makes room for a map is told in ``scheduler``.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from mapreduce.limits import (
    ATTEMPT_LEASE_NS,
    LAUNCHES_PER_STEP,
    LOCALITY_WAIT_NS,
    LOCALITY_WINDOW_TASKS,
)
from mapreduce.master.actions import Action, BeginJob, KillAttempt, LaunchAttempt
from mapreduce.master.policy import NODE_LOCAL, Pick, pick_task
from mapreduce.master.state import Attempt, Job, State, Task, Worker
from mapreduce.master.transitions import JobPhase
from mapreduce.wire import TaskKind


def unlocated(
    state: State, workers: list[Worker], limit: int, now_ns: int
) -> list[tuple[Job, Task]]:
    """Maps within the window of ``pick_task`` whose nodes should be looked up before a round."""
    found: list[tuple[Job, Task]] = []
    if not workers:
        return found
    for job in _open_jobs(state):
        for task in islice(job.waiting[TaskKind.MAP].values(), LOCALITY_WINDOW_TASKS):
            if task.nodes is None and task.look_ns <= now_ns:
                found.append((job, task))
            if len(found) >= limit:
                return found
    return found


def _open_jobs(state: State) -> list[Job]:
    return [job for job in state.jobs.values() if job.is_open]


class Assignment:
    """One round."""

    def __init__(self, state: State, workers: list[Worker], now_ns: int) -> None:
        self._state = state
        self._workers = workers
        self._now_ns = now_ns
        self._staffed = frozenset(w.node for w in workers if w.node)
        self._actions: list[Action] = []
        self._launched = 0

    @property
    def is_cut(self) -> bool:
        """Did the round end because one step may not do more?"""
        return self._launched >= LAUNCHES_PER_STEP

    def run(self) -> list[Action]:
        """Place what can be placed now."""
        for job in _open_jobs(self._state):
            if not self._with_room() or self.is_cut:
                break
            self._place_maps(job, local_only=True)
            self._place_maps(job, local_only=False)
            self._place_reduces(job)
        if not self._with_room():
            self._make_room()
        return self._actions

    def next_ripe_ns(self) -> int | None:
        """When the next map that was left has waited long enough for its node; None if no map
        is left that has not."""
        ripe = [
            next((at for at in self._ripe_times(job) if at > self._now_ns), None)
            for job in _open_jobs(self._state)
        ]
        return min((at for at in ripe if at is not None), default=None)

    @staticmethod
    def _ripe_times(job: Job) -> Iterator[int]:
        """In order, since what waits longer stands further ahead."""
        window = islice(job.waiting[TaskKind.MAP].values(), LOCALITY_WINDOW_TASKS)
        return (task.since_ns + LOCALITY_WAIT_NS for task in window)

    def _with_room(self) -> list[Worker]:
        found = [worker for worker in self._workers if worker.room > 0]
        return sorted(found, key=lambda worker: (-worker.room, worker.name))

    def _place_maps(self, job: Job, *, local_only: bool) -> None:
        placed = True
        while placed and job.waiting[TaskKind.MAP] and not self.is_cut:
            placed = False
            for worker in self._with_room():
                pick = self._pick(job, worker)
                if pick is not None and (pick.locality == NODE_LOCAL or not local_only):
                    self._launch(job, job.maps[pick.index], worker, pick)
                    placed = True

    def _place_reduces(self, job: Job) -> None:
        waiting = job.waiting[TaskKind.REDUCE]
        while waiting and not job.maps_pending and not self.is_cut:
            workers = self._with_room()
            if not workers:
                return
            task = next(iter(waiting.values()))
            self._launch(job, task, workers[0], Pick(task.index, ""))

    def _pick(self, job: Job, worker: Worker) -> Pick | None:
        waiting = job.waiting[TaskKind.MAP].values()
        return pick_task(waiting, worker.node, self._staffed, self._now_ns)

    def _launch(self, job: Job, task: Task, worker: Worker, pick: Pick) -> None:
        if job.phase is JobPhase.QUEUED:
            job.move("began")
            self._actions.append(BeginJob(job.id))
        lease_ns = self._now_ns + ATTEMPT_LEASE_NS
        task.locality, task.miss = pick.locality, pick.miss
        attempt = self._state.launch(job, task, worker, self._now_ns, lease_ns)
        action = LaunchAttempt(attempt.id, worker.name, pick.locality, pick.miss)
        self._actions.append(action)
        self._launched += 1

    def _make_room(self) -> None:
        """Kill reduces for maps that others wait for; see ``scheduler``."""
        jobs = _open_jobs(self._state)
        maps = sum(1 for _ in self._state.running(TaskKind.MAP))
        for place, job in enumerate(jobs):
            if not job.waiting[TaskKind.MAP]:
                continue
            victims = self._victims({later.id for later in jobs[place:]})
            while victims and maps < len(victims) and not self.is_cut:
                worker = next(w for w in self._workers if w.name == victims[-1].worker)
                pick = self._pick(job, worker)
                if pick is None:
                    break
                self._kill(victims.pop())
                self._launch(job, job.maps[pick.index], worker, pick)
                maps += 1

    def _victims(self, jobs: set[str]) -> list[Attempt]:
        """Running reduces of these jobs on workers that may get work, the newest last."""
        usable = {worker.name for worker in self._workers}
        found = [
            attempt
            for attempt in self._state.running(TaskKind.REDUCE)
            if attempt.id.job in jobs and attempt.worker in usable
        ]
        return sorted(found, key=lambda attempt: (attempt.started_ns, attempt.id))

    def _kill(self, attempt: Attempt) -> None:
        reason = "a map whose output was lost needs the slot"
        self._state.end(attempt, "killed", self._now_ns)
        self._actions.append(KillAttempt(attempt.id, attempt.worker, reason))
