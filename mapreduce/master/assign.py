"""Giving free slots to waiting tasks: one round over jobs and workers.

Jobs take their turn in the order of ``policy``: all of one priority get their fair share first, in
the order of submission, then the first one takes what is left. Within a job maps whose input is
near are placed first, then maps that need not wait for that, then reduces that can get all their
input; each time the worker with most room comes first, so that work spreads. What no map wants
and no such reduce goes to backups, see ``backup``, and then to *early* reduces: half of the maps of
their job are done, and the others are running. How a full cluster makes room for a map or a backup
is told in ``scheduler``.

A round starts at most ``LAUNCHES_PER_STEP`` attempts; one that is cut is taken up at once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from itertools import islice

from mapreduce.limits import (
    ATTEMPT_LEASE_NS,
    LAUNCHES_PER_STEP,
    REDUCES_START_PERCENT,
)
from mapreduce.master import backup, presence
from mapreduce.master.actions import Action, BeginJob, LaunchAttempt
from mapreduce.master.avoid import NOBODY, avoided_by
from mapreduce.master.job import Job
from mapreduce.master.policy import (
    NODE_LOCAL,
    RACK_LOCAL,
    REMOTE,
    Reach,
    Staff,
    next_ripe_ns,
    reach,
)
from mapreduce.master.state import State
from mapreduce.master.task import Attempt, Task
from mapreduce.master.transitions import JobPhase
from mapreduce.master.worker import Worker
from mapreduce.wire import TaskKind

ANY_RACK = ""
FIRST_LOOK_TASKS = 16


def unlocated(state: State, limit: int, now_ns: int) -> list[tuple[Job, Task]]:
    """Maps at the head of their queues whose nodes should be looked up before a round."""
    found: list[tuple[Job, Task]] = []
    if not state.here:
        return found
    for job in open_jobs(state):
        for task in job.waiting[TaskKind.MAP].unlocated():
            if task.look_ns <= now_ns:
                found.append((job, task))
            if len(found) >= limit:
                return found
    return found


def open_jobs(state: State) -> list[Job]:
    """The jobs that start attempts, those that go first at the head."""
    found = [job for job in state.jobs.values() if job.is_open]
    return sorted(found, key=lambda job: job.rank)


def early_jobs(state: State) -> list[Job]:
    """The jobs of which reduces run that wait for maps, those that go first at the head."""
    jobs = open_jobs(state)
    return [job for job in jobs if job.running_of[TaskKind.REDUCE] and not job.maps_done]


class FreeSlots:
    """The workers that have room in this round, by rack, the one with most room first."""

    def __init__(self, state: State, workers: list[Worker]) -> None:
        self._state = state
        self._workers = workers
        self._is_sorted = False
        self._heaps: dict[str, list[tuple[int, str, Worker]]] = {}

    def __iter__(self) -> Iterator[Worker]:
        """Each one that has room now."""
        if not self._is_sorted:
            self._workers.sort(key=lambda worker: (-worker.room, worker.name))
            self._is_sorted = True
        return (worker for worker in self._workers if worker.room > 0)

    def __bool__(self) -> bool:
        return any(worker.room > 0 for worker in self._workers)

    def roomiest(self, rack: str = ANY_RACK, avoided: frozenset[str] = NOBODY) -> Worker | None:
        """The worker with most room, in one rack or anywhere."""
        if avoided:
            found = [w for w in self if w.name not in avoided and self._is_in(w, rack)]
            return min(found, key=lambda worker: (-worker.room, worker.name), default=None)
        heap = self._heaps.get(rack)
        if heap is None:
            heap = self._heaps[rack] = [
                (-worker.room, worker.name, worker)
                for worker in self._workers
                if self._is_in(worker, rack)
            ]
            heapify(heap)
        while heap:
            known, name, worker = heap[0]
            if worker.room == -known and known:
                return worker
            heappop(heap)
            if worker.room > 0:
                heappush(heap, (-worker.room, name, worker))
        return None

    def _is_in(self, worker: Worker, rack: str) -> bool:
        return rack in (ANY_RACK, self._state.rack(worker))


class Assignment:
    """One round. ``workers`` are those that may get work and have room; ``actions`` is what was
    done so far."""

    def __init__(self, state: State, workers: list[Worker], now_ns: int) -> None:
        self._state = state
        self._free = FreeSlots(state, workers)
        self._now_ns = now_ns
        self._staff = Staff(state.staffed, state.staffed_racks, state.racks)
        self.actions: list[Action] = []
        self._launched = 0
        self._jobs = open_jobs(state)

    @property
    def is_cut(self) -> bool:
        """Did the round end because one step may not do more?"""
        return self._launched >= LAUNCHES_PER_STEP

    def run(self) -> None:
        """Place what need not wait for other tasks."""
        waiting = [job for job in self._jobs if job.waits]
        for priority in dict.fromkeys(job.priority for job in waiting):
            equals = [job for job in waiting if job.priority == priority]
            if len(equals) > 1:
                share = self._share(priority)
                for job in equals:
                    self._place(job, share - len(job.running))
            for job in equals:
                self._place(job, LAUNCHES_PER_STEP)

    @property
    def has_room(self) -> bool:
        """Is a slot left?"""
        return bool(self._free)

    def next_ripe_ns(self) -> int | None:
        """When a map that was left may go further from its input; None if none will."""
        times = (
            next_ripe_ns(job.maps.since_ns, self._now_ns)
            for job in self._jobs
            if job.waiting[TaskKind.MAP]
        )
        return min((at for at in times if at is not None), default=None)

    def _share(self, priority: int) -> int:
        """What each job of a priority may have before another one gets more."""
        equals = [job for job in self._jobs if job.priority == priority]
        busy = sum(1 for job in equals if job.waits or job.running)
        return max(1, self._state.slots // busy)

    def _avoided(self, job: Job) -> frozenset[str]:
        return avoided_by(job, self._state, self._now_ns)

    # -- placing the tasks of one job, at most so many

    def _place(self, job: Job, quota: int) -> None:
        until = min(self._launched + quota, LAUNCHES_PER_STEP)
        if self._launched >= until or not self.has_room:
            return
        self._place_local_maps(job, until)
        self._place_other_maps(job, until)
        if job.maps_done:
            self._place_reduces(job, until - self._launched)

    def _place_local_maps(self, job: Job, until: int) -> None:
        waiting, avoided = job.waiting[TaskKind.MAP], self._avoided(job)
        placed = True
        while placed and self._launched < until:
            placed = False
            for worker in self._free if waiting.is_placed else ():
                task = None if worker.name in avoided else waiting.near(worker.node)
                if task is not None and self._launched < until:
                    self._launch(job, task, worker, NODE_LOCAL, "")
                    placed = True

    def _place_other_maps(self, job: Job, until: int) -> None:
        avoided = self._avoided(job)
        for task in self._head(job) if self._free else ():
            if self._launched >= until or not self._free:
                return
            found = self._further(reach(task, self._staff, self._now_ns), avoided)
            if found is not None:
                self._launch(job, task, *found)

    @staticmethod
    def _head(job: Job) -> Iterator[Task]:
        """The maps at the head of the queue, which may leave it meanwhile. Most often one of the
        first will do; those that did not come again."""
        waiting = job.waiting[TaskKind.MAP]
        yield from list(islice(waiting.window(), FIRST_LOOK_TASKS))
        yield from list(waiting.window())

    def _further(self, may: Reach, avoided: frozenset[str]) -> tuple[Worker, str, str] | None:
        """A worker with room within reach."""
        for rack in may.racks:
            worker = self._free.roomiest(rack, avoided)
            if worker is not None:
                return worker, RACK_LOCAL, may.why_rack
        worker = self._free.roomiest(avoided=avoided) if may.anywhere else None
        return None if worker is None else (worker, REMOTE, may.why_remote)

    def _place_reduces(self, job: Job, quota: int) -> None:
        waiting = job.waiting[TaskKind.REDUCE]
        until = min(self._launched + quota, LAUNCHES_PER_STEP)
        while self._launched < until:
            task, worker = waiting.first(), self._free.roomiest(avoided=self._avoided(job))
            if task is None or worker is None:
                return
            self._launch(job, task, worker, "", "")

    def _launch(self, job: Job, task: Task, worker: Worker, locality: str, miss: str) -> None:
        if job.phase is JobPhase.QUEUED:
            job.move("began")
            self.actions.append(BeginJob(job.id))
        lease_ns = self._now_ns + ATTEMPT_LEASE_NS
        task.locality, task.miss = locality, sys.intern(miss)
        attempt = self._state.launch(job, task, worker, self._now_ns, lease_ns)
        self.actions.append(LaunchAttempt(attempt.id, worker.name, locality, miss))
        self._launched += 1

    def place_backups(self, may_work: Callable[[Worker], bool]) -> None:
        """Use slots that only early reduces want, and where there are none, those that early
        reduces have."""
        early = self._victims(early_jobs(self._state), may_work, NOBODY)
        for job, task, worker, victim in backup.choose(
            self._state, list(self._free), early, self._now_ns
        ):
            if self.is_cut:
                break
            if victim is not None:
                self._kill(victim, "the backup of a slow task needs the slot")
            locality, miss = "", ""
            if task.kind is TaskKind.MAP:
                miss = "it is a backup, which takes any free slot"
                locality = self._distance(task, worker)
            self._launch(job, task, worker, locality, "" if locality == NODE_LOCAL else miss)

    def place_early(self) -> None:
        """Let reduces fetch in slots that nobody else wants."""
        for job in self._jobs if self.has_room else ():
            if job.waiting[TaskKind.REDUCE] and _may_start_early(job):
                self._place_reduces(job, LAUNCHES_PER_STEP)

    def _distance(self, task: Task, worker: Worker) -> str:
        nodes = task.nodes or ()
        if worker.node in nodes:
            return NODE_LOCAL
        return RACK_LOCAL if self._state.rack(worker) in self._staff.racks_of(nodes) else REMOTE

    # -- making room

    def make_room(self, may_work: Callable[[Worker], bool]) -> None:
        """Kill early reduces for maps, see ``scheduler``."""
        early = early_jobs(self._state)
        maps = sum(job.running_of[TaskKind.MAP] for job in self._jobs)
        for place, job in enumerate(self._jobs if early else ()):
            avoided = self._avoided(job)
            if not job.waiting[TaskKind.MAP] or self._free.roomiest(avoided=avoided):
                continue
            after = {later.id for later in self._jobs[place:]}
            victims = self._victims([j for j in early if j.id in after], may_work, avoided)
            while victims and maps < len(victims) and not self.is_cut:
                worker = self._state.workers[victims[-1].worker]
                found = self._map_for(job, worker)
                if found is None:
                    break
                self._kill(victims.pop(), "a map whose output was lost needs the slot")
                task, locality, miss = found
                self._launch(job, task, worker, locality, miss)
                maps += 1

    def _map_for(self, job: Job, worker: Worker) -> tuple[Task, str, str] | None:
        """A map that may run on this very worker."""
        waiting = job.waiting[TaskKind.MAP]
        task = waiting.near(worker.node)
        if task is not None:
            return task, NODE_LOCAL, ""
        rack = self._state.rack(worker)
        for task in waiting.window():
            may = reach(task, self._staff, self._now_ns)
            if rack in may.racks:
                return task, RACK_LOCAL, may.why_rack
            if may.anywhere:
                return task, REMOTE, may.why_remote
        return None

    def _victims(
        self, jobs: list[Job], may_work: Callable[[Worker], bool], avoided: frozenset[str]
    ) -> list[Attempt]:
        """Running reduces of these jobs on workers that may get work, the newest last. What is
        avoided comes before all others: it is better than nothing."""
        found = [
            attempt
            for job in jobs
            for attempt in job.attempts(TaskKind.REDUCE)
            if may_work(self._state.workers[attempt.worker])
        ]
        return sorted(found, key=lambda a: (a.worker not in avoided, a.started_ns, a.id))

    def _kill(self, attempt: Attempt, reason: str) -> None:
        self.actions += presence.kill(self._state, attempt, reason, self._now_ns)


def _may_start_early(job: Job) -> bool:
    """May its reduces take slots that nobody else wants, to fetch while maps still run?"""
    total, done = len(job.maps), job.done[TaskKind.MAP]
    return done < total and not job.maps_pending and 100 * done >= REDUCES_START_PERCENT * total
