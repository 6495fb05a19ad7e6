"""Actions that wait until the log is safe enough, in the order of the records they may tell of.

Everything that a step releases is synced on this machine. While the log must also be on other
machines, what clients and workers are told waits for that, answers to reads too, since they may
have seen a record that could still be lost together with this machine; so do orders that destroy.
What datanodes are told otherwise goes out at once: without it none could become a keeper of
the log. So do words that tell nothing of the log: the status, and that something must be
asked again later.

While changes cannot be answered, they are refused before they are decided, and so is
every question once an answer would have to wait.
"""

from __future__ import annotations

from collections import deque

from dfs.errors import Unavailable
from dfs.events import Action, Event, Hangup, Note, Received, Reply, Role, Send, Work
from dfs.limits import WITHHELD_MAX_ACTIONS
from dfs.namenode.module import LogCopies
from dfs.wire.common import Failed, Ping
from dfs.wire.namespace import GetStatus, Status
from dfs.wire.node import DeleteReplicas

CROWDED = "too many requests wait for the log to be kept on other machines: try again"


class Withheld:
    """A queue of (record, action); records never fall from one to the next."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, Action]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def hold(self, index: int, actions: list[Action]) -> list[Action]:
        """Hold what may tell of records up to ``index``; the rest comes back."""
        passed = []
        for action in actions:
            if _may_pass(action):
                passed.append(action)
            else:
                self._waiting.append((index, action))
        return passed

    def release(self, agreed_index: int) -> list[Action]:
        """What waited for records up to this one."""
        actions: list[Action] = []
        while self._waiting and self._waiting[0][0] <= agreed_index:
            actions.append(self._waiting.popleft()[1])
        return actions

    def refusal(self, event: Event, copies: LogCopies) -> Reply | None:
        """The answer to a request whose answer would wait for nobody knows how long."""
        if not self._waiting or not isinstance(event, Received):
            return None
        crowded = len(self._waiting) >= WITHHELD_MAX_ACTIONS
        role = event.origin.peer.role
        if role is Role.DATANODE or isinstance(event.message, GetStatus | Ping):
            return None
        if crowded or (copies.shortage and role is Role.CLIENT):
            text = copies.shortage or CROWDED
            return Reply(event.origin, Failed.of(Unavailable(text)))
        return None


def _may_pass(action: Action) -> bool:
    match action:
        case Reply(message=Status()) | Note() | Hangup() | Work():
            return True
        case Reply(message=Failed(number=Unavailable.number)):
            return True
        case Reply():
            return action.origin.peer.role is Role.DATANODE
        case Send():
            to_datanode = action.to.role is Role.DATANODE
            return to_datanode and not isinstance(action.message, DeleteReplicas)
