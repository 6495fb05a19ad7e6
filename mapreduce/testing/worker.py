"""A simulated worker: the production core; its tasks run inline, their files are real traffic.

An attempt is an operation of the worker's client: it reads its input from the simulated DFS (or
waits for its segments), runs the task's code at once over bytes, takes a drawn time for it, and
writes its parts. So crashes strike before, in and behind everything that a task does with the
world. Killed with the worker, an operation ends without a word.

Runs lie on the machine: a killed process finds all of them again, after a loss of power it
finds some.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from xxhash import xxh3_64_intdigest

from dfs.client.effects import Operation, Sleep
from dfs.client.namenode import ClientSettings
from dfs.errors import DfsError, NotFound
from dfs.events import Action, Event, Now, Peer, Role, Work, WorkDone
from dfs.limits import MS_NS
from dfs.net.step import PlainStep, Step
from dfs.testing.client import SimulatedConnection, SimulatedRunning
from dfs.testing.cluster import CLUSTER, NAMENODE_ENDPOINTS
from dfs.testing.node import Process
from dfs.testing.world import World
from mapreduce.errors import RunCorrupt, UserCodeError
from mapreduce.job import MapOutcome, MapTask, ReduceOutcome
from mapreduce.job_class import Job
from mapreduce.shuffle.run_index import read_entry
from mapreduce.task.map_task import run_map
from mapreduce.task.reduce_task import run_reduce
from mapreduce.testing.memory_env import MemoryEnv
from mapreduce.testing.operations import read_file, write_file
from mapreduce.wire import (
    AttemptFailed,
    AttemptId,
    AttemptProgress,
    AttemptSucceeded,
    FailureKind,
    RunHeld,
    SegmentPiece,
)
from mapreduce.worker.core import WorkerCore
from mapreduce.worker.master_link import WorkerSettings
from mapreduce.worker.reports import leaves_run, success_of
from mapreduce.worker.serving import replication_of
from mapreduce.worker.work import (
    DropJob,
    DropRun,
    FindHeldRuns,
    ReadLog,
    ReadRuns,
    RunAttempt,
    RunPack,
    SampleAttempts,
    StopAttempt,
    StoreSegments,
    WorkerTask,
)

TASK_MAX_NS = 2000 * MS_NS
SEGMENTS_LOOK_NS = 10 * MS_NS
ANSWER_BYTES = 4 << 10
TURN_NS = 10 * MS_NS
"""How often a process that parts is asked whether it has."""

Report = AttemptSucceeded | AttemptFailed


@dataclass(slots=True)
class _Running:
    """An attempt under way in one process of the worker."""

    work: Work
    operation: SimulatedRunning[None] | None = None
    arriving: dict[int, bytearray] = field(default_factory=dict)
    segments: dict[int, bytes] = field(default_factory=dict)


class WorkerMachine:
    """One worker beside the datanode of its number. ``jobs``: classes by bundle digest."""

    def __init__(
        self, world: World, number: int, slots: int, jobs: Mapping[str, type[Job]]
    ) -> None:
        name = f"worker-{number}"
        self.peer = Peer(Role.WORKER, name)
        self.endpoints = (f"sim://{name}",)
        host = f"host-of-datanode-{number}"
        self._settings = WorkerSettings(
            name, self.endpoints, host, f"datanode-{number}", slots, NAMENODE_ENDPOINTS
        )
        self._world = world
        self._jobs = jobs
        self._rng = world.rng(f"tasks/{name}")
        settings = ClientSettings(CLUSTER, NAMENODE_ENDPOINTS, host)
        self._connection = SimulatedConnection(world, f"client-of-{name}", settings)
        self._running: dict[AttemptId, _Running] = {}
        self._core = WorkerCore(self._settings)
        self.task_ns: int | None = None
        """How long each task takes here, if that is not to be drawn."""
        self.runs: dict[AttemptId, bytes] = {}

    def boot(self, now: Now) -> Process:
        """A new process; see ``dfs.testing.world.Machine``."""
        self._core = WorkerCore(self._settings)
        return Process(_TaskStep(PlainStep(self._core), self._begin), self._execute)

    def stop(self, when_gone: Callable[[], None]) -> None:
        """Tell the process to end, as SIGTERM does, let it part, and say when it has."""
        node = self._world.nodes[self.peer]
        core, boots = self._core, node.boots

        def look() -> None:
            assert node.process is not None and node.boots == boots, f"{self.peer} parts"
            if not core.has_parted(self._world.now):
                self._world.after(TURN_NS, look)
                return
            self._world.inject(node, lambda now: core.goodbye())
            self._world.kill(node)
            when_gone()

        self._world.inject(node, core.part)
        look()

    def lose_process(self) -> None:
        """The tasks die with their worker."""
        for running in self._running.values():
            if running.operation is not None:
                running.operation.abandon()
        self._running.clear()

    def lose_power(self, rng: Random) -> None:
        """Some runs are lost."""
        self.lose_process()
        self.runs = {run: data for run, data in self.runs.items() if rng.random() < 0.5}

    # Attempts.

    def _begin(self, work: Work) -> None:
        attempt = AttemptId.of(work.task.task)
        self._running[attempt] = running = _Running(work)
        running.operation = self._connection.start(self._attempt(attempt, running))

    def _attempt(self, attempt: AttemptId, running: _Running) -> Operation[None]:
        """One attempt from beginning to end."""
        order: RunAttempt = running.work.task
        try:
            report: Report = yield from self._run(order, running)
        except UserCodeError as error:
            failure = error.failure
            report = AttemptFailed(attempt, FailureKind.USER, failure.error, failure)
        except DfsError as error:
            kind = FailureKind.INPUT if isinstance(order.task, MapTask) else FailureKind.NODE
            report = AttemptFailed(attempt, kind, error.message)
        self._end(attempt, report)

    def _run(self, order: RunAttempt, running: _Running) -> Operation[Report]:
        task = order.task
        content = b""
        if isinstance(task, MapTask):
            content = yield from read_file(self._connection.namenode, task.split.path, order.inode)
        else:
            while len(running.segments) < task.map_count:
                yield Sleep(SEGMENTS_LOOK_NS)
        env = MemoryEnv(content, running.segments)
        job = self._jobs[order.job.bundle](**order.job.params)
        outcome: MapOutcome | ReduceOutcome
        if isinstance(task, MapTask):
            outcome = run_map(task, job, env)
        else:
            outcome = run_reduce(task, job, env)
        yield Sleep(self._rng.randint(0, TASK_MAX_NS) if self.task_ns is None else self.task_ns)
        for name, data in env.parts.items():
            path = f"{order.folder}/{name}"
            yield from write_file(self._connection.namenode, path, data, replication_of(task, name))
        if leaves_run(task):
            self.runs[AttemptId.of(task)] = env.run
        return success_of(task, outcome, tuple(env.parts))

    def _end(self, attempt: AttemptId, report: Report) -> None:
        """Tell the core, in a later event, unless the process dies before."""
        running = self._running.pop(attempt)
        node = self._world.nodes[self.peer]
        boots = node.boots
        done: Event = WorkDone(running.work.token, report)

        def tell() -> None:
            process = node.process
            if process is not None and node.boots == boots:
                self._world.inject(node, lambda now: process.step.run([done], now))

        self._world.after(0, tell)

    # The other work.

    def _execute(self, work: WorkerTask) -> Any:
        match work:
            case FindHeldRuns():
                return tuple(RunHeld(run, len(data)) for run, data in self.runs.items())
            case SampleAttempts():
                return tuple(AttemptProgress(attempt, 0, 0.5) for attempt in self._running)
            case StoreSegments():
                self._store(work)
            case ReadRuns():
                return self._read(work)
            case ReadLog():
                raise NotFound(f"{work.attempt} prints nothing here")
            case StopAttempt():
                self._stop(work.attempt)
            case DropRun():
                self.runs.pop(work.run, None)
            case DropJob():
                for run in [run for run in self.runs if run.job == work.job]:
                    del self.runs[run]
            case RunAttempt():
                raise AssertionError("attempts are begun by the step")
        return None

    def _store(self, brought: StoreSegments) -> None:
        running = self._running.get(brought.attempt)
        if running is None:
            raise NotFound(f"{brought.attempt} is not running")
        if xxh3_64_intdigest(brought.payload) != brought.check:
            raise RunCorrupt("a piece is damaged", brought.runs[0].index)
        payload = io.BytesIO(brought.payload)
        offset = brought.offset
        for piece in brought.pieces:
            data = bytearray() if offset == 0 else running.arriving[piece.map]
            if len(data) != offset:
                raise RunCorrupt("a piece is missing", piece.map)
            running.arriving[piece.map] = data + payload.read(piece.piece_bytes)
            if offset + piece.piece_bytes == piece.size_bytes:
                if piece.map in running.segments:
                    self._world.fail(f"{brought.attempt} fetched map {piece.map} twice")
                running.segments[piece.map] = bytes(running.arriving.pop(piece.map))
            offset = 0

    def _read(self, work: ReadRuns) -> RunPack:
        """Whole segments or one piece, in answers so small that both are common."""
        pieces: list[SegmentPiece] = []
        packed = b""
        unreadable = {}
        offset = work.offset
        for run in work.runs:
            content = self.runs.get(run)
            if content is None:
                unreadable[run] = "it is gone"
            else:
                entry = read_entry(io.BytesIO(content), work.partition)
                segment = content[entry.offset : entry.offset + entry.size_bytes][offset:]
                if pieces and len(packed) + len(segment) > ANSWER_BYTES:
                    break
                pieces.append(
                    SegmentPiece(run.index, len(segment[:ANSWER_BYTES]), entry.size_bytes)
                )
                packed += segment[:ANSWER_BYTES]
            offset = 0
        return RunPack(tuple(pieces), unreadable, xxh3_64_intdigest(packed), packed)

    def _stop(self, attempt: AttemptId) -> None:
        running = self._running.get(attempt)
        if running is not None:
            if running.operation is not None:
                running.operation.abandon()
            self._end(attempt, AttemptFailed(attempt, FailureKind.CRASH, "was stopped"))


class _TaskStep:
    """A step whose ``RunAttempt`` work goes to ``begin``, since it takes virtual time."""

    def __init__(self, step: Step, begin: Callable[[Work], None]) -> None:
        self._step = step
        self._begin = begin

    def run(self, events: list[Event], now: Now) -> list[Action]:
        """See ``dfs.net.step.Step``."""
        rest: list[Action] = []
        for action in self._step.run(events, now):
            if isinstance(action, Work) and isinstance(action.task, RunAttempt):
                self._begin(action)
            else:
                rest.append(action)
        return rest

    def next_deadline(self) -> int | None:
        """See ``dfs.net.step.Step``."""
        return self._step.next_deadline()
