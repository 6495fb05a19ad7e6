"""Carries out the fetch plans of the running reduce attempts, over messages.

A piece is asked for with ``FetchRun``, or read here when this worker holds the run; it is stored
at the edge with ``StoreSegment``, and then the next one is asked for.

What goes wrong with one try: no answer in ``PIECE_TRY_NS``, a broken link, ``Failed``, bytes that
do not have their checksum. ``NotFound`` and ``Corrupt`` say that the run is gone; the rest may be
tried again. What goes wrong with storing (a full disk, an attempt that has not begun) is no
fault of the run. A piece that the disk here has not taken or given after ``SCRATCH_PIECE_NS`` is a
fault of this worker, and ends the attempt.
"""

from __future__ import annotations

from dataclasses import dataclass

from dfs.errors import Corrupt, NotFound
from dfs.events import Action, Origin, Payload, Peer, Role, Send, WorkDone
from dfs.limits import SECOND_NS
from dfs.wire.common import Failed
from mapreduce.errors import RunCorrupt
from mapreduce.limits import SCRATCH_PIECE_NS
from mapreduce.wire import AttemptId, FetchRun, FindRuns, RunData, RunLocations, RunsLost
from mapreduce.worker.chores import Numbers
from mapreduce.worker.fetching import Fetch, FetchPlan
from mapreduce.worker.master_link import NAMENODE, WorkerSettings
from mapreduce.worker.work import ReadRun, RunPiece, StoreSegment

PIECE_TRY_NS = 10 * SECOND_NS
_GONE = {NotFound.number, Corrupt.number}


@dataclass(frozen=True, slots=True, eq=False)
class StoreToken:
    """Token of a piece that is being stored."""

    fetch: Fetch
    piece_bytes: int
    size_bytes: int


@dataclass(frozen=True, slots=True, eq=False)
class ReadToken:
    """Token of a piece that is being read from a run held here."""

    fetch: Fetch


@dataclass(frozen=True, slots=True)
class _Asked:
    """A piece that was asked for."""

    fetch: Fetch
    peer: Peer
    deadline_ns: int


class Fetcher:
    """See the module's text."""

    def __init__(
        self,
        settings: WorkerSettings,
        numbers: Numbers,
    ) -> None:
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

    def on_deadline(self, now_ns: int) -> tuple[list[Action], list[RunsLost]]:
        """Ask what is due; also the runs that were given up."""
        overdue = [asked for asked in self._asked.values() if asked.deadline_ns <= now_ns]
        lost = self._fail(overdue, now_ns)
        actions: list[Action] = []
        for attempt, plan in self._plans.items():
            first = plan.question_due(now_ns)
            if first is not None:
                request = self._questions[attempt] = self._numbers.request()
                question = FindRuns(attempt.job, attempt.step, first)
                actions.append(Send(NAMENODE, question, request, b"", self._settings.namenode))
            actions += [self._ask(fetch, now_ns) for fetch in plan.begin(now_ns)]
        return actions, lost

    # What arrives.

    def located(self, request: int, found: RunLocations, now_ns: int) -> list[Action]:
        """The master's answer to a question."""
        for attempt, question in self._questions.items():
            if question == request:
                del self._questions[attempt]
                plan = self._plans[attempt]
                plan.located(found, now_ns)
                return [self._ask(fetch, now_ns) for fetch in plan.begin(now_ns)]
        return []

    def received(
        self, origin: Origin, data: RunData, payload: Payload, now_ns: int
    ) -> list[Action]:
        """A piece of a run."""
        asked = self._take(origin)
        if asked is None:
            return []
        asked.fetch.at_disk_ns = now_ns
        return [self._store(asked.fetch, payload, data.size_bytes, data.check)]

    def read(
        self, token: ReadToken, done: WorkDone, now_ns: int
    ) -> tuple[list[Action], list[RunsLost]]:
        """A piece of a run that lies here was read, or could not be."""
        fetch, piece = token.fetch, done.result
        plan = self._plans.get(fetch.attempt)
        if plan is None or not plan.is_active(fetch):
            return [], []
        fetch.at_disk_ns = now_ns
        if isinstance(piece, RunPiece):
            return [self._store(fetch, piece.payload, piece.size_bytes, piece.check)], []
        return [], self._lost(plan.failed(fetch, now_ns, gone=True), fetch)

    def refused(self, origin: Origin, failed: Failed, now_ns: int) -> list[RunsLost]:
        """A worker cannot give us a piece."""
        asked = self._take(origin)
        if asked is None:
            return []
        return self._fail([asked], now_ns, gone=failed.number in _GONE)

    def link_lost(self, peer: Peer, now_ns: int) -> list[RunsLost]:
        """Nothing more comes from this worker for now."""
        return self._fail([a for a in self._asked.values() if a.peer == peer], now_ns)

    def stored(
        self, token: StoreToken, error: Exception | None, now_ns: int
    ) -> tuple[list[Action], list[RunsLost]]:
        """A piece was stored, or could not be."""
        fetch = token.fetch
        plan = self._plans.get(fetch.attempt)
        if plan is None or not plan.is_active(fetch):
            return [], []
        fetch.at_disk_ns = None
        if isinstance(error, RunCorrupt):
            return [], self._lost(plan.failed(fetch, now_ns, gone=False), fetch)
        if error is not None:
            plan.postponed(fetch, now_ns)
            return [], []
        if plan.stored(fetch, token.piece_bytes, token.size_bytes):
            return [self._ask(fetch, now_ns)], []
        return [self._ask(begun, now_ns) for begun in plan.begin(now_ns)], []

    # Details.

    def _ask(self, fetch: Fetch, now_ns: int) -> Action:
        if fetch.source.worker == self._settings.name:
            fetch.at_disk_ns = now_ns
            work = ReadRun(fetch.run, fetch.attempt.index, fetch.offset)
            return self._numbers.work(ReadToken(fetch), work)
        peer = Peer(Role.WORKER, fetch.source.worker)
        request = self._numbers.request()
        self._asked[request] = _Asked(fetch, peer, now_ns + PIECE_TRY_NS)
        question = FetchRun(fetch.run, fetch.attempt.index, fetch.offset)
        near = fetch.source.host == self._settings.host
        endpoints = tuple(e for e in fetch.source.endpoints if near or not e.startswith("ipc:"))
        return Send(peer, question, request, b"", endpoints)

    def _store(self, fetch: Fetch, payload: Payload, size_bytes: int, check: int) -> Action:
        piece = StoreSegment(fetch.attempt, fetch.run, fetch.offset, size_bytes, check, payload)
        return self._numbers.work(StoreToken(fetch, len(payload), size_bytes), piece)

    def _take(self, origin: Origin) -> _Asked | None:
        asked = self._asked.get(origin.request)
        if asked is None or asked.peer != origin.peer:
            return None
        return self._asked.pop(origin.request)

    def _fail(self, tries: list[_Asked], now_ns: int, *, gone: bool = False) -> list[RunsLost]:
        """These tries failed; the runs that are given up because of it."""
        lost = []
        for asked in tries:
            for request in [r for r, known in self._asked.items() if known is asked]:
                del self._asked[request]
            plan = self._plans.get(asked.fetch.attempt)
            if plan is not None and plan.is_active(asked.fetch):
                lost += self._lost(plan.failed(asked.fetch, now_ns, gone=gone), asked.fetch)
        return lost

    @staticmethod
    def _lost(given_up: bool, fetch: Fetch) -> list[RunsLost]:
        return [RunsLost(fetch.attempt, (fetch.run,))] if given_up else []
