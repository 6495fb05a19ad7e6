"""What a reduce attempt still has to fetch, and when: one segment of the run of each map.

A map's segment goes through these states; ``WHOLE`` is the last::

    MISSING --located--> WAITING --begin--> FETCHED --stored--> WHOLE
       ^                  ^   ^                |
       |                  |   +-- no room -----+  the answer was full before
       |                  +------ pause -------+  a try failed
       +------- run lost ----------------------+  the last try failed, or the run is gone

* A *fetch* is one request to one worker, for segments of many of its runs. At most
  ``FETCHES_MAX`` are under way. The answer has whole segments, as many as there is room for, or a
  piece of one that is larger: then the fetch goes on with that one alone.
* A fetch names as many runs as should fill an answer, by the mean size of the segments seen so
  far; before the first, those that wait are spread over the free fetches.
* A fetch that failed is a failed try of each run that it named, which begins anew at byte 0. With
  its tries the number of runs that are named together falls, and the last two name one alone: a
  run is not given up since another one hinders its holder, and one broken link costs each one try.
* A run that was given up is reported, and left alone for ``GIVEN_UP_NS``. By then the master
  names another attempt's run, or the same one because its holder came back with it, and then
  it is tried again. To refuse it for ever could mean to wait for ever.
* The master is asked in pages from the lowest missing map on, and again after a pause for as
  long as maps are missing. One question is open at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

from dfs.limits import MS_NS, SECOND_NS
from mapreduce.limits import FETCH_MAX_BYTES, FETCHES_MAX, RUNS_PER_FETCH_MAX
from mapreduce.wire import AttemptId, RunLocations, RunsData, SegmentPiece, TaskKind, WorkerAddress

RUNS_BY_TRIES = (RUNS_PER_FETCH_MAX, 10, 1, 1)
"""How many runs a fetch names at most, by the tries that they have behind them."""
FETCH_TRIES_MAX = len(RUNS_BY_TRIES)
FETCH_PAUSE_NS = 250 * MS_NS
FIND_PAUSE_NS = 200 * MS_NS
FIND_TRY_NS = 5 * SECOND_NS
GIVEN_UP_NS = 5 * SECOND_NS


@dataclass(frozen=True, slots=True)
class Wanted:
    """The segment of one run: who holds the run, and how often it was tried."""

    run: AttemptId
    source: WorkerAddress
    tries: int = 0


@dataclass(slots=True, eq=False)
class Fetch:
    """Segments on their way to one attempt, by map; of the first one from byte ``offset`` on.
    ``at_disk_ns`` is since when the disk here is to take or to give them."""

    attempt: AttemptId
    source: WorkerAddress
    wanted: dict[int, Wanted]
    offset: int = 0
    at_disk_ns: int | None = None

    @property
    def runs(self) -> tuple[AttemptId, ...]:
        """The runs that it is about."""
        return tuple(wanted.run for wanted in self.wanted.values())

    def is_answered_by(self, data: RunsData, payload_bytes: int) -> bool:
        """Is this an answer to what was asked?"""
        named = [*(piece.map for piece in data.pieces), *data.gone]
        is_known = len(set(named)) == len(named) and self.wanted.keys() >= set(named)
        sizes = [piece.piece_bytes for piece in data.pieces]
        return bool(named) and is_known and sum(sizes) == payload_bytes and self._fit(data.pieces)

    def _fit(self, pieces: Sequence[SegmentPiece]) -> bool:
        """Is each piece the end of its segment, or alone and the next one?"""
        first = next(iter(self.wanted))
        for piece in pieces:
            begin = self.offset if piece.map == first else 0
            end = begin + piece.piece_bytes
            is_next = len(pieces) == 1 and begin < end < piece.size_bytes
            if not is_next and not begin <= end == piece.size_bytes:
                return False
        return True


@dataclass(slots=True)
class FetchPlan:
    """The fetches of one reduce attempt over ``map_count`` maps."""

    attempt: AttemptId
    map_count: int
    _missing: set[int] = field(init=False)
    _waiting: dict[tuple[WorkerAddress, int], deque[Wanted]] = field(
        init=False, default_factory=dict
    )
    """By holder and tries; those that come first have their turn."""
    _paused: list[tuple[int, int, Wanted]] = field(init=False, default_factory=list)
    """A heap of when a try may begin, map and segment."""
    _active: list[Fetch] = field(init=False, default_factory=list)
    _given_up: dict[AttemptId, int] = field(init=False, default_factory=dict)
    """Runs that were given up, with the time until which they are left alone."""
    _seen: int = field(init=False, default=0)
    _seen_bytes: int = field(init=False, default=0)
    """Of how many segments the size was seen, and what they have together."""
    _find_first: int = field(init=False, default=0)
    _find_at_ns: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._missing = set(range(self.map_count))

    @property
    def complete(self) -> bool:
        """Is every segment there?"""
        return not (self._missing or self._waiting or self._paused or self._active)

    def waits_for_disk(self, since_ns: int) -> bool:
        """Has the disk here had a piece since then, or for longer?"""
        at_disk = (fetch.at_disk_ns for fetch in self._active)
        return any(began_ns is not None and began_ns <= since_ns for began_ns in at_disk)

    def question_due(self, now_ns: int) -> int | None:
        """From which map on the master is to be asked now; None: not now.

        The question counts as asked. Without an answer it is due again after ``FIND_TRY_NS``.
        """
        if not self._missing or now_ns < self._find_at_ns:
            return None
        self._find_at_ns = now_ns + FIND_TRY_NS
        return self._find_first or min(self._missing)

    def located(self, found: RunLocations, now_ns: int) -> None:
        """The answer to a question: these runs lie there."""
        for place in found.runs:
            run = AttemptId(
                self.attempt.job, self.attempt.step, TaskKind.MAP, place.map, place.attempt
            )
            if place.map in self._missing and now_ns >= self._given_up.get(run, 0):
                self._missing.remove(place.map)
                self._wait(Wanted(run, found.workers[place.worker]))
        last_page = found.next >= self.map_count
        self._find_first = 0 if last_page else found.next
        self._find_at_ns = now_ns + FIND_PAUSE_NS if last_page else now_ns

    def begin(self, now_ns: int) -> list[Fetch]:
        """The fetches that begin now; ask for them."""
        while self._paused and self._paused[0][0] <= now_ns:
            self._wait(heappop(self._paused)[2])
        begun = []
        while self._waiting and len(self._active) < FETCHES_MAX:
            fetch = self._next_fetch()
            self._active.append(fetch)
            begun.append(fetch)
        return begun

    def is_active(self, fetch: Fetch) -> bool:
        """Is this fetch still under way? What arrives for others is dropped."""
        return fetch in self._active

    def answered(self, fetch: Fetch, data: RunsData, now_ns: int) -> tuple[AttemptId, ...]:
        """Pieces have come and are to be stored; the fetch is over if there are none. Returns the
        runs that are gone; what had no room waits again."""
        gone = [fetch.wanted.pop(index) for index in data.gone]
        if not fetch.offset:
            self._seen += len(data.pieces)
            self._seen_bytes += sum(piece.size_bytes for piece in data.pieces)
        came = {piece.map: fetch.wanted.pop(piece.map) for piece in data.pieces}
        for wanted in reversed(fetch.wanted.values()):
            self._waiting.setdefault((wanted.source, wanted.tries), deque()).appendleft(wanted)
        fetch.wanted = came
        fetch.at_disk_ns = now_ns
        if not came:
            self._active.remove(fetch)
        return self._give_up(gone, now_ns)

    def stored(self, fetch: Fetch, data: RunsData) -> bool:
        """What has come is stored; True when more of its only segment is to be fetched."""
        fetch.at_disk_ns = None
        fetch.offset += data.pieces[0].piece_bytes
        if len(data.pieces) == 1 and fetch.offset < data.pieces[0].size_bytes:
            return True
        self._active.remove(fetch)
        return False

    def failed(self, fetch: Fetch, now_ns: int) -> tuple[AttemptId, ...]:
        """A fetch failed: the runs that are given up, since this was their last try."""
        self._active.remove(fetch)
        lost = []
        for wanted in fetch.wanted.values():
            tries = wanted.tries + 1
            if tries < FETCH_TRIES_MAX:
                again = Wanted(wanted.run, wanted.source, tries)
                self._pause(again, now_ns + FETCH_PAUSE_NS * tries)
            else:
                lost.append(wanted)
        return self._give_up(lost, now_ns)

    def postponed(self, fetch: Fetch, now_ns: int) -> None:
        """Nobody is at fault, it is only too early: try again after a moment."""
        self._active.remove(fetch)
        for wanted in fetch.wanted.values():
            self._pause(wanted, now_ns + FETCH_PAUSE_NS)

    def next_deadline(self) -> int | None:
        """When something is due again."""
        times = [self._find_at_ns] if self._missing else []
        if len(self._active) < FETCHES_MAX:
            times += [at_ns for at_ns, _, _ in self._paused[:1]]
            times += [0] if self._waiting else []
        return min(times, default=None)

    # Details.

    def _next_fetch(self) -> Fetch:
        """Of those that have their turn; what is left of them has it again behind the others."""
        most = self._expected_to_fit()
        key = source, tries = next(iter(self._waiting))
        waiting = self._waiting.pop(key)
        count = min(len(waiting), most, RUNS_BY_TRIES[tries])
        taken = [waiting.popleft() for _ in range(count)]
        if waiting:
            self._waiting[key] = waiting
        return Fetch(self.attempt, source, {wanted.run.index: wanted for wanted in taken})

    def _expected_to_fit(self) -> int:
        """How many runs one fetch should name."""
        if self._seen_bytes:
            return max(1, FETCH_MAX_BYTES * self._seen // self._seen_bytes)
        waiting = sum(map(len, self._waiting.values()))
        return -(-waiting // (FETCHES_MAX - len(self._active)))

    def _wait(self, wanted: Wanted) -> None:
        self._waiting.setdefault((wanted.source, wanted.tries), deque()).append(wanted)

    def _pause(self, wanted: Wanted, not_before_ns: int) -> None:
        heappush(self._paused, (not_before_ns, wanted.run.index, wanted))

    def _give_up(self, lost: Iterable[Wanted], now_ns: int) -> tuple[AttemptId, ...]:
        runs = tuple(wanted.run for wanted in lost)
        for run in runs:
            self._given_up[run] = now_ns + GIVEN_UP_NS
            self._missing.add(run.index)
        return runs
