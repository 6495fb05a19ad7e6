"""The core before the verdict on the view: what it refuses, and what the verdict means.

After an unclean end a row may be hidden by damage (``dfs.namenode.view_check``). So until the view
is known to be sound nothing is logged, and nobody is told that something is over because a row
was not found: not his session, not his lease.
"""

from __future__ import annotations

from dfs.errors import Corrupt, Unavailable
from dfs.events import Note, WorkDone
from dfs.namenode.safemode import CHECKING
from dfs.namenode.sessions import Sessions
from dfs.wire.codec import Message
from dfs.wire.namespace import Change, CloseSession, OpenSession, RenewLease


def refuse(sessions: Sessions, message: Message, now_ns: int) -> None:
    """Raise ``Unavailable`` for what has to wait; a sign of life counts all the same."""
    match message:
        case RenewLease() if sessions.is_open(message.session):
            sessions.renew(message.session, now_ns)
            if message.inode:
                raise Unavailable(CHECKING)
        case Change() | OpenSession() | RenewLease() | CloseSession():
            raise Unavailable(CHECKING)
        case _:
            pass


def heed(verdict: WorkDone) -> Note:
    """What to note when the view is sound; raises what ends the process when it is not, or when
    nobody knows."""
    if verdict.error is not None:
        raise verdict.error
    if verdict.result:
        raise Corrupt(
            f"the view is damaged ({verdict.result}): the next start makes it again from a"
            " snapshot and the log"
        )
    return Note("the metadata were checked after an unclean stop: they are sound")
