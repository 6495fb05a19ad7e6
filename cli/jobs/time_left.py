"""How long a job will still take, from how fast it went.

The time left by the rate since the beginning, smoothed: what is shown counts down with the clock
and moves towards a new estimate by a part of the difference, the more the longer ago the last
one was. So a slow task moves it within ``SMOOTH_NS`` and none makes it jump.
"""

from __future__ import annotations

from dfs.limits import SECOND_NS

KNOWN_AFTER_NS = 5 * SECOND_NS
KNOWN_FROM = 0.02
SMOOTH_NS = 20 * SECOND_NS


class TimeLeft:
    """Takes in the fraction that is done (0 to 1) at moments (ns, monotonic)."""

    def __init__(self) -> None:
        self._began: tuple[int, float] | None = None
        self._shown: tuple[int, int] | None = None

    def estimate(self, done: float, now_ns: int) -> int | None:
        """The time left (ns); None until it is known."""
        if self._began is None or done < self._began[1]:
            self._began, self._shown = (now_ns, done), None
        began_ns, at_first = self._began
        took_ns, went = now_ns - began_ns, done - at_first
        if took_ns < KNOWN_AFTER_NS or went < KNOWN_FROM:
            return None
        left_ns = int((1 - done) * took_ns / went)
        if self._shown is not None:
            then_ns, shown_ns = self._shown
            passed_ns = now_ns - then_ns
            counted_ns = max(0, shown_ns - passed_ns)
            part = min(1.0, passed_ns / SMOOTH_NS)
            left_ns = int(counted_ns + part * (left_ns - counted_ns))
        self._shown = (now_ns, left_ns)
        return left_ns
