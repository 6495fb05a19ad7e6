"""Who waits to hear from a job. Soft state, bounded.

An answer to a watcher is a report with events, and both must show what was decided. So news only
marks the job; the answer is made at the next deadline, when the commands are applied.
"""

from __future__ import annotations

from dataclasses import dataclass

from dfs.errors import Unavailable
from dfs.events import Now, Origin
from mapreduce.limits import WATCH_MAX_NS, WATCHERS_MAX

NEWS = frozenset(
    {
        "state",
        "attempt_failed",
        "attempt_lost",
        "attempt_killed",
        "map_output_lost",
        "part_lost",
        "worker_avoided",
    }
)
"""The kinds of events that a watcher is woken for; the others are the daily round of a job."""


@dataclass(frozen=True, slots=True)
class Watcher:
    """A request that is answered when there is news, or at its deadline (ns, monotonic)."""

    origin: Origin
    job: str
    cursor: int
    deadline_ns: int


class Watch:
    """Everybody who waits for something to happen to a job."""

    def __init__(self) -> None:
        self._watchers: list[Watcher] = []
        self._news: dict[str, None] = {}

    def wake(self, job: str) -> None:
        """There is news of a job."""
        self._news[job] = None

    def wait(self, origin: Origin, job: str, cursor: int, wait_ns: int, now: Now) -> None:
        """Answer this request later. Raises ``Unavailable`` when too many wait."""
        if len(self._watchers) >= WATCHERS_MAX:
            raise Unavailable(f"{WATCHERS_MAX} requests already wait for jobs; try again")
        deadline_ns = now.mono_ns + min(max(wait_ns, 0), WATCH_MAX_NS)
        self._watchers.append(Watcher(origin, job, cursor, deadline_ns))

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

    def next_deadline(self) -> int | None:
        """When somebody is to be answered."""
        if any(w.job in self._news for w in self._watchers):
            return 0
        return min((w.deadline_ns for w in self._watchers), default=None)
