"""A namenode with a master over a table in memory, and people and workers played by hand."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from dfs.checksum import FileDigest
from dfs.config.schema import Files, Times
from dfs.errors import NotFound
from dfs.events import (
    Action,
    Decision,
    LinkLost,
    Note,
    Now,
    Origin,
    Peer,
    Received,
    Reply,
    Role,
    Send,
    WorkDone,
)
from dfs.limits import SECOND_NS
from dfs.namenode.apply import MODULE as DFS
from dfs.namenode.changes import FileSettings
from dfs.namenode.command_codec import CommandCodec
from dfs.namenode.core import NamenodeSettings, NamespaceCore
from dfs.namenode.journal import apply_table
from dfs.namenode.module import Command, View
from dfs.namenode.safemode import CheckView
from dfs.namenode.storage import Storage
from dfs.namenode.table import MemoryTable
from dfs.wire import namespace as m
from dfs.wire.codec import Message, decode, encode
from dfs.wire.common import Failed
from mapreduce import wire as w
from mapreduce.commands import MODULE
from mapreduce.job import Failure, FileSplit, JobSpec, StepSpec, part_name
from mapreduce.master.core import MasterCore
from mapreduce.master.server import ComposedCore

WALL_NS = 1_795_219_200 * SECOND_NS
"""2026-11-21 00:00 UTC."""
ANNA = Peer(Role.CLIENT, "anna")
BUNDLE = "b" * 64
ATTEMPTS = (w.LaunchMap, w.LaunchReduce)

M = TypeVar("M")


def spec(
    partitions: int = 1, reducer: bool = True, collect: bool = False, bundle: str = BUNDLE
) -> JobSpec:
    step = StepSpec(partitions, False, reducer)
    return JobSpec("WordCount", bundle, "job.py", "WordCount", {}, (step,), collect=collect)


class Stage:
    """Drives the composed core as the step does; every decision is applied at once."""

    def __init__(self) -> None:
        self.modules = (DFS, MODULE)
        self.apply = apply_table(self.modules)
        self.codec = CommandCodec(self.modules)
        self.table = MemoryTable((*DFS.tables, *MODULE.tables))
        self.index = 0
        self.mono_ns = SECOND_NS
        self.records: list[tuple[int, list[Command]]] = []
        self.orders: list[Send] = []
        self.late: list[Reply] = []
        self.notes: list[str] = []
        self.sessions: dict[Peer, int] = {}
        self.sequence = 0
        self.link = 0
        self.part = b"part"
        self.restart()
        self.put(w.bundle_path(BUNDLE))

    @property
    def now(self) -> Now:
        return Now(self.mono_ns, WALL_NS + self.mono_ns)

    def boot(self, *, is_checked: bool = True) -> None:
        """New cores on the same tables, as after a crash with a synced log."""
        times = Times()
        settings = NamenodeSettings("c1", "root", Files(), times, self.modules, is_checked)
        namespace = NamespaceCore(settings, self.table, self.now)
        storage = Storage(namespace.nodes, "root", "supergroup", FileSettings(1, 1 << 20, 0))

        def make_master(now: Now) -> MasterCore:
            self.master = MasterCore(storage, times, self.table, now)
            return self.master

        self.core = ComposedCore(namespace, make_master, self.now)
        self.orders.clear()

    def restart(self, *, is_checked: bool = True) -> None:
        """The same, until the master has read its jobs."""
        self.boot(is_checked=is_checked)
        self.settle()

    def conclude(self) -> None:
        """The metadata are sound."""
        self.take(self.core.handle(self.view(), WorkDone(CheckView(), ""), self.now))
        self.settle()

    def view(self) -> View:
        return View(self.table, self.index + 1)

    def take(self, decision: Decision) -> list[Action]:
        if decision.commands:
            self.index += 1
            self.records.append((self.index, decision.commands))
            for command in decision.commands:
                self.apply[type(command)](self.table, self.index, command)
        self.orders += [a for a in decision.actions if isinstance(a, Send)]
        self.notes += [a.text for a in decision.actions if isinstance(a, Note)]
        self.master.state.check()
        return decision.actions

    def settle(self) -> None:
        for _ in range(10_000):
            due = self.core.next_deadline()
            if due is None or due > self.mono_ns:
                return
            actions = self.take(self.core.on_deadline(self.view(), self.now))
            self.late += [a for a in actions if isinstance(a, Reply)]
        raise AssertionError("the core never settles")

    def advance(self, seconds: int, *beating: str) -> None:
        for _ in range(seconds):
            self.mono_ns += SECOND_NS
            for name in beating:
                self.beat(name)
            self.settle()

    def handle(self, peer: Peer, message: Message, link: int = 1) -> list[Message]:
        """The answers to a message that travelled as bytes."""
        message = decode(encode(message, 7)).message
        event = Received(Origin(peer, link, 7), message)
        actions = self.take(self.core.handle(self.view(), event, self.now))
        self.settle()
        return [a.message for a in actions if isinstance(a, Reply)]

    def ask(self, message: Message, answer: type[M], peer: Peer = ANNA) -> M:
        """The one answer to a message; an error is raised."""
        replies = self.handle(peer, message)
        assert len(replies) == 1, f"{message} got {len(replies)} answers"
        if isinstance(replies[0], Failed):
            raise replies[0].error()
        assert isinstance(replies[0], answer), replies[0]
        return replies[0]

    # -- files

    def put(self, path: str, content: bytes = b"x", peer: Peer = ANNA) -> int:
        """A small file; its inode."""
        if peer not in self.sessions:
            self.sessions[peer] = self.ask(m.OpenSession(), m.SessionOpened, peer).session
        self.sequence += 1
        word = m.PutInline(
            self.sessions[peer],
            self.sequence,
            self.sequence,
            path,
            content,
            FileDigest(content).digest(),
        )
        return self.ask(word, m.Closed, peer).entry.inode

    def names(self, path: str) -> list[str] | None:
        """The names in a folder; None when there is none."""
        try:
            listing = self.ask(m.List(path), m.Listing)
        except NotFound:
            return None
        return [entry.path.rpartition("/")[2] for entry in listing.entries]

    def ask_inode(self, path: str) -> int:
        return self.ask(m.Stat(path), m.Found).entry.inode

    def remove(self, path: str, recursive: bool = False) -> None:
        self.sequence += 1
        session, ack = self.sessions[ANNA], self.sequence
        self.ask(m.Remove(session, self.sequence, ack, path, recursive), Message)

    # -- jobs

    def submit(
        self,
        maps: int = 2,
        partitions: int = 1,
        output: str = "/out",
        reducer: bool = True,
        token: bytes = b"t",
        **options: Any,
    ) -> str:
        """Submit and start a job over ``maps`` small files."""
        overwrite = options.pop("overwrite", False)
        job_spec = spec(partitions, reducer)
        if steps := options.pop("steps", None):
            job_spec = msgspec.structs.replace(job_spec, steps=steps)
        word = w.SubmitJob(token, job_spec, output, overwrite, w.JobOptions(**options))
        job = self.ask(word, w.JobSubmitted).job
        splits = []
        for index in range(maps):
            path = f"/in/{token.decode()}/{index}"
            splits.append(w.PlannedSplit(FileSplit(path, 0, 1, 1), self.put(path)))
        self.ask(w.AddSplits(job, 0, tuple(splits)), Message)
        self.ask(w.StartJob(job, maps), Message)
        return job

    def report(self, job: str = "@last") -> w.JobReport:
        return self.ask(w.WatchJob(job), w.JobNews).report

    # -- workers

    def join(
        self,
        name: str,
        slots: int = 1,
        attempts: tuple[w.AttemptId, ...] = (),
        runs: tuple[w.AttemptId, ...] = (),
        epoch: int = 0,
    ) -> int:
        """A worker registers and announces its runs; the master's epoch."""
        self.link += 1
        word = w.RegisterWorker((f"tcp://{name}:1",), f"host-{name}", "", slots, attempts, epoch)
        peer = Peer(Role.WORKER, name)
        (registered,) = self.handle(peer, word, self.link)
        assert isinstance(registered, w.WorkerRegistered), registered
        held = tuple(w.RunHeld(run, 1) for run in runs)
        self.tell(name, w.AnnounceRuns(held, True))
        return registered.epoch

    def fail(self, worker: str, order: Any, kind: w.FailureKind, signature: str = "") -> Message:
        """An attempt fails; with a signature by an exception of the job's code."""
        failure = Failure("mapper", "ValueError: x", "Traceback: x", signature=signature)
        word = w.AttemptFailed(
            w.AttemptId.of(order.task), kind, "it broke", failure if signature else None
        )
        return self.tell(worker, word)

    def tell(self, worker: str, message: Message) -> Message:
        """The answer to a worker."""
        return self.ask(message, Message, Peer(Role.WORKER, worker))

    def beat(self, worker: str) -> None:
        """A heartbeat that names everything the master believes to run there."""
        running = self.master.state.workers[worker].running
        self.tell(worker, w.WorkerHeartbeat(tuple(w.AttemptProgress(a, 1, 0.5) for a in running)))

    def lose_link(self, worker: str, link: int) -> None:
        event = LinkLost(Peer(Role.WORKER, worker), link, "gone")
        self.take(self.core.handle(self.view(), event, self.now))
        self.settle()

    def take_orders(self, *kinds: type[Message]) -> list[tuple[str, Any]]:
        """(worker, order) since the last call, of these kinds."""
        found = [(s.to.name, s.message) for s in self.orders if isinstance(s.message, kinds)]
        self.orders = [s for s in self.orders if not isinstance(s.message, kinds)]
        return found

    def succeed(
        self, worker: str, order: Any, records: int = 3, side: tuple[str, ...] = ()
    ) -> Message:
        """A worker does what it was told, and says so; ``side`` are files of side outputs."""
        ident = w.AttemptId.of(order.task)
        files: tuple[str, ...] = ()
        if isinstance(order, w.LaunchReduce) or not order.task.spec.has_reducer:
            files = (part_name(order.task.spec, order.task.index),)
        files += side
        for name in files:
            self.put(f"{order.folder}/{name}", self.part, Peer(Role.WORKER, worker))
        counters = {"user": {"words": 1}}
        if side:
            counters["outputs"] = {name.partition("/")[0]: records for name in side}
        return self.tell(worker, w.AttemptSucceeded(ident, counters, records, records, 4, files))

    def run_all(self, records: int = 3) -> None:
        """Workers obey until there are no more orders."""
        for _ in range(100):
            launched = self.take_orders(*ATTEMPTS)
            if not launched:
                return
            for worker, order in launched:
                self.succeed(worker, order, records)
        raise AssertionError("the job never ends")
