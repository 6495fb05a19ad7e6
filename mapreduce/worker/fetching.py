"""What a reduce attempt still has to fetch, and when: one segment of the run of each map.

A map's segment goes through these states; ``WHOLE`` is the last::

    MISSING --located--> WAITING --begin--> ACTIVE --all pieces stored--> WHOLE
       ^                    ^                 |
       |                    +--- pause -------+  a try failed
       +----- run lost -----------------------+  the last try failed, or the run is gone

* At most ``FETCHES_MAX`` segments are active. An active one has one piece under way; after a
  failed try it begins anew at byte 0.
* A run that was given up is reported, and left alone for ``GIVEN_UP_NS``. By then the master
  names another attempt's run, or the same one because its holder came back with it, and then
  it is tried again. To refuse it for ever could mean to wait for ever.
* The master is asked in pages from the lowest missing map on, and again after a pause for as
  long as maps are missing. One question is open at a time.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush

from dfs.limits import MS_NS, SECOND_NS
from mapreduce.wire import AttemptId, RunLocations, TaskKind, WorkerAddress

FETCHES_MAX = 5
FETCH_TRIES_MAX = 4
FETCH_PAUSE_NS = 250 * MS_NS
FIND_PAUSE_NS = 200 * MS_NS
FIND_TRY_NS = 5 * SECOND_NS
GIVEN_UP_NS = 5 * SECOND_NS


@dataclass(slots=True)
class Fetch:
    """One segment on its way to one attempt; ``at_disk_ns`` is since when the disk here is to take
    or to give a piece of it."""

    attempt: AttemptId
    run: AttemptId
    source: WorkerAddress
    offset: int = 0
    tries: int = 0
    at_disk_ns: int | None = None


@dataclass(slots=True)
class FetchPlan:
    """The fetches of one reduce attempt over ``map_count`` maps."""

    attempt: AttemptId
    map_count: int
    _missing: set[int] = field(init=False)
    _ready: deque[Fetch] = field(init=False, default_factory=deque)
    _paused: list[tuple[int, int, Fetch]] = field(init=False, default_factory=list)
    """A heap of when a try may begin, map and fetch."""
    _active: dict[int, Fetch] = field(init=False, default_factory=dict)
    _given_up: dict[AttemptId, int] = field(init=False, default_factory=dict)
    """Runs that were given up, with the time until which they are left alone."""
    _find_first: int = field(init=False, default=0)
    _find_at_ns: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._missing = set(range(self.map_count))

    @property
    def complete(self) -> bool:
        """Is every segment there?"""
        return not (self._missing or self._ready or self._paused or self._active)

    def waits_for_disk(self, since_ns: int) -> bool:
        """Has the disk here had a piece since then, or for longer?"""
        at_disk = (fetch.at_disk_ns for fetch in self._active.values())
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
                source = found.workers[place.worker]
                self._ready.append(Fetch(self.attempt, run, source))
        last_page = found.next >= self.map_count
        self._find_first = 0 if last_page else found.next
        self._find_at_ns = now_ns + FIND_PAUSE_NS if last_page else now_ns

    def begin(self, now_ns: int) -> list[Fetch]:
        """The fetches whose next try begins now; ask for their first pieces."""
        while self._paused and self._paused[0][0] <= now_ns:
            self._ready.append(heappop(self._paused)[2])
        begun = []
        while self._ready and len(self._active) < FETCHES_MAX:
            fetch = self._ready.popleft()
            self._active[fetch.run.index] = fetch
            begun.append(fetch)
        return begun

    def is_active(self, fetch: Fetch) -> bool:
        """Is this fetch still under way? What arrives for others is dropped."""
        return self._active.get(fetch.run.index) is fetch

    def stored(self, fetch: Fetch, piece_bytes: int, size_bytes: int) -> bool:
        """A piece is stored; True when more of the segment is to be fetched."""
        fetch.offset += piece_bytes
        if fetch.offset < size_bytes and piece_bytes:
            return True
        del self._active[fetch.run.index]
        return False

    def failed(self, fetch: Fetch, now_ns: int, *, gone: bool) -> bool:
        """A try failed; ``gone``: the run is not there or damaged. True when it is given up."""
        del self._active[fetch.run.index]
        fetch.tries += 1
        if gone or fetch.tries >= FETCH_TRIES_MAX:
            self._given_up[fetch.run] = now_ns + GIVEN_UP_NS
            self._missing.add(fetch.run.index)
            return True
        self._put_back(fetch, now_ns + FETCH_PAUSE_NS * fetch.tries)
        return False

    def postponed(self, fetch: Fetch, now_ns: int) -> None:
        """Nobody is at fault, it is only too early: try again after a moment."""
        del self._active[fetch.run.index]
        self._put_back(fetch, now_ns + FETCH_PAUSE_NS)

    def next_deadline(self) -> int | None:
        """When something is due again."""
        times = [self._find_at_ns] if self._missing else []
        if len(self._active) < FETCHES_MAX:
            times += [at_ns for at_ns, _, _ in self._paused[:1]]
            times += [0] if self._ready else []
        return min(times, default=None)

    def _put_back(self, fetch: Fetch, not_before_ns: int) -> None:
        again = Fetch(fetch.attempt, fetch.run, fetch.source, tries=fetch.tries)
        heappush(self._paused, (not_before_ns, fetch.run.index, again))
