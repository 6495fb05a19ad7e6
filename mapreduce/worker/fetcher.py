"""Carries out the fetch plans of the running reduce attempts, over messages.

Runs are asked for with ``FetchRuns``, or read here when this worker holds them; what comes is
stored at the edge with one ``StoreSegments``, and then more is asked for.

What goes wrong with a whole fetch: no answer in ``FETCH_TRY_NS``, a broken link, ``Failed``, an
answer to something else, bytes that do not have their checksum. That counts as a try of each run
that was asked for. A run that is gone or damaged is named in the answer, and the others are used.
What goes wrong with storing (a full disk, an attempt that has not begun) is no fault of a run.
What the disk here has not taken or given after ``SCRATCH_PIECE_NS`` is a fault of this worker, and
ends the attempt.
"""

from __future__ import annotations

from dataclasses import dataclass

from dfs.events import NAMENODE, Action, Origin, Payload, Peer, Role, Send
from dfs.limits import SECOND_NS
from mapreduce.errors import RunCorrupt
from mapreduce.limits import SCRATCH_PIECE_NS
from mapreduce.wire import (
    AttemptId,
    FetchRuns,
    FindRuns,
    RunAsked,
    RunLocations,
    RunsData,
    RunsLost,
)
from mapreduce.worker.chores import Numbers
from mapreduce.worker.fetching import Fetch, FetchPlan
from mapreduce.worker.master_link import WorkerSettings
from mapreduce.worker.work import ReadRuns, RunPack, StoreSegments

FETCH_TRY_NS = 10 * SECOND_NS

Outcome = tuple[list[Action], list[RunsLost]]
"""What to do, and what to tell the master."""


@dataclass(frozen=True, slots=True, eq=False)
class StoreToken:
    """Token of what a fetch brought and is being stored."""

    fetch: Fetch
    data: RunsData


@dataclass(frozen=True, slots=True, eq=False)
class ReadToken:
    """Token of what is being read from runs held here."""

    fetch: Fetch


@dataclass(frozen=True, slots=True)
class _Asked:
    """A fetch that somebody was asked for."""

    fetch: Fetch
    peer: Peer
    deadline_ns: int


class Fetcher:
    """See the module's text."""

    def __init__(self, settings: WorkerSettings, numbers: Numbers) -> None:
        self._settings = settings
        self._numbers = numbers
        self._plans: dict[AttemptId, FetchPlan] = {}
        self._asked: dict[int, _Asked] = {}
        self._questions: dict[AttemptId, int] = {}

    def add(self, attempt: AttemptId, map_count: int) -> None:
        """Fetch the segments of this attempt."""
        self._plans[attempt] = FetchPlan(attempt, map_count)

    def drop(self, attempt: AttemptId) -> None:
        """The attempt is over."""
        self._plans.pop(attempt, None)
        for request in [r for r, a in self._asked.items() if a.fetch.attempt == attempt]:
            del self._asked[request]
        self._questions.pop(attempt, None)

    def is_fetching(self, attempt: AttemptId) -> bool:
        """Does the attempt lack segments?"""
        plan = self._plans.get(attempt)
        return plan is not None and not plan.complete

    def held_up(self, now_ns: int) -> list[AttemptId]:
        """The attempts for which the disk here has had a piece for too long."""
        since_ns = now_ns - SCRATCH_PIECE_NS
        return [a for a, plan in self._plans.items() if plan.waits_for_disk(since_ns)]

    def next_deadline(self) -> int | None:
        """When ``on_deadline`` wants to be called."""
        times = [plan.next_deadline() for plan in self._plans.values()]
        times += [asked.deadline_ns for asked in self._asked.values()]
        return min((time for time in times if time is not None), default=None)

    def on_deadline(self, now_ns: int) -> Outcome:
        """Ask what is due; also the runs that were given up."""
        overdue = [r for r, asked in self._asked.items() if asked.deadline_ns <= now_ns]
        lost = self._fail_all(overdue, now_ns)
        actions: list[Action] = []
        for attempt, plan in self._plans.items():
            first = plan.question_due(now_ns)
            if first is not None:
                request = self._questions[attempt] = self._numbers.request()
                question = FindRuns(attempt.job, attempt.step, first)
                actions.append(Send(NAMENODE, question, request, b"", self._settings.namenode))
            actions += self._begin(plan, now_ns)
        return actions, lost

    # What arrives.

    def located(self, request: int, found: RunLocations, now_ns: int) -> list[Action]:
        """The master's answer to a question."""
        for attempt, question in self._questions.items():
            if question == request:
                del self._questions[attempt]
                plan = self._plans[attempt]
                plan.located(found, now_ns)
                return self._begin(plan, now_ns)
        return []

    def received(self, origin: Origin, data: RunsData, payload: Payload, now_ns: int) -> Outcome:
        """What another worker was asked for."""
        fetch = self._take(origin)
        return ([], []) if fetch is None else self._came(fetch, data, payload, now_ns)

    def read(self, token: ReadToken, pack: RunPack | None, now_ns: int) -> Outcome:
        """What was read of runs that lie here; None: it could not be."""
        if pack is None:
            return [], self._fail(token.fetch, now_ns)
        gone = tuple(run.index for run in pack.unreadable)
        data = RunsData(pack.pieces, gone, pack.check)
        return self._came(token.fetch, data, pack.payload, now_ns)

    def refused(self, origin: Origin, now_ns: int) -> list[RunsLost]:
        """A worker cannot give us anything just now."""
        fetch = self._take(origin)
        return [] if fetch is None else self._fail(fetch, now_ns)

    def link_lost(self, peer: Peer, now_ns: int) -> list[RunsLost]:
        """Nothing more comes from this worker for now."""
        return self._fail_all([r for r, a in self._asked.items() if a.peer == peer], now_ns)

    def stored(self, token: StoreToken, error: Exception | None, now_ns: int) -> Outcome:
        """What came was stored, or could not be."""
        fetch = token.fetch
        plan = self._plan_of(fetch)
        if plan is None:
            return [], []
        if isinstance(error, RunCorrupt):
            return [], self._fail(fetch, now_ns)
        if error is not None:
            plan.postponed(fetch, now_ns)
            return [], []
        more = [self._ask(fetch, now_ns)] if plan.stored(fetch, token.data) else []
        return more + self._begin(plan, now_ns), []

    # Details.

    def _begin(self, plan: FetchPlan, now_ns: int) -> list[Action]:
        return [self._ask(fetch, now_ns) for fetch in plan.begin(now_ns)]

    def _ask(self, fetch: Fetch, now_ns: int) -> Action:
        attempt, source = fetch.attempt, fetch.source
        if source.worker == self._settings.name:
            fetch.at_disk_ns = now_ns
            work = ReadRuns(fetch.runs, attempt.index, fetch.offset)
            return self._numbers.work(ReadToken(fetch), work)
        peer = Peer(Role.WORKER, source.worker)
        request = self._numbers.request()
        self._asked[request] = _Asked(fetch, peer, now_ns + FETCH_TRY_NS)
        runs = tuple(RunAsked(run.index, run.attempt) for run in fetch.runs)
        question = FetchRuns(attempt.job, attempt.step, attempt.index, runs, fetch.offset)
        near = source.host == self._settings.host
        endpoints = tuple(e for e in source.endpoints if near or not e.startswith("ipc:"))
        return Send(peer, question, request, b"", endpoints)

    def _came(self, fetch: Fetch, data: RunsData, payload: Payload, now_ns: int) -> Outcome:
        """Store what came; what had no room may begin anew at once."""
        plan = self._plan_of(fetch)
        if plan is None:
            return [], []
        if not fetch.is_answered_by(data, len(payload)):
            return [], self._fail(fetch, now_ns)
        offset = fetch.offset
        gone = plan.answered(fetch, data, now_ns)
        actions: list[Action] = []
        if data.pieces:
            brought = StoreSegments(
                fetch.attempt, fetch.runs, data.pieces, offset, data.check, payload
            )
            actions.append(self._numbers.work(StoreToken(fetch, data), brought))
        return actions + self._begin(plan, now_ns), _lost(fetch, gone)

    def _plan_of(self, fetch: Fetch) -> FetchPlan | None:
        """The plan that waits for this fetch."""
        plan = self._plans.get(fetch.attempt)
        return plan if plan is not None and plan.is_active(fetch) else None

    def _take(self, origin: Origin) -> Fetch | None:
        """The fetch that this is an answer to."""
        asked = self._asked.get(origin.request)
        if asked is None or asked.peer != origin.peer:
            return None
        return self._asked.pop(origin.request).fetch

    def _fail_all(self, requests: list[int], now_ns: int) -> list[RunsLost]:
        """These requests failed; the runs that are given up because of it."""
        fetches = [self._asked.pop(request).fetch for request in requests]
        return [lost for fetch in fetches for lost in self._fail(fetch, now_ns)]

    def _fail(self, fetch: Fetch, now_ns: int) -> list[RunsLost]:
        plan = self._plan_of(fetch)
        return [] if plan is None else _lost(fetch, plan.failed(fetch, now_ns))


def _lost(fetch: Fetch, runs: tuple[AttemptId, ...]) -> list[RunsLost]:
    return [RunsLost(fetch.attempt, runs)] if runs else []
