"""What happened in a simulation: the last lines, and a digest over all of them.

Two runs are the same when their digests are.
"""

from __future__ import annotations

from collections import deque
from hashlib import blake2b

KEPT_LINES = 50


class Trace:
    """One line per event."""

    def __init__(self) -> None:
        self.count = 0
        self._digest = blake2b(digest_size=16)
        self._last: deque[str] = deque(maxlen=KEPT_LINES)

    def add(self, now_ns: int, where: str, what: str) -> None:
        """Note what happened at a process; ``now_ns`` is virtual time."""
        line = f"{now_ns / 1e9:12.6f} {where:12} {what}"
        self.count += 1
        self._last.append(line)
        self._digest.update(line.encode())

    def digest(self) -> str:
        """The digest so far."""
        return self._digest.hexdigest()

    def last_lines(self) -> str:
        """The newest lines."""
        return "\n".join(self._last)
