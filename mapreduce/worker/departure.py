"""How a worker leaves that was told to end.

It says so (``WorkerDrains``), and from then on gets nothing new. It stays for as long as that is
of use: while something runs, while a report has no answer, while somebody fetches map output. Then
it says goodbye (``WorkerLeaves``), and what it still runs or holds is run elsewhere at once, which
counts against nobody.

It stays at most ``DEPARTURE_MAX_NS``, which is less than what it has until somebody kills it
(``dfs.local.launch.STOP_GRACE_NS``). Without a link to its master it goes at once: then a whole
cluster is going down, or nobody could be told what ends here.
"""

from __future__ import annotations

from dfs.limits import SECOND_NS

DEPARTURE_MAX_NS = 5 * SECOND_NS
FETCHES_OVER_NS = 1 * SECOND_NS
"""Somebody who still fetches asks for the next piece within this time."""


class Departure:
    """See the module's text. Times are monotonic, in ns."""

    def __init__(self) -> None:
        self._until_ns: int | None = None
        self._fetched_ns = 0

    def begin(self, now_ns: int) -> None:
        """The process was told to end; who fetches now has a moment to ask again."""
        self._until_ns = now_ns + DEPARTURE_MAX_NS
        self._fetched_ns = now_ns

    def fetched(self, now_ns: int) -> None:
        """Somebody asked for map output."""
        self._fetched_ns = now_ns

    def is_over(self, *, is_up: bool, is_busy: bool, holds_runs: bool, now_ns: int) -> bool:
        """May the worker go? ``is_busy``: it runs something, or has a report without an answer."""
        assert self._until_ns is not None, "nobody told this worker to end"
        if not is_up or now_ns >= self._until_ns:
            return True
        is_fetched_from = holds_runs and now_ns - self._fetched_ns < FETCHES_OVER_NS
        return not (is_busy or is_fetched_from)
