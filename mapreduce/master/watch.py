"""Who waits to hear from a job, and what has happened to it. Soft state, bounded.

An answer to a watcher is a report, and a report must show what was decided. So news only
marks the job; the answer is made at the next deadline, when the commands are applied.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from dfs.errors import Unavailable
from dfs.events import Now, Origin
from mapreduce.limits import EVENTS_KEPT, NEWS_MAX_CHARS, WATCH_MAX_NS, WATCHERS_MAX
from mapreduce.wire import JobEvent, WatchJob


@dataclass(frozen=True, slots=True)
class Watcher:
    """A request that is answered when there is news, or at its deadline (ns, monotonic)."""

    origin: Origin
    job: str
    cursor: int
    deadline_ns: int


class Watch:
    """The events of the running jobs and everybody who waits for some."""

    def __init__(self) -> None:
        self._events: dict[str, deque[JobEvent]] = {}
        self._watchers: list[Watcher] = []
        self._news: dict[str, None] = {}

    def tell(self, job: str, kind: str, text: str, now: Now) -> None:
        """Something happened to a job."""
        events = self._events.setdefault(job, deque(maxlen=EVENTS_KEPT))
        sequence = events[-1].sequence + 1 if events else 1
        events.append(JobEvent(sequence, now.wall_ns, kind, text))
        self._news[job] = None

    def since(self, job: str, cursor: int) -> tuple[tuple[JobEvent, ...], int]:
        """A page of the events after a cursor, and the cursor behind them. A cursor of an
        earlier master is beyond the end and sees everything."""
        events = self._events.get(job, ())
        last = events[-1].sequence if events else 0
        after = cursor if cursor <= last else 0
        page: list[JobEvent] = []
        room = NEWS_MAX_CHARS
        for event in events:
            if event.sequence > after and room > 0:
                page.append(event)
                room -= len(event.text)
        return tuple(page), page[-1].sequence if page else after

    def wait(self, origin: Origin, job: str, word: WatchJob, now: Now) -> None:
        """Answer this request later. Raises ``Unavailable`` when too many wait."""
        if len(self._watchers) >= WATCHERS_MAX:
            raise Unavailable(f"{WATCHERS_MAX} requests already wait for jobs; try again")
        deadline_ns = now.mono_ns + min(max(word.wait_ns, 0), WATCH_MAX_NS)
        self._watchers.append(Watcher(origin, job, word.cursor, deadline_ns))

    def gone(self, link: int) -> None:
        """A connection broke: nobody waits there any more."""
        self._watchers = [w for w in self._watchers if w.origin.link != link]

    def take_due(self, now: Now) -> list[Watcher]:
        """The watchers to answer now; they do not wait any more."""
        due = [w for w in self._watchers if w.job in self._news or w.deadline_ns <= now.mono_ns]
        if due:
            self._watchers = [w for w in self._watchers if w not in due]
        self._news.clear()
        return due

    def forget(self, job: str) -> None:
        """The rows of the job are gone; so are its events."""
        self._events.pop(job, None)

    def next_deadline(self) -> int | None:
        """When somebody is to be answered."""
        if any(w.job in self._news for w in self._watchers):
            return 0
        return min((w.deadline_ns for w in self._watchers), default=None)
