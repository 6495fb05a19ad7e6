"""The master's core: every message about jobs, tasks and workers.

It stands beside the namenode's core, decides against the same view, and writes into the same
log. The scheduler decides what runs where; around it, messages become what the scheduler is
told, and what it wants becomes commands and messages. What is in the log (jobs, splits, numbers
of attempts, committed tasks) survives; who runs what is told anew by the workers.

A master that starts reads what the log knows of its jobs in slices, and serves nobody before it
knows them all (``standing``).

Two rules keep a decision and its record together. An attempt's number is logged in the decision
that launches it, so no number is given out twice. Whatever reads what a decision changed
(publishing the output, news for watchers) is left to the next deadline, when it is applied.

Each start of the master has a higher epoch, which its orders carry. A worker that obeyed a
higher one shows that this log is an older copy: the epoch rises above it.
"""

from __future__ import annotations

from collections.abc import Iterator

from dfs.config.schema import Times
from dfs.errors import DfsError, NotSupported, PermissionDenied, Unavailable
from dfs.events import USERS, Decision, Event, LinkLost, Now, Origin, Peer, Received, Reply, Role
from dfs.namenode.keys import number_of
from dfs.namenode.module import View
from dfs.namenode.table import Table
from dfs.wire.codec import Message
from dfs.wire.common import Failed
from mapreduce.commands import MasterStarted
from mapreduce.limits import LOCATED_PER_STEP
from mapreduce.master import clients, commit, orders, questions, workers
from mapreduce.master import events as ev
from mapreduce.master.book import JobBook
from mapreduce.master.history import MASTER_STARTED, STATE
from mapreduce.master.rows import must_job
from mapreduce.master.scheduler import Scheduler
from mapreduce.master.standing import Slice, read_jobs
from mapreduce.master.state import State
from mapreduce.master.steps import StepReader
from mapreduce.master.storage import Storage
from mapreduce.master.turn import Parts, Turn
from mapreduce.tables import EPOCH
from mapreduce.wire import JobState

_WORKERS = frozenset({Role.WORKER})


class MasterCore:
    """See the module's text."""

    def __init__(self, storage: Storage, times: Times, table: Table, now: Now) -> None:
        scheduler = Scheduler(times.heartbeat_ns, times.stale_ns, times.dead_ns)
        epoch = table.get("master", EPOCH)
        started = 1 if epoch is None else number_of(epoch) + 1
        self._heartbeat_ns = times.heartbeat_ns
        book = JobBook(storage)
        self._parts = Parts(storage, scheduler, book, started, read_jobs(table, book, now))
        self._epoch_logged = False

    @property
    def state(self) -> State:
        """What the scheduler knows; for tests and the simulation."""
        return self._parts.scheduler.state

    @property
    def is_starting(self) -> bool:
        """Does it still read its jobs? For tests."""
        return self._parts.starting is not None

    def knows(self, message: type[Message]) -> bool:
        """Is this a message for the master (and not for the namenode beside it)?"""
        return message in clients.WORDS or message in workers.WORDS

    def handle(self, view: View, event: Event, now: Now) -> Decision:
        """Decide one event."""
        turn = self._turn(view, now)
        match event:
            case Received():
                self._receive(turn, event.origin, event.message)
            case LinkLost(peer=Peer(role=Role.WORKER)):
                known = self._parts.links.get(event.peer.name)
                if known is not None and known.link == event.link:
                    turn.schedule(ev.WorkerDisconnected(event.peer.name))
            case LinkLost():
                self._parts.watch.gone(event.link)
            case _:
                pass
        return turn.finish()

    def _turn(self, view: View, now: Now) -> Turn:
        turn = Turn(self._parts, view, now)
        if not self._epoch_logged:
            self._epoch_logged = True
            turn.decision.commands.append(MasterStarted(self._parts.epoch))
        return turn

    def _receive(self, turn: Turn, origin: Origin, message: Message) -> None:
        answer: Message | None
        try:
            if self._parts.starting is not None:
                raise Unavailable("the master starts: it reads what the log knows of its jobs")
            if type(message) in clients.WORDS:
                _require(origin, message, USERS)
                answer = clients.hear(turn, origin, message)
            elif type(message) in workers.WORDS:
                _require(origin, message, _WORKERS)
                answer = workers.hear(turn, origin, message, self._heartbeat_ns)
            else:
                raise NotSupported(f"the master does not take {type(message).__name__}")
        except DfsError as error:
            answer = Failed.of(error)
        if answer is not None:
            turn.decision.actions.append(Reply(origin, answer))

    def on_deadline(self, view: View, now: Now) -> Decision:
        """Whatever is due: answers to watchers, attempts to start, a job to commit, tidying."""
        turn = self._turn(view, now)
        if self._parts.starting is not None:
            self._read_jobs(turn, self._parts.starting)
            return turn.finish()
        turn.decision.actions += questions.answer_watchers(turn)
        due_ns = self._parts.scheduler.next_deadline()
        if due_ns is not None and due_ns <= now.mono_ns:
            self._locate(turn)
            turn.schedule(ev.TimePassed())
        if self._parts.returning:
            self._read_on(turn, self._parts.returning[0])
        elif self._parts.to_publish:
            self._publish(turn, self._parts.to_publish.popleft())
        else:
            tidied = self._parts.book.tidy(view, now)
            turn.decision.commands += tidied.commands
            if tidied.failed:
                turn.record(tidied.failed, turn.event(STATE, JobState.FAILED))
            self._parts.history.forget(tidied.forgotten)
        return turn.finish()

    def _read_jobs(self, turn: Turn, slices: Iterator[Slice]) -> None:
        """Tell the scheduler more of the jobs of before."""
        found: Slice | ev.AllKnown
        try:
            found = next(slices)
        except StopIteration:
            self._parts.starting = None
            found = ev.AllKnown()
        if isinstance(found, ev.JobSubmitted):
            turn.record(found.job, turn.event(MASTER_STARTED, "the master started anew"))
        if found is not None:
            turn.schedule(found)

    def _locate(self, turn: Turn) -> None:
        """Look up where the input of the next maps lies."""
        found: dict[str, list[tuple[int, tuple[str, ...] | None]]] = {}
        for job, task in self._parts.scheduler.unlocated(LOCATED_PER_STEP, turn.now.mono_ns):
            nodes = orders.locate(
                self._parts.storage, turn.view, job.id, job.step, task.index, turn.now
            )
            found.setdefault(job.id, []).append((task.index, nodes))
        for ident, located in found.items():
            names = {node for _, nodes in located for node in nodes or ()}
            racks = tuple((node, self._parts.storage.rack(node)) for node in sorted(names))
            turn.schedule(ev.MapsLocated(ident, tuple(located), racks))

    def _read_on(self, turn: Turn, reader: StepReader) -> None:
        """Tell the scheduler more of what is known of a job's step, unless the job has ended."""
        job = self.state.jobs.get(reader.job)
        found = reader.read(turn.view.table) if job is not None else None
        if found is None or found.last:
            self._parts.returning.popleft()
        if found is not None:
            turn.schedule(found)

    def _publish(self, turn: Turn, job: str) -> None:
        """Commit a job whose tasks are all committed, or go on with its next step; unless it was
        killed meanwhile."""
        if job not in self.state.jobs:
            return
        number, row = must_job(turn.view.table, job)
        parts = self._parts
        following = self.state.jobs[job].step + 1
        if following < len(row.spec.steps):
            turn.go_on(StepReader(number, row, following), row)
            return
        try:
            turn.decision.commands += commit.publish(
                parts.storage, turn.view, row, parts.book.totals(job), turn.now
            )
        except DfsError as error:
            turn.schedule(ev.OutputRefused(job, str(error)))
        else:
            turn.schedule(ev.OutputPublished(job))

    def next_deadline(self) -> int | None:
        """When ``on_deadline`` has something to do (ns, monotonic)."""
        parts = self._parts
        if not self._epoch_logged or parts.starting or parts.to_publish or parts.returning:
            return 0
        timed = (parts.scheduler, parts.watch, parts.book)
        times = [part.next_deadline() for part in timed]
        return min((t for t in times if t is not None), default=None)


def _require(origin: Origin, message: Message, roles: frozenset[Role]) -> None:
    if origin.peer.role not in roles:
        raise PermissionDenied(f"a {origin.peer.role} may not send {type(message).__name__}")
