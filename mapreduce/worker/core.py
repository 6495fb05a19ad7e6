"""The worker's core: which part answers which message, and who may give orders.

==============  ====================================================================
``MasterLink``  registration, heartbeats, reports until they are answered
``Attempts``    what runs and what waits for a slot
``Fetcher``     the segments that running reduces still lack
``Holdings``    runs held here, and serving them
``Printed``     serving what attempts printed
``Departure``   how long it stays when it was told to end
==============  ====================================================================

Rules of the file:

* Orders count only from the namenode, and not under an epoch below the highest one seen.
* The end of an attempt is reported once and repeated until it is answered. An attempt that the
  master gave up (``KillAttempt``, also as the answer to a report, or ``ForgetJob``) is not
  reported at all, and what it left is dropped when it has ended.
* The master hears of this worker only after it knows which runs an earlier worker left here.
"""

from __future__ import annotations

from dataclasses import dataclass

from dfs.errors import NotSupported, PermissionDenied
from dfs.events import (
    NAMENODE,
    Action,
    Event,
    LinkLost,
    Note,
    Now,
    Origin,
    Payload,
    Received,
    Reply,
    WorkDone,
)
from dfs.limits import SECOND_NS
from dfs.wire.codec import Message
from dfs.wire.common import Failed, Ok, Ping
from dfs.wire.members import MembersNow
from mapreduce.job import ReduceTask
from mapreduce.limits import SCRATCH_PIECE_NS
from mapreduce.wire import (
    AttemptFailed,
    AttemptId,
    AttemptProgress,
    AttemptSucceeded,
    FailureKind,
    FetchRuns,
    ForgetJob,
    KillAttempt,
    LaunchMap,
    LaunchReduce,
    ReadTaskLog,
    RunHeld,
    RunLocations,
    RunsData,
    RunsLost,
    WorkerRegistered,
)
from mapreduce.worker.attempts import Attempts, Sampled
from mapreduce.worker.chores import Chore, Numbers
from mapreduce.worker.departure import Departure
from mapreduce.worker.fetcher import Fetcher, ReadToken, StoreToken
from mapreduce.worker.holdings import Holdings, Serving
from mapreduce.worker.master_link import LinkState, MasterLink, WorkerSettings
from mapreduce.worker.printed import Printed, Printing
from mapreduce.worker.work import DropJob, DropRun, FindHeldRuns, RunPack

TICK_NS = 1 * SECOND_NS
SCRATCH_HANGS = (
    f"the disk of the scratch folder has not answered for {SCRATCH_PIECE_NS // SECOND_NS} s"
)

Order = LaunchMap | LaunchReduce | KillAttempt | ForgetJob


@dataclass(frozen=True, slots=True)
class _Found:
    """Token of ``FindHeldRuns``."""


class WorkerCore:
    """See the module's text."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._numbers = Numbers()
        self._link = MasterLink(settings, self._numbers)
        self._attempts = Attempts(settings.slots, self._numbers)
        self._fetcher = Fetcher(settings, self._numbers)
        self._holdings = Holdings(settings.name, self._numbers)
        self._printed = Printed(settings.name, self._numbers)
        self._departure = Departure()
        self._booted = False
        self._ready = False
        self._tick_ns = 0

    # The world.

    def handle(self, event: Event, now: Now) -> list[Action]:
        """Take in what arrived."""
        now_ns = now.mono_ns
        match event:
            case Received():
                return self._received(event.origin, event.message, event.payload, now_ns)
            case LinkLost():
                if event.peer == NAMENODE:
                    return self._link.lost(event.reason, now_ns)
                return self._report(self._fetcher.link_lost(event.peer, now_ns), now_ns)
            case WorkDone():
                return self._work_done(event, now_ns)

    def next_deadline(self) -> int | None:
        """When ``on_deadline`` wants to be called, in monotonic ns."""
        if not self._booted:
            return 0
        if not self._ready:
            return None
        times = [self._tick_ns, self._link.next_deadline(), self._fetcher.next_deadline()]
        return min(time for time in times if time is not None)

    def on_deadline(self, now: Now) -> list[Action]:
        """Do what is due: look at the attempts, register, heartbeats, fetches."""
        now_ns = now.mono_ns
        if not self._booted:
            self._booted = True
            return [self._numbers.work(_Found(), FindHeldRuns())]
        if not self._ready:
            return []
        actions: list[Action] = []
        if now_ns >= self._tick_ns:
            self._tick_ns = now_ns + TICK_NS
            actions += self._look_at_attempts(now_ns)
        actions += self._link.on_deadline(now_ns, self._alive())
        fetching, lost = self._fetcher.on_deadline(now_ns)
        return [*actions, *fetching, *self._report(lost, now_ns)]

    def _look_at_attempts(self, now_ns: int) -> list[Action]:
        """Stop those that hang, and leave those that do not stop."""
        for attempt in self._fetcher.held_up(now_ns):
            self._attempts.hinder(attempt, SCRATCH_HANGS)
        actions = self._attempts.tick(now_ns, self._fetcher.is_fetching)
        notes, failed = self._attempts.leave(now_ns)
        for report in failed:
            self._fetcher.drop(report.attempt)
            actions += self._link.report(report, now_ns)
        return actions + notes

    # The end.

    def part(self, now: Now) -> list[Action]:
        """The process is to end: take nothing new, and stay for as long as that is of use."""
        self._departure.begin(now.mono_ns)
        return self._link.drain()

    def has_parted(self, now: Now) -> bool:
        """May the process end?"""
        return self._departure.is_over(
            is_up=self._link.state is LinkState.UP,
            is_busy=bool(self._alive()),
            holds_runs=bool(self._holdings.all()),
            now_ns=now.mono_ns,
        )

    def goodbye(self) -> list[Action]:
        """What to say when the process ends."""
        return self._link.goodbye()

    def _alive(self) -> list[AttemptProgress]:
        """What the master must not count as lost: also ends that it has not answered."""
        ended = [AttemptProgress(attempt, 0, 1.0) for attempt in self._link.unanswered()]
        return self._attempts.progress() + ended

    def _report(self, lost: list[RunsLost], now_ns: int) -> list[Action]:
        return [action for report in lost for action in self._link.report(report, now_ns)]

    # Messages.

    def _received(
        self, origin: Origin, message: Message, payload: Payload, now_ns: int
    ) -> list[Action]:
        match message:
            case LaunchMap() | LaunchReduce() | KillAttempt() | ForgetJob():
                return self._ordered(origin, message, now_ns)
            case FetchRuns():
                self._departure.fetched(now_ns)
                return self._holdings.serve(origin, message)
            case ReadTaskLog():
                return self._printed.serve(origin, message)
            case RunsData():
                fetching, lost = self._fetcher.received(origin, message, payload, now_ns)
                return fetching + self._report(lost, now_ns)
            case RunLocations() if origin.peer == NAMENODE:
                return self._fetcher.located(origin.request, message, now_ns)
            case WorkerRegistered() if origin.peer == NAMENODE:
                self._link.registered(origin.request, message, self._holdings.all(), now_ns)
                return []
            case MembersNow() if origin.peer == NAMENODE:
                self._settings.members.replace(message.known())
                return []
            case Ok() | Failed():
                return self._answered(origin, message, now_ns)
            case Ping():
                return [Reply(origin, Ok())]
        refused = NotSupported(f"{type(message).__name__} is nothing for a worker")
        return [Reply(origin, Failed.of(refused))]

    def _answered(self, origin: Origin, message: Ok | Failed, now_ns: int) -> list[Action]:
        if origin.peer == NAMENODE:
            return self._link.answered(origin.request, message, now_ns)
        if isinstance(message, Failed):
            return self._report(self._fetcher.refused(origin, now_ns), now_ns)
        return []

    # Orders.

    def _ordered(self, origin: Origin, order: Order, now_ns: int) -> list[Action]:
        if origin.peer != NAMENODE:
            refused = PermissionDenied(f"{origin.peer.name} may not give orders")
            return [Reply(origin, Failed.of(refused))]
        if order.epoch < self._link.epoch:
            return [Note(f"{type(order).__name__} of epoch {order.epoch} is too old: refused")]
        self._link.epoch = order.epoch
        match order:
            case LaunchMap() | LaunchReduce():
                return self._launch(order, now_ns)
            case KillAttempt():
                return self._give_up(order.attempt)
            case ForgetJob():
                return self._forget(order.job)

    def _launch(self, order: LaunchMap | LaunchReduce, now_ns: int) -> list[Action]:
        attempt = AttemptId.of(order.task)
        if attempt in self._attempts or attempt in self._holdings:
            return []
        if self._attempts.full:
            text = f"{self._settings.name} has no free slot for {attempt}"
            return self._link.report(AttemptFailed(attempt, FailureKind.NODE, text), now_ns)
        self._attempts.add(order)
        return self._begin(now_ns)

    def _begin(self, now_ns: int) -> list[Action]:
        """Run what there are free slots for."""
        actions = []
        for run in self._attempts.begin(now_ns):
            attempt = AttemptId.of(run.task)
            actions.append(self._numbers.work(attempt, run))
            if isinstance(run.task, ReduceTask):
                self._fetcher.add(attempt, run.task.map_count)
        return actions

    def _give_up(self, attempt: AttemptId) -> list[Action]:
        self._link.withdraw(attempt)
        self._fetcher.drop(attempt)
        return self._holdings.drop(attempt) + self._attempts.give_up(attempt)

    def _forget(self, job: str) -> list[Action]:
        self._link.withdraw_job(job)
        actions: list[Action] = []
        for attempt in self._attempts.of_job(job):
            actions += self._give_up(attempt)
        self._holdings.forget_job(job)
        return [*actions, self._numbers.chore(DropJob(job))]

    # Work at the edge.

    def _work_done(self, done: WorkDone, now_ns: int) -> list[Action]:
        match done.token:
            case AttemptId():
                return self._ended(done.token, done, now_ns)
            case StoreToken():
                actions, lost = self._fetcher.stored(done.token, done.error, now_ns)
                return actions + self._report(lost, now_ns)
            case ReadToken():
                return self._read(done.token, done.result, now_ns)
            case Serving():
                return self._holdings.served(done.token, done)
            case Printing():
                return self._printed.served(done.token, done)
            case Sampled():
                self._attempts.sampled(done.result or (), now_ns)
            case _Found():
                self._found(done, now_ns)
            case Chore() if done.error is not None:
                return [Note(f"{done.token.what} failed: {done.error}")]
        return []

    def _read(self, token: ReadToken, pack: RunPack | None, now_ns: int) -> list[Action]:
        """What a reduce wants of runs held here was read, or not."""
        dropped = self._holdings.drop_unreadable(pack.unreadable) if pack else []
        actions, lost = self._fetcher.read(token, pack, now_ns)
        return dropped + actions + self._report(lost, now_ns)

    def _found(self, done: WorkDone, now_ns: int) -> None:
        """What an earlier worker left is known. Without that this one cannot work."""
        if done.error is not None:
            raise done.error
        self._holdings.add(done.result)
        self._ready = True
        self._tick_ns = now_ns

    def _ended(self, attempt: AttemptId, done: WorkDone, now_ns: int) -> list[Action]:
        end = self._attempts.ended(attempt, done)
        self._fetcher.drop(attempt)
        actions = self._begin(now_ns)
        if end.report is None:
            return (
                [*actions, self._numbers.chore(DropRun(attempt))] if end.may_have_run else actions
            )
        if isinstance(end.report, AttemptSucceeded) and end.may_have_run:
            self._holdings.add([RunHeld(attempt, end.report.output_bytes)])
        return actions + self._link.report(end.report, now_ns)
