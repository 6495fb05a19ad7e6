"""Anything may happen to workers and attempts; what must hold, holds, and every job ends.

The machine plays workers that register, vanish, forget runs and answer late. After each word all
invariants are checked, and of every task one attempt is committed at a time. At the end the
faults stop, and every job that was not killed has to end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from dfs.limits import SECOND_NS
from mapreduce.master import actions as ac
from mapreduce.master import events as ev
from mapreduce.master.scheduler import Scheduler
from mapreduce.wire import AttemptId, AttemptProgress, FailureKind, JobState, TaskKind

WORKERS = ("w1", "w2", "w3")
KINDS = (FailureKind.NODE, FailureKind.FETCH, FailureKind.INPUT, FailureKind.CRASH)


@dataclass
class Machine:
    """A worker as it really is, whatever the scheduler believes."""

    up: bool = False
    running: dict[AttemptId, None] = field(default_factory=dict)
    runs: dict[AttemptId, None] = field(default_factory=dict)


class World:
    def __init__(self, seed: int) -> None:
        self.random = Random(f"{seed}/scheduler")
        self.slots = self.random.randint(1, 2)
        self.scheduler = Scheduler(SECOND_NS, 5 * SECOND_NS, 20 * SECOND_NS)
        self.now_ns = SECOND_NS
        self.machines = {name: Machine() for name in WORKERS}
        self.jobs: dict[str, tuple[int, int]] = {}
        self.ended: dict[str, JobState] = {}
        self.launched: set[AttemptId] = set()

    # -- the world

    def tell(self, event: ev.Event) -> None:
        self.obey(self.scheduler.handle(event, self.now_ns))

    def settle(self) -> None:
        for _ in range(1000):
            due = self.scheduler.next_deadline()
            if due is None or due > self.now_ns:
                return
            self.tell(ev.TimePassed())
        raise AssertionError("the scheduler never settles")

    def obey(self, actions: list[ac.Action]) -> None:
        for action in actions:
            match action:
                case ac.LaunchAttempt():
                    assert action.attempt not in self.launched, "a number was given out twice"
                    self.launched.add(action.attempt)
                    state = self.scheduler.state
                    assert state.backups <= max(1, state.slots // 10)
                    machine = self.machines[action.worker]
                    if machine.up:
                        machine.running[action.attempt] = None
                case ac.KillAttempt():
                    self.machines[action.worker].running.pop(action.attempt, None)
                case ac.PublishOutput():
                    assert action.job not in self.ended
                    self.tell(ev.OutputPublished(action.job))
                case ac.EndJob():
                    assert action.job not in self.ended, "a job ended twice"
                    self.ended[action.job] = action.state
                    if action.state is JobState.SUCCEEDED:
                        maps, reduces = self.jobs[action.job]
                        assert action.done[TaskKind.REDUCE] == reduces
                        assert reduces or action.done[TaskKind.MAP] == maps
                    self.forget(action.job)
                case ac.ForgetMapOutput():
                    assert action.job in self.ended
                case _:
                    pass

    def forget(self, job: str) -> None:
        for machine in self.machines.values():
            machine.running = {a: None for a in machine.running if a.job != job}
            machine.runs = {a: None for a in machine.runs if a.job != job}

    def register(self, name: str) -> None:
        machine = self.machines[name]
        machine.up = True
        rack = self.random.choice(["", "r1", "r2"])
        self.tell(ev.WorkerJoined(name, f"n{name}", self.slots, tuple(machine.running), rack))
        self.tell(ev.RunsAnnounced(name, tuple(machine.runs), True))
        self.settle()

    def succeed(self, name: str, attempt: AttemptId) -> None:
        machine = self.machines[name]
        if attempt.kind is TaskKind.REDUCE and not self.has_fetched(attempt, name):
            return
        machine.running.pop(attempt, None)
        if attempt.kind is TaskKind.MAP:
            machine.runs[attempt] = None
        before = self.committed(attempt)
        live = self.scheduler.state.live(attempt, name) is not None
        self.tell(ev.AttemptSucceeded(attempt, name))
        if not live:
            assert self.committed(attempt) == before, "a dead attempt changed something"
        self.settle()

    def has_fetched(self, reduce: AttemptId, name: str) -> bool:
        """Can the reduce have every run? If one is gone it says so; then it waits."""
        maps = self.scheduler.state.jobs[reduce.job].maps
        runs = [AttemptId(reduce.job, 0, TaskKind.MAP, t.index, t.done) for t in maps]
        held = {run for machine in self.machines.values() if machine.up for run in machine.runs}
        gone = tuple(run for run in runs if run.attempt and run not in held)
        if gone and self.scheduler.state.live(reduce, name) is not None:
            self.tell(ev.MapOutputLost(reduce, name, gone))
            self.settle()
        return all(run in held for run in runs)

    def committed(self, attempt: AttemptId) -> int:
        found = self.scheduler.state.find(attempt)
        return found[1].done if found is not None else -1

    # -- what may happen

    def submit(self) -> None:
        maps, reduces = self.random.randint(0, 4), self.random.randint(0, 4)
        job = f"j-20261121-{len(self.jobs) + 1:04d}"
        self.jobs[job] = (maps, reduces)
        priority = self.random.choice([0, 0, 1])
        self.tell(ev.JobSubmitted(job, maps, reduces, 3, priority=priority))
        nodes = self.random.choice([None, (), ("nw1",), ("nw2", "nw3")])
        self.tell(ev.MapsLocated(job, tuple((index, nodes) for index in range(maps))))
        self.settle()

    def joins(self) -> None:
        self.register(self.random.choice(WORKERS))

    def dies(self) -> None:
        name = self.random.choice(WORKERS)
        machine = self.machines[name]
        machine.up = False
        machine.running.clear()
        if self.random.random() < 0.5:
            machine.runs.clear()
        if name in self.scheduler.state.workers:
            self.tell(ev.WorkerDisconnected(name))

    def leaves(self) -> None:
        name = self.random.choice(WORKERS)
        if self.machines[name].up and name in self.scheduler.state.workers:
            self.machines[name] = Machine()
            self.tell(ev.WorkerLeft(name))
            self.settle()

    def kill_task(self) -> None:
        running = self.any_running()
        if running:
            _, attempt = self.random.choice(running)
            before = self.committed(attempt)
            self.tell(ev.TaskKilled(attempt, "somebody wants it"))
            self.settle()
            assert self.committed(attempt) == before

    def any_running(self) -> list[tuple[str, AttemptId]]:
        return [(n, a) for n, m in self.machines.items() if m.up for a in m.running]

    def succeeds(self) -> None:
        running = self.any_running()
        if running:
            self.succeed(*self.random.choice(running))

    def maps_succeed(self) -> None:
        for name, attempt in self.any_running():
            if attempt.kind is TaskKind.MAP and attempt in self.machines[name].running:
                self.succeed(name, attempt)

    def fails(self) -> None:
        running = self.any_running()
        if running:
            name, attempt = self.random.choice(running)
            kind = self.random.choice(KINDS)
            del self.machines[name].running[attempt]
            runs = self.damage_run(attempt.job) if kind is FailureKind.FETCH else ()
            self.tell(ev.AttemptFailed(attempt, name, kind, "it broke", None, runs))
            self.settle()

    def late_word(self) -> None:
        if not self.launched:
            return
        attempt = self.random.choice(sorted(self.launched))
        name = self.random.choice(WORKERS)
        if self.scheduler.state.live(attempt, name) is None:
            before = self.committed(attempt)
            self.tell(ev.AttemptSucceeded(attempt, name))
            self.tell(ev.AttemptFailed(attempt, name, FailureKind.CRASH, "late"))
            assert self.committed(attempt) == before

    def runs_are_lost(self) -> None:
        reduces = [(n, a) for n, a in self.any_running() if a.kind is TaskKind.REDUCE]
        if reduces:
            name, reduce = self.random.choice(reduces)
            self.tell(ev.MapOutputLost(reduce, name, self.damage_run(reduce.job)))
            self.settle()

    def damage_run(self, job: str) -> tuple[AttemptId, ...]:
        held = sorted(r for m in self.machines.values() for r in m.runs if r.job == job)
        for machine in self.machines.values() if held else ():
            machine.runs.pop(held[0], None)
        return tuple(held[:1])

    def time_passes(self) -> None:
        for _ in range(self.random.choice([1, 1, 4, 21, 31])):
            self.second()

    def second(self) -> None:
        self.now_ns += SECOND_NS
        for name, machine in self.machines.items():
            known: Any = self.scheduler.state.workers.get(name)
            if machine.up and known is not None and known.connected:
                words = tuple(AttemptProgress(a, 1, self.fraction(a)) for a in machine.running)
                self.tell(ev.Heartbeat(name, words))
            elif machine.up and known is not None:
                self.register(name)
        self.settle()

    @staticmethod
    def fraction(attempt: AttemptId) -> float:
        """Every second task crawls."""
        return 0.9 if attempt.index % 2 else 0.001

    def kill(self) -> None:
        if len(self.scheduler.state.jobs) > 3:
            job = self.random.choice(sorted(self.scheduler.state.jobs))
            self.tell(ev.JobKilled(job, "enough"))
            assert self.ended[job] is JobState.KILLED

    def finish(self) -> None:
        """The faults stop, one worker at least lives; then every job ends."""
        if not any(machine.up for machine in self.machines.values()):
            self.register(self.random.choice(WORKERS))
        for _ in range(200):
            if not self.scheduler.state.jobs:
                break
            for name, attempt in self.any_running():
                if attempt in self.machines[name].running:
                    self.succeed(name, attempt)
            self.second()
        assert sorted(self.ended) == sorted(self.jobs), "a job never ended"


WEIGHTS = {
    World.submit: 3,
    World.joins: 5,
    World.dies: 2,
    World.succeeds: 8,
    World.maps_succeed: 4,
    World.fails: 3,
    World.late_word: 3,
    World.runs_are_lost: 4,
    World.time_passes: 4,
    World.kill: 1,
    World.kill_task: 1,
    World.leaves: 1,
}


@pytest.mark.parametrize("seed", range(60))
def test_whatever_happens_every_job_ends(seed: int) -> None:
    world = World(seed)
    for _ in range(10):
        for step in world.random.choices(list(WEIGHTS), list(WEIGHTS.values()), k=20):
            step(world)
            world.scheduler.state.check()
        world.finish()
