"""How fast work of known size may go to each of several receivers.

The generic cell rate algorithm (ITU-T I.371): work takes its time on the receiver's
account, and more may go as long as the account is not in the future. A receiver that
got nothing for a while may get a burst of ``BURST_NS``, and one piece may be larger.
"""

from __future__ import annotations

from dfs.limits import SECOND_NS

BURST_NS = SECOND_NS


class Pace:
    """Accounts of the receivers, by name."""

    def __init__(self, bytes_per_second: int) -> None:
        self._bytes_per_second = bytes_per_second
        self._free_ns: dict[str, int] = {}

    def may_go(self, receiver: str, now_ns: int) -> bool:
        """May this receiver get more now?"""
        return self._free_ns.get(receiver, 0) <= now_ns

    def spend(self, receiver: str, size_bytes: int, now_ns: int) -> None:
        """Work of this size goes to the receiver."""
        begin_ns = max(self._free_ns.get(receiver, 0), now_ns - BURST_NS)
        self._free_ns[receiver] = begin_ns + size_bytes * SECOND_NS // self._bytes_per_second
