"""One decision of the master in the making, and the parts that make it.

What the scheduler wants done becomes commands and messages here, and nowhere else.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from dfs.events import Decision, Note, Now, Peer, Role, Send
from dfs.namenode.module import View
from dfs.wire.codec import Message
from mapreduce.commands import AttemptStarted, JobBegan, TaskFailed
from mapreduce.master import actions as ac
from mapreduce.master import commit, orders
from mapreduce.master import events as ev
from mapreduce.master.book import JobBook
from mapreduce.master.rows import must_job
from mapreduce.master.scheduler import Scheduler
from mapreduce.master.storage import Storage
from mapreduce.master.watch import Watch
from mapreduce.wire import ForgetJob, JobState, KillAttempt, WorkerAddress


@dataclass(frozen=True, slots=True)
class WorkerLink:
    """The connection on which a worker registered, and where others reach it."""

    link: int
    address: WorkerAddress


@dataclass(slots=True)
class Parts:
    """The parts of a master. ``to_publish`` are jobs whose tasks are all committed."""

    storage: Storage
    scheduler: Scheduler
    book: JobBook
    epoch: int
    watch: Watch = field(default_factory=Watch)
    links: dict[str, WorkerLink] = field(default_factory=dict)
    to_publish: deque[str] = field(default_factory=deque)


class Turn:
    """A decision; see the module's text."""

    def __init__(self, parts: Parts, view: View, now: Now) -> None:
        self.parts = parts
        self.view = view
        self.now = now
        self.decision = Decision()

    def note(self, text: str) -> None:
        """Write a line to the process's log."""
        self.decision.actions.append(Note(text))

    def schedule(self, told: ev.Event) -> None:
        """Tell the scheduler something, and do what it wants done."""
        for action in self.parts.scheduler.handle(told, self.now.mono_ns):
            self._carry_out(action)

    def _carry_out(self, action: ac.Action) -> None:
        epoch, watch = self.parts.epoch, self.parts.watch
        match action:
            case ac.BeginJob():
                number, _ = must_job(self.view.table, action.job)
                self.decision.commands.append(JobBegan(number, self.now.wall_ns))
                watch.tell(action.job, "state", JobState.RUNNING, self.now)
            case ac.LaunchAttempt():
                self._launch(action)
            case ac.KillAttempt():
                self._order(action.worker, KillAttempt(epoch, action.attempt, action.reason))
            case ac.ForgetMapOutput():
                self._order(action.worker, ForgetJob(epoch, action.job))
            case ac.Tell():
                watch.tell(action.job, action.kind, action.text, self.now)
                self.note(f"{action.job}: {action.text.splitlines()[0]}")
            case ac.RecordFailure():
                self._record(action)
            case ac.PublishOutput():
                self.parts.to_publish.append(action.job)
            case ac.EndJob():
                self._end_job(action)

    def _launch(self, action: ac.LaunchAttempt) -> None:
        attempt = action.attempt
        number, _ = must_job(self.view.table, attempt.job)
        started = AttemptStarted(
            number,
            attempt.kind,
            attempt.index,
            attempt.attempt,
            action.locality,
            action.miss,
            self.now.wall_ns,
        )
        self.decision.commands.append(started)
        self._order(action.worker, orders.launch(self.view.table, self.parts.epoch, attempt))

    def _record(self, action: ac.RecordFailure) -> None:
        number, _ = must_job(self.view.table, action.attempt.job)
        failed = TaskFailed(
            number,
            action.attempt.kind,
            action.attempt.index,
            action.failed,
            action.faults,
            action.unread,
            action.text,
            action.signature,
            action.error,
            action.failure,
        )
        self.decision.commands.append(failed)

    def _end_job(self, end: ac.EndJob) -> None:
        book = self.parts.book
        number, row = must_job(self.view.table, end.job)
        self.decision.commands += commit.end_job(
            self.parts.storage, self.view, number, end, book.totals(end.job), self.now
        )
        keeps_output = end.state is JobState.SUCCEEDED and not row.output
        book.end(end.job, keeps_output, self.now)
        self.parts.watch.tell(end.job, "state", end.state, self.now)
        why = end.error.partition("\n")[0]
        self.note(f"{end.job} {end.state}: {why}" if why else f"{end.job} {end.state}")
        for worker in self.parts.scheduler.state.workers.values():
            if worker.connected:
                self._order(worker.name, ForgetJob(self.parts.epoch, end.job))

    def _order(self, worker: str, order: Message) -> None:
        self.decision.actions.append(Send(Peer(Role.WORKER, worker), order))
