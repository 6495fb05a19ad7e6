"""Who is here and what is gone: workers that come and go, attempts and runs that go with them.

Functions over ``State`` that return what should be done besides.
"""

from __future__ import annotations

from collections.abc import Iterable

from mapreduce.limits import ADOPTION_WAIT_NS, ATTEMPT_LEASE_NS
from mapreduce.master import events as ev
from mapreduce.master.actions import Action, ForgetMapOutput, KillAttempt, Tell
from mapreduce.master.state import State
from mapreduce.master.task import Attempt
from mapreduce.master.transitions import TaskState
from mapreduce.master.worker import Worker
from mapreduce.wire import AttemptId, TaskKind


def all_known(state: State, now_ns: int) -> list[Action]:
    """The master has read its jobs. However long that took, workers have all their time to come
    back with what they run and hold."""
    for job in state.jobs.values():
        for kind, index in list(job.paused):
            state.pause(job, job.tasks(kind)[index], now_ns + ADOPTION_WAIT_NS)
    for worker in state.workers.values():
        worker.seen_ns = now_ns
    return []


def worker_joined(state: State, event: ev.WorkerJoined, now_ns: int) -> list[Action]:
    """A worker registered: what it does not name any more is lost, what it names is taken up."""
    worker = state.workers.setdefault(event.worker, Worker(event.worker, now_ns))
    worker.node, worker.slots, worker.seen_ns = event.node, event.slots, now_ns
    worker.connected, worker.announced, worker.dead = True, False, False
    worker.leaving = False
    worker.doubt()
    state.vanishing.pop(worker.name, None)
    state.note_rack(event.node, event.rack)
    state.note_worker(worker)
    actions: list[Action] = []
    still = set(event.attempts)
    for attempt in [a for a in worker.running.values() if a.id not in still]:
        actions += attempt_lost(state, attempt, "its worker started anew", now_ns)
    for ident in event.attempts:
        if ident not in worker.running and not _adopt(state, ident, worker, now_ns):
            actions.append(KillAttempt(ident, worker.name, "it was given up"))
    return actions


def _adopt(state: State, ident: AttemptId, worker: Worker, now_ns: int) -> bool:
    """Take up an attempt that started before the master did, or that is committed."""
    found = state.find(ident)
    if found is None:
        return False
    job, task = found
    if task.state is TaskState.DONE and task.done == ident.attempt:
        return True
    waits = task.state is TaskState.WAITING and task.last == ident.attempt > task.ended
    if not waits or task.done == ident.attempt or worker.room < 1:
        return False
    state.adopt(job, task, worker, now_ns, now_ns + ATTEMPT_LEASE_NS)
    return True


def runs_announced(state: State, event: ev.RunsAnnounced, now_ns: int) -> list[Action]:
    """A worker said which runs it holds. With the last page what it did not name vanishes."""
    worker = state.workers[event.worker]
    worker.seen_ns = now_ns
    actions: dict[str, Action] = {}
    for run in event.runs:
        found = state.find(run)
        if run.job not in state.jobs:
            actions[run.job] = ForgetMapOutput(run.job, worker.name)
        if found is None:
            continue
        job, task = found
        if worker.doubts(run):
            worker.hold(run)
        elif task.state is TaskState.WAITING and task.done == run.attempt and job.needs_runs:
            state.recover_output(job, task, worker)
    if not event.last:
        return list(actions.values())
    worker.announced = True
    state.note_worker(worker)
    state.vanishing[worker.name] = f"{worker.name} does not hold it"
    return list(actions.values())


def worker_disconnected(state: State, name: str) -> list[Action]:
    """The connection to a worker broke; it gets nothing until it registers again."""
    worker = state.workers[name]
    worker.connected = False
    state.note_worker(worker)
    return []


def worker_drains(state: State, name: str) -> list[Action]:
    """A worker is about to leave: it gets nothing more, and keeps what it has meanwhile."""
    worker = state.workers[name]
    worker.leaving = True
    state.note_worker(worker)
    return []


def worker_left(state: State, event: ev.WorkerLeft, now_ns: int) -> list[Action]:
    """A worker said goodbye: nobody waits for it."""
    worker = state.workers[event.worker]
    worker.leaving = True
    return worker_lost(state, worker, "was stopped", now_ns)


def worker_lost(state: State, worker: Worker, why: str, now_ns: int) -> list[Action]:
    """A worker and all that it runs and holds are gone. Its runs may be many: they vanish."""
    worker.dead, worker.connected, worker.announced = True, False, False
    state.note_worker(worker)
    reason = f"{worker.name} {why}"
    actions: list[Action] = []
    for attempt in list(worker.running.values()):
        actions += attempt_lost(state, attempt, reason, now_ns)
    worker.doubt()
    state.vanishing[worker.name] = reason
    return actions


def runs_vanish(state: State, limit: int) -> list[Action]:
    """Give up runs that workers have not named and will not name, at most so many."""
    actions: list[Action] = []
    for name, reason in list(state.vanishing.items()):
        runs = state.doubted_of(state.workers[name], limit - len(actions))
        actions += outputs_lost(state, runs, reason)
        if len(actions) >= limit:
            break
        del state.vanishing[name]
    return actions


def attempt_lost(state: State, attempt: Attempt, reason: str, now_ns: int) -> list[Action]:
    """An attempt is given up; it is nobody's fault."""
    state.end(attempt, "lost", now_ns)
    text = f"{attempt.id} on {attempt.worker} is lost: {reason}"
    return [Tell(attempt.id.job, "attempt_lost", text, attempt.id, attempt.worker)]


def kill(state: State, attempt: Attempt, reason: str, now_ns: int) -> list[Action]:
    """An attempt is not wanted any more."""
    state.end(attempt, "killed", now_ns)
    text = f"{attempt} is given up: {reason}"
    told = Tell(attempt.id.job, "attempt_killed", text, attempt.id, attempt.worker)
    return [told, KillAttempt(attempt.id, attempt.worker, reason)]


def outputs_lost(state: State, runs: Iterable[AttemptId], reason: str) -> list[Action]:
    """These runs are gone; maps whose output a reduce still needs run again."""
    actions: list[Action] = []
    for run in runs:
        found = state.find(run)
        if found is None or run.kind is not TaskKind.MAP:
            continue
        job, task = found
        if task.state is TaskState.DONE and task.done == run.attempt and job.needs_runs:
            worker = task.worker
            text = f"the output of {run} on {worker} is lost: {reason}"
            state.lose_output(job, task)
            actions.append(Tell(job.id, "map_output_lost", text, run, worker))
    return actions


def is_committed(state: State, ident: AttemptId) -> bool:
    """Is the task committed to this very attempt?"""
    found = state.find(ident)
    return found is not None and found[1].done == ident.attempt
