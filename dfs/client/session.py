"""The changes of one session: their numbers, and which answers are still awaited."""

from __future__ import annotations

from dfs.limits import SESSION_KEEP_REPLIES


class Session:
    """One session and the changes in it that still wait for their answers.

    Its open files are lost when nothing is heard of it for ``lease_ns``.
    """

    def __init__(self, number: int, lease_ns: int) -> None:
        self.number = number
        self.lease_ns = lease_ns
        self._next = 1
        self._open: dict[int, None] = {}

    @property
    def ack_below(self) -> int:
        """Every change below this one was answered."""
        return next(iter(self._open), self._next)

    @property
    def full(self) -> bool:
        """Would one more change be more than the namenode keeps answers for?"""
        return self._next - self.ack_below >= SESSION_KEEP_REPLIES

    def begin(self) -> int:
        """The sequence number of a new change."""
        sequence, self._next = self._next, self._next + 1
        self._open[sequence] = None
        return sequence

    def end(self, sequence: int) -> None:
        """The change was answered, or nobody waits for its answer any more."""
        del self._open[sequence]
