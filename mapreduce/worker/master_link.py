"""The worker's standing with its master: registration, heartbeats, reports.

::

    DOWN --time--> REGISTERING --WorkerRegistered--> ANNOUNCING --last page answered--> UP
      ^                                                                                  |
      +----- the link broke, or the master does not know us ("register again") ----------+

Orders count in every state; the epoch tells whose they are. Reports are sent when the link is
UP, and again until they are answered. An unanswered request of any kind is sent again after
``ANSWER_NS``; only heartbeats are not, the next one will do.

A master that went away without a word is not noticed here: the transport says when the link
breaks, and what a silent master misses it hears when it answers again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from dfs.errors import NotFound, Retry
from dfs.events import NAMENODE, Action, Note, Send
from dfs.limits import RETRY_PAUSE_MAX_NS, RETRY_PAUSE_NS, SECOND_NS
from dfs.security.members import Members
from dfs.wire.codec import Message
from dfs.wire.common import Failed, Ok
from mapreduce.wire import (
    ROWS_PER_PAGE,
    AnnounceRuns,
    AttemptFailed,
    AttemptId,
    AttemptProgress,
    AttemptSucceeded,
    RegisterWorker,
    RunHeld,
    RunsLost,
    WorkerDrains,
    WorkerHeartbeat,
    WorkerLeaves,
    WorkerRegistered,
)
from mapreduce.worker.chores import Numbers

ANSWER_NS = 5 * SECOND_NS

Report = AttemptSucceeded | AttemptFailed | RunsLost


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """Who this worker is, where its master is found, and what it says of ``task_groups``."""

    name: str
    endpoints: tuple[str, ...]
    host: str
    node: str
    slots: int
    namenode: tuple[str, ...]
    groups: str = ""
    members: Members = field(default_factory=Members)
    """Whose key is whose, shared with the transport."""


class LinkState(Enum):
    """See the module's text."""

    DOWN = auto()
    REGISTERING = auto()
    ANNOUNCING = auto()
    UP = auto()


@dataclass(slots=True)
class _Pending:
    """A report that the master has not answered yet."""

    report: Report
    request: int = 0
    again_ns: int = 0


class MasterLink:
    """See the module's text."""

    def __init__(self, settings: WorkerSettings, numbers: Numbers) -> None:
        self._settings = settings
        self._numbers = numbers
        self._reports: dict[int, _Pending] = {}
        self._next_report = 1
        self._request = 0
        self._due_ns = 0
        self._pause_ns = RETRY_PAUSE_NS
        self._to_announce: list[RunHeld] = []
        self._last_page_sent = False
        self._heartbeat_ns = SECOND_NS
        self.state = LinkState.DOWN
        self.epoch = 0

    # Reports.

    def report(self, report: Report, now_ns: int) -> list[Action]:
        """Tell the master, now or when it can be told."""
        number, self._next_report = self._next_report, self._next_report + 1
        self._reports[number] = pending = _Pending(report)
        return [self._send_report(pending, now_ns)] if self.state is LinkState.UP else []

    def withdraw(self, attempt: AttemptId) -> None:
        """The master has given the attempt up: nothing about it needs to be said."""
        for number in [n for n, p in self._reports.items() if p.report.attempt == attempt]:
            del self._reports[number]

    def withdraw_job(self, job: str) -> None:
        """The job is over: nothing about it needs to be said."""
        for number in [n for n, p in self._reports.items() if p.report.attempt.job == job]:
            del self._reports[number]

    def unanswered(self) -> list[AttemptId]:
        """The attempts whose end the master has not answered yet."""
        ends = (p.report for p in self._reports.values() if not isinstance(p.report, RunsLost))
        return [report.attempt for report in ends]

    # What arrives. Each answer is for a number that was given out here, or for nobody.

    def registered(
        self, request: int, message: WorkerRegistered, runs: Iterable[RunHeld], now_ns: int
    ) -> None:
        """The master welcomes us; ``runs`` are announced to it."""
        if self.state is not LinkState.REGISTERING or request != self._request:
            return
        self.epoch = max(self.epoch, message.epoch)
        self._heartbeat_ns = message.heartbeat_ns
        self._pause_ns = RETRY_PAUSE_NS
        self._to_announce = list(runs)
        self._last_page_sent = False
        self.state = LinkState.ANNOUNCING
        self._due_ns = now_ns

    def answered(self, request: int, message: Ok | Failed, now_ns: int) -> list[Action]:
        """An answer without content: to a report, a page of runs, a heartbeat or registration."""
        for number, pending in self._reports.items():
            if pending.request == request:
                return self._report_answered(number, message, now_ns)
        if request != self._request:
            return []
        if isinstance(message, Failed):
            return self._turned_away(message, now_ns)
        if self.state is LinkState.ANNOUNCING:
            return self._page_answered(now_ns)
        return []

    def lost(self, reason: str, now_ns: int) -> list[Action]:
        """The link broke."""
        was_up = self.state is LinkState.UP
        self._down(now_ns)
        return [Note(f"lost the namenode: {reason}")] if was_up else []

    def drain(self) -> list[Action]:
        """This worker will end soon: the master should give it nothing more."""
        return [self._ask(WorkerDrains())] if self.state is LinkState.UP else []

    def goodbye(self) -> list[Action]:
        """This worker ends: the master need not wait until it is silent."""
        return [] if self.state is LinkState.DOWN else [self._ask(WorkerLeaves())]

    # What is due.

    def next_deadline(self) -> int:
        """When ``on_deadline`` wants to be called."""
        times = [self._due_ns]
        if self.state is LinkState.UP:
            times += [pending.again_ns for pending in self._reports.values()]
        return min(times)

    def on_deadline(self, now_ns: int, attempts: Sequence[AttemptProgress]) -> list[Action]:
        """Register, announce a page of runs, send a heartbeat about ``attempts``, repeat
        reports."""
        actions: list[Action] = []
        if self.state is LinkState.UP:
            overdue = [p for p in self._reports.values() if p.again_ns <= now_ns]
            actions += [self._send_report(pending, now_ns) for pending in overdue]
        if now_ns < self._due_ns:
            return actions
        match self.state:
            case LinkState.DOWN | LinkState.REGISTERING:
                actions.append(self._register([p.attempt for p in attempts], now_ns))
            case LinkState.ANNOUNCING:
                actions.append(self._announce(now_ns))
            case LinkState.UP:
                self._due_ns = now_ns + self._heartbeat_ns
                actions.append(self._ask(WorkerHeartbeat(tuple(attempts))))
        return actions

    def _register(self, attempts: list[AttemptId], now_ns: int) -> Action:
        mine = self._settings
        self.state = LinkState.REGISTERING
        self._due_ns = now_ns + ANSWER_NS
        message = RegisterWorker(
            mine.endpoints,
            mine.host,
            mine.node,
            mine.slots,
            tuple(dict.fromkeys(attempts)),
            self.epoch,
            mine.groups,
        )
        return self._ask(message)

    def _announce(self, now_ns: int) -> Action:
        self._due_ns = now_ns + ANSWER_NS
        page = tuple(self._to_announce[:ROWS_PER_PAGE])
        self._last_page_sent = len(page) == len(self._to_announce)
        return self._ask(AnnounceRuns(page, self._last_page_sent))

    def _page_answered(self, now_ns: int) -> list[Action]:
        """The next page is due, or after the last one the link is up."""
        del self._to_announce[:ROWS_PER_PAGE]
        self._due_ns = now_ns
        if not self._last_page_sent:
            return []
        self.state = LinkState.UP
        return [self._send_report(pending, now_ns) for pending in self._reports.values()]

    def _report_answered(self, number: int, message: Ok | Failed, now_ns: int) -> list[Action]:
        """A report is settled, unless the master does not know us or is not ready for it."""
        if isinstance(message, Failed):
            if message.number == NotFound.number:
                return self._turned_away(message, now_ns)
            if message.error().retry is Retry.SAME_REQUEST:
                return []
        report = self._reports.pop(number).report
        if isinstance(message, Ok):
            return []
        return [Note(f"the report on {report.attempt} is refused: {message.text}")]

    def _turned_away(self, message: Failed, now_ns: int) -> list[Action]:
        unknown = message.number == NotFound.number
        self._down(now_ns)
        return [] if unknown else [Note(f"the namenode refuses this worker: {message.text}")]

    def _down(self, now_ns: int) -> None:
        self.state = LinkState.DOWN
        self._due_ns = now_ns + self._pause_ns
        self._pause_ns = min(2 * self._pause_ns, RETRY_PAUSE_MAX_NS)

    def _send_report(self, pending: _Pending, now_ns: int) -> Action:
        pending.request = self._numbers.request()
        pending.again_ns = now_ns + ANSWER_NS
        return self._send(pending.report, pending.request)

    def _ask(self, message: Message) -> Action:
        self._request = self._numbers.request()
        return self._send(message, self._request)

    def _send(self, message: Message, request: int) -> Action:
        return Send(NAMENODE, message, request, b"", self._settings.namenode)
