"""The clock that a core goes by: it stands still while the process does not run.

A process may be stopped, its machine paused, its disk hang. What others say to it meanwhile waits
in sockets, or is said again later. If that time counted, the first thing after it would be to end
the leases of writers that live and to take nodes that live for dead. So of the time between two
steps no more than ``AWAKE_MAX_NS`` counts: everybody's deadlines move by the rest.

That needs steps at least as often, so while anything is due some time the next step is due after
``AWAKE_LOOK_NS``. While nothing is, no time needs to pass.

The clock is never ahead of that of the machine and never goes back. Nothing in a namenode is
unsafe because it comes late; another process may count on nothing that ends by this clock.
"""

from __future__ import annotations

from dfs.events import Now
from dfs.limits import AWAKE_LOOK_NS, AWAKE_MAX_NS


class AwakeClock:
    """Turns the machine's monotonic time into the core's, and deadlines back."""

    def __init__(self) -> None:
        self._seen_ns: int | None = None
        self._slept_ns = 0

    def read(self, now: Now) -> Now:
        """The core's time, at the beginning of a step. The wall clock is left alone."""
        if self._seen_ns is not None:
            self._slept_ns += max(0, now.mono_ns - self._seen_ns - AWAKE_MAX_NS)
        self._seen_ns = now.mono_ns
        return Now(now.mono_ns - self._slept_ns, now.wall_ns)

    def until(self, deadline: int | None) -> int | None:
        """When the machine has to run the next step for a deadline of the core's time."""
        if deadline is None or self._seen_ns is None:
            return deadline
        return min(deadline + self._slept_ns, self._seen_ns + AWAKE_LOOK_NS)
