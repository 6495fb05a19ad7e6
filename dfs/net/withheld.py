"""Actions that wait until the log is safe enough, in the order of the records they may tell of.

Everything that a step releases is synced on this machine. While the log must also be on other
machines, what clients and workers are told waits for that, answers to questions too, since they
may have seen a record that could still be lost together with this machine; so do orders that
destroy. What datanodes are told otherwise goes out at once: without it none could become a keeper
of the log. So do words that tell nothing of the log: the status, and that something must be
asked again later.

While too few machines keep the log, nobody knows how long that would be. Then changes are refused
before they are decided, and questions are answered with what is synced here: files can be read
while a machine is away.
"""

from __future__ import annotations

from collections import deque

from dfs.errors import Unavailable
from dfs.events import Action, Decision, Event, Hangup, Note, Received, Reply, Role, Send, Work
from dfs.limits import WITHHELD_MAX_ACTIONS
from dfs.namenode.module import ALONE, LogCopies
from dfs.wire.common import Failed, Ping
from dfs.wire.namespace import Change, GetStatus, Status
from dfs.wire.node import DeleteReplicas

CROWDED = "too many requests wait for the log to be kept on other machines: try again"


class Withheld:
    """Queues of (record, action); records never fall from one to the next. Answers to questions
    have one of their own."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, Action]] = deque()
        self._answers: deque[tuple[int, Action]] = deque()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._answers)

    def hold(self, index: int, actions: list[Action], *, of_question: bool = False) -> list[Action]:
        """Hold what may tell of records up to ``index``; the rest comes back."""
        queue = self._answers if of_question else self._waiting
        passed = []
        for action in actions:
            if _may_pass(action):
                passed.append(action)
            else:
                queue.append((index, action))
        return passed

    def release(self, agreed_index: int, copies: LogCopies = ALONE) -> list[Action]:
        """What waited for records up to this one, and what need not wait in a shortage."""
        actions: list[Action] = []
        for queue in (self._waiting, self._answers):
            at_once = queue is self._answers and copies.shortage
            while queue and (at_once or queue[0][0] <= agreed_index):
                actions.append(queue.popleft()[1])
        return actions

    def refusal(self, event: Event, copies: LogCopies) -> Reply | None:
        """The answer to a request for whose answer there is no room."""
        if len(self) < WITHHELD_MAX_ACTIONS or not isinstance(event, Received):
            return None
        role = event.origin.peer.role
        if role is Role.DATANODE or isinstance(event.message, GetStatus | Ping):
            return None
        return Reply(event.origin, Failed.of(Unavailable(copies.shortage or CROWDED)))


def is_question(event: object, decision: Decision) -> bool:
    """Did a client only ask? The answer to a repeated change is one to a change."""
    if decision.commands or not isinstance(event, Received):
        return False
    return event.origin.peer.role is Role.CLIENT and not isinstance(event.message, Change)


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
