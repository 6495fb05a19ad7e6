"""One decision of the master in the making, and the parts that make it.

What the scheduler wants done becomes commands and messages here, and nowhere else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from dfs.events import Decision, Note, Now, Peer, Role, Send
from dfs.namenode.module import View
from dfs.wire.codec import Message
from mapreduce.commands import AttemptStarted, JobBegan, TaskFailed
from mapreduce.master import actions as ac
from mapreduce.master import commit, orders
from mapreduce.master import events as ev
from mapreduce.master.book import JobBook
from mapreduce.master.history import (
    ATTEMPT_PROGRESS,
    ATTEMPT_STARTED,
    BACKUP_STARTED,
    STATE,
    History,
)
from mapreduce.master.rows import must_job
from mapreduce.master.scheduler import Scheduler
from mapreduce.master.standing import Slice
from mapreduce.master.steps import StepReader, submitted_at
from mapreduce.master.storage import Storage
from mapreduce.master.watch import NEWS, Watch
from mapreduce.tables import JobRow
from mapreduce.wire import AttemptId, ForgetJob, JobEvent, JobState, KillAttempt, WorkerAddress


@dataclass(frozen=True, slots=True)
class WorkerLink:
    """The connection on which a worker registered, where others reach it, and what it has said of
    groups (``RegisterWorker``)."""

    link: int
    address: WorkerAddress
    groups: str


@dataclass(slots=True)
class Parts:
    """The parts of a master. ``to_publish`` are jobs whose tasks are all committed, ``returning``
    those that go on with another step. ``starting`` reads the jobs of before, None: all are
    known."""

    storage: Storage
    scheduler: Scheduler
    book: JobBook
    epoch: int
    starting: Iterator[Slice] | None
    watch: Watch = field(default_factory=Watch)
    history: History = field(default_factory=History)
    links: dict[str, WorkerLink] = field(default_factory=dict)
    to_publish: deque[str] = field(default_factory=deque)
    returning: deque[StepReader] = field(default_factory=deque)


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

    def record(self, job: str, event: JobEvent) -> None:
        """Put an event into the log of its job, and wake those who watch it if it is news."""
        self.parts.history.add(self.view.table, job, event)
        if event.kind in NEWS:
            self.parts.watch.wake(job)

    def event(
        self, kind: str, text: str = "", attempt: AttemptId | None = None, worker: str = ""
    ) -> JobEvent:
        """An event of this moment, to be recorded."""
        name = str(attempt) if attempt is not None else ""
        return JobEvent(0, self.now.wall_ns, kind, text, name, worker)

    def finish(self) -> Decision:
        """The decision, whole."""
        self.decision.commands += self.parts.history.take()
        return self.decision

    def schedule(self, told: ev.Event) -> None:
        """Tell the scheduler something, and do what it wants done."""
        for action in self.parts.scheduler.handle(told, self.now.mono_ns):
            self._carry_out(action)

    def _carry_out(self, action: ac.Action) -> None:
        epoch = self.parts.epoch
        match action:
            case ac.BeginJob():
                number, _ = must_job(self.view.table, action.job)
                self.decision.commands.append(JobBegan(number, self.now.wall_ns))
                self.record(action.job, self.event(STATE, JobState.RUNNING))
            case ac.LaunchAttempt():
                self._launch(action)
            case ac.KillAttempt():
                self._order(action.worker, KillAttempt(epoch, action.attempt, action.reason))
            case ac.ForgetMapOutput():
                self._order(action.worker, ForgetJob(epoch, action.job))
            case ac.Tell():
                told = self.event(action.kind, action.text, action.attempt, action.worker)
                self.record(action.job, told)
                self.note(f"{action.job}: {action.text.splitlines()[0]}")
            case ac.MarkProgress():
                text = f"{action.fraction:.0%} done, {action.records} records"
                mark = self.event(ATTEMPT_PROGRESS, text, action.attempt, action.worker)
                self.record(action.attempt.job, mark)
            case ac.RecordFailure():
                self._record_failure(action)
            case ac.PublishOutput():
                self.parts.to_publish.append(action.job)
            case ac.RemakePart():
                self._remake(action)
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
            attempt.step,
        )
        self.decision.commands.append(started)
        found = self.parts.scheduler.state.find(attempt)
        backup = found[1].backup if found is not None else None
        is_backup = backup is not None and backup.id == attempt
        kind = BACKUP_STARTED if is_backup else ATTEMPT_STARTED
        event = self.event(kind, "", attempt, action.worker)
        placed = msgspec.structs.replace(event, locality=action.locality, miss=action.miss)
        self.record(attempt.job, placed)
        order = orders.launch(self.parts.storage, self.view, self.parts.epoch, attempt)
        self._order(action.worker, order)

    def _remake(self, action: ac.RemakePart) -> None:
        """Go back to the step that made a part which is lost."""
        number, row = must_job(self.view.table, action.job)
        step = self.parts.scheduler.state.jobs[action.job].step - 1
        text = f"part {action.index} of step {step + 1} is lost and made again"
        self._carry_out(ac.Tell(action.job, "part_lost", text))
        self.go_on(StepReader(number, row, step, action.index), row)

    def go_on(self, reader: StepReader, row: JobRow) -> None:
        """Have a job go on with another step; what is known of its tasks is read step by step."""
        self.schedule(ev.StepChanged(submitted_at(row, reader.step)))
        self.parts.returning.append(reader)

    def _record_failure(self, action: ac.RecordFailure) -> None:
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
            action.attempt.step,
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
        self.record(end.job, self.event(STATE, end.state))
        why = end.error.partition("\n")[0]
        self.note(f"{end.job} {end.state}: {why}" if why else f"{end.job} {end.state}")
        for worker in self.parts.scheduler.state.workers.values():
            if worker.connected:
                self._order(worker.name, ForgetJob(self.parts.epoch, end.job))

    def _order(self, worker: str, order: Message) -> None:
        self.decision.actions.append(Send(Peer(Role.WORKER, worker), order))
