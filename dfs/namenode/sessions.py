"""Sessions and leases in time: who is alive, whose open files are discarded.

The log knows which sessions and leases exist; when they end is soft state. A sign
of life (RenewLease, or any change) moves both deadlines. After a restart of the
namenode everybody gets the full time again.

A change is answered once: its answer lies under (session, sequence) in the same
record as its effect, and a repetition gets that answer. A sequence below the
session's ``ack_below`` was answered and acknowledged; its repetition is a stray.
"""

from __future__ import annotations

from itertools import islice

from dfs.errors import BadArgument, PermissionDenied, SessionExpired
from dfs.limits import (
    SESSION_IDLE_NS,
    SESSION_KEEP_REPLIES,
    SESSION_OPEN_FILES_MAX,
    SESSIONS_ENDED_MAX,
)
from dfs.namenode.keys import (
    LeaseRow,
    SessionRow,
    get_row,
    load_row,
    number_key,
    number_of,
    pair_key,
)
from dfs.namenode.table import Table, scan_prefix
from dfs.wire.namespace import Change


class Sessions:
    """The deadlines of all sessions and of the leases they hold."""

    def __init__(self, lease_ns: int) -> None:
        self._lease_ns = lease_ns
        self._idle_ns = max(SESSION_IDLE_NS, lease_ns)
        self._seen: dict[int, int] = {}
        self._files: dict[int, dict[int, None]] = {}

    def restore(self, table: Table, now_ns: int) -> None:
        """After a start: every session and lease in the table begins its time anew."""
        for key, _ in scan_prefix(table, "sessions", b"", b"\0"):
            if len(key) == len(number_key(0)):
                self.open(number_of(key), now_ns)
        for key, value in scan_prefix(table, "leases", b"", b"\0"):
            self.hold(load_row(LeaseRow, value).session, number_of(key))

    def open(self, session: int, now_ns: int) -> None:
        """A session began."""
        self._seen[session] = now_ns

    def is_open(self, session: int) -> bool:
        """Is the session known?"""
        return session in self._seen

    def renew(self, session: int, now_ns: int) -> None:
        """A sign of life. Raises ``SessionExpired``."""
        if session not in self._seen:
            raise SessionExpired(f"session {session} is not known here any more")
        self._seen[session] = now_ns

    def end(self, session: int) -> list[int]:
        """Forget a session; returns the files it left open."""
        self._seen.pop(session, None)
        return list(self._files.pop(session, {}))

    def hold(self, session: int, inode: int) -> None:
        """A session writes a file."""
        self._files.setdefault(session, {})[inode] = None

    def check_room(self, session: int) -> None:
        """Raise ``BadArgument`` when a session has as many open files as it may have."""
        if len(self._files.get(session, {})) >= SESSION_OPEN_FILES_MAX:
            raise BadArgument(
                f"this client has {SESSION_OPEN_FILES_MAX} files open for writing: close some first"
            )

    def release(self, session: int, inode: int) -> None:
        """The file is closed or abandoned."""
        held = self._files.get(session, {})
        held.pop(inode, None)
        if not held:
            self._files.pop(session, None)

    def expired_leases(self, now_ns: int) -> list[tuple[int, int]]:
        """(session, inode) of files whose writer was silent for the lease time.

        Of one session at a time, so that no step grows long.
        """
        for session, files in self._files.items():
            if now_ns - self._seen.get(session, 0) >= self._lease_ns:
                return [(session, inode) for inode in files]
        return []

    def expired(self, now_ns: int) -> list[int]:
        """Sessions that were silent for so long that they end, some at a time."""
        ended = (s for s, seen in self._seen.items() if now_ns - seen >= self._idle_ns)
        return list(islice(ended, SESSIONS_ENDED_MAX))

    def next_deadline(self) -> int | None:
        """When the next lease or session may end."""
        times = [self._seen[s] + self._lease_ns for s in self._files if s in self._seen]
        times += [min(self._seen.values()) + self._idle_ns] if self._seen else []
        return min(times, default=None)


def earlier_answer(table: Table, change: Change, user: str) -> bytes | None:
    """The stored answer to a change that was made before; None when it is new.

    Raises ``SessionExpired`` for an unknown session and for a stray repetition, and
    ``PermissionDenied`` for somebody else's session.
    """
    row = get_row(table, "sessions", number_key(change.session), SessionRow)
    if row is None:
        raise SessionExpired(f"session {change.session} is not known here any more")
    if row.user != user:
        raise PermissionDenied(f"session {change.session} belongs to another user")
    if not 0 <= change.sequence - change.ack_below < SESSION_KEEP_REPLIES:
        raise BadArgument(
            f"request {change.sequence} is not among the {SESSION_KEEP_REPLIES} from the first "
            f"one whose answer is awaited, {change.ack_below}"
        )
    answer = table.get("sessions", pair_key(change.session, change.sequence))
    if answer is None and change.sequence < row.ack_below:
        raise SessionExpired(
            f"request {change.sequence} of session {change.session} was answered and forgotten"
        )
    return answer
