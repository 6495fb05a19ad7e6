"""Safe mode: after a start nothing is deleted or repaired on half the knowledge.

Reads and writes are served at once; a chunk that nobody reported yet is simply not
there yet, and its reader tries again. What waits is everything that acts on the
*absence* of replicas. Safe mode ends when every datanode that ever registered has
reported, or after a minute; in that case deletions wait ten minutes longer.
"""

from __future__ import annotations

from dfs.limits import SECOND_NS

WAIT_NS = 60 * SECOND_NS
DELETE_WAIT_NS = 600 * SECOND_NS


class SafeMode:
    """Knows when it began; is told who is still silent. It never comes back by itself."""

    def __init__(self, started_ns: int) -> None:
        self._ends_ns = started_ns + WAIT_NS
        self._deletes_ns = self._ends_ns + DELETE_WAIT_NS
        self.is_on = True
        self.may_delete = False

    def update(self, silent: list[str], now_ns: int) -> None:
        """``silent``: datanodes whose report is missing."""
        if self.is_on and (not silent or now_ns >= self._ends_ns):
            self.is_on = False
            self.may_delete = not silent
        elif not self.is_on and (not silent or now_ns >= self._deletes_ns):
            self.may_delete = True

    def next_deadline(self) -> int | None:
        """When it changes by itself."""
        if self.is_on:
            return self._ends_ns
        return None if self.may_delete else self._deletes_ns
