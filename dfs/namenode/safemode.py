"""Safe mode: after a start nothing is deleted or repaired on half the knowledge.

Reads and writes are served at once; a chunk that nobody reported yet is simply not
there yet, and its reader tries again. What waits is everything that acts on the
*absence* of replicas. Safe mode ends by itself

* when every datanode that ever registered has reported, or
* after 30 s, if every chunk of a closed file has a replica by then, or
* after a minute, whatever is missing.

In the last two cases deletions wait ten minutes longer, or until all have reported.

After an unclean end it lasts at least until the metadata are known to be sound, and is read-only
so long: nothing may follow from what is only hidden (``dfs.namenode.view_check``).

Somebody may also switch it on: then it is read-only, and lasts until it is switched off
or the namenode restarts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dfs.limits import SECOND_NS

CHECK_AFTER_NS = 30 * SECOND_NS
WAIT_NS = 60 * SECOND_NS
DELETE_WAIT_NS = 600 * SECOND_NS
READ_ONLY = "safe mode was switched on: nothing can be changed until 'minidfs admin safemode leave'"
CHECKING = (
    "safe mode: checking the metadata after an unclean stop, nothing can be changed until that is"
    " done"
)
_NAMED_MAX = 5


@dataclass(frozen=True, slots=True)
class CheckView:
    """Work, and its token: check the view. Its result is what is wrong with it, "" if nothing."""


class SafeMode:
    """Knows when it began; is told who is still silent and which chunks have no replica.

    ``is_manual``: somebody switched it on. ``is_checking``: the metadata may be damaged.
    ``may_delete``: deletions are safe.
    """

    def __init__(self, started_ns: int, *, is_checking: bool = False) -> None:
        self._check_ns = started_ns + CHECK_AFTER_NS
        self._ends_ns = started_ns + WAIT_NS
        self._deletes_ns = self._ends_ns + DELETE_WAIT_NS
        self._is_starting = True
        self._knows_all = False
        self._silent: Sequence[str] = ()
        self._missing: int | None = None
        self._named: Sequence[int] = ()
        self.is_manual = False
        self.is_checking = is_checking

    @property
    def is_on(self) -> bool:
        """Is nothing repaired or deleted?"""
        return self._is_starting or self.is_manual or self.is_checking

    @property
    def may_delete(self) -> bool:
        """May replicas be deleted?"""
        return self._knows_all and not self.is_on

    def enter(self) -> None:
        """Switch it on."""
        self.is_manual = True

    def leave(self) -> None:
        """Switch it off, even if it was about to end by itself; a check ends it only when done."""
        self.is_manual = self._is_starting = False

    def checked(self) -> None:
        """The metadata are sound."""
        self.is_checking = False

    def wants_check(self, now_ns: int) -> bool:
        """Is it time to find out which chunks have no replica?"""
        return self._is_starting and now_ns >= self._check_ns

    def update(
        self,
        silent: Sequence[str],
        now_ns: int,
        missing: int | None = None,
        named: Sequence[int] = (),
    ) -> None:
        """What is known now.

        ``silent``: datanodes whose report is missing. ``missing``: how many chunks of closed
        files have no replica, None before that was found out; ``named``: some of them.
        """
        self._silent, self._missing, self._named = silent, missing, named
        is_whole = missing == 0 and now_ns >= self._check_ns
        if not silent or is_whole or now_ns >= self._ends_ns:
            self._is_starting = False
        if not silent or now_ns >= self._deletes_ns:
            self._knows_all = True

    def text(self) -> str:
        """Why it is on, and what ends it; empty when it is off."""
        if self.is_manual:
            return READ_ONLY
        if self.is_checking:
            return CHECKING
        if not self._is_starting:
            return ""
        text = f"safe mode: waiting for the reports of {', '.join(self._silent)}"
        if self._missing:
            chunks = ", ".join(str(chunk) for chunk in self._named[:_NAMED_MAX])
            more = ", …" if self._missing > _NAMED_MAX else ""
            have = "1 chunk has" if self._missing == 1 else f"{self._missing} chunks have"
            text += f"; {have} no replica yet ({chunks}{more})"
        return text

    @property
    def check_ns(self) -> int | None:
        """When it has to be found out which chunks have no replica; None: not any more."""
        return self._check_ns if self._is_starting else None

    def next_deadline(self) -> int | None:
        """When it changes by itself."""
        if self._is_starting:
            return self._ends_ns
        return None if self._knows_all else self._deletes_ns
