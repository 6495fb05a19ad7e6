"""The keeper of a copy of the namenode's log: who may ask what, and the answers.

Every request is one piece of disk work. One is under way at a time and the others wait, so they
are done in the order in which they came. A disk can hang: then no more than
``KEEPER_WAITING_MAX_REQUESTS`` wait, and what comes beyond is refused. Each new try of a namenode
begins with the question what is kept. By then it has given up all that it asked before, so what
still waits is not begun; tries do not pile up, and that question is never refused.

Only the namenode that this node obeys may change the copy; whoever plays the namenode may read it,
since that is how a lost namenode is rebuilt.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from dfs.datanode.registration import Registration
from dfs.errors import DfsError, PermissionDenied, StorageFault, Unavailable
from dfs.events import Action, Note, Origin, Payload, Reply, Role, Work, WorkDone
from dfs.limits import KEEPER_WAITING_MAX_REQUESTS
from dfs.wire.codec import Message
from dfs.wire.common import Failed
from dfs.wire.keeper import (
    AppendLog,
    BeginLog,
    GetKeptLog,
    KeepSnapshot,
    ReadKeptLog,
    ReadKeptSnapshot,
)

KEEPER_LANE = -1
"""The lane of the log's copy; those of chunks are their ids."""

KeeperRequest: TypeAlias = (
    GetKeptLog | ReadKeptLog | ReadKeptSnapshot | AppendLog | BeginLog | KeepSnapshot
)


class KeeperToken(NamedTuple):
    """Names a request to the keeper."""

    origin: Origin


@dataclass(frozen=True, slots=True)
class KeeperWork:
    """Carry out a request on the disk. Result: a ``KeeperAnswer``."""

    request: KeeperRequest
    payload: Payload


class KeeperAnswer(NamedTuple):
    """The answer to a request, with the raw bytes behind it."""

    message: Message
    payload: bytes = b""


class LogKeeper:
    """Answers the messages of ``dfs.wire.keeper``."""

    def __init__(self, node: str, registration: Registration) -> None:
        self._node = node
        self._registration = registration
        self._is_busy = False
        self._waiting: deque[tuple[KeeperToken, KeeperWork]] = deque()

    def handle(self, origin: Origin, request: KeeperRequest, payload: Payload) -> list[Action]:
        """Do what is asked when its turn comes, unless it is refused."""
        fault = self._fault(origin, request)
        if fault is not None:
            return [Reply(origin, Failed.of(fault))]
        given_up = self._give_up_waiting() if isinstance(request, GetKeptLog) else []
        self._waiting.append((KeeperToken(origin), KeeperWork(request, payload)))
        return given_up + self._begin_next()

    def work_done(self, token: KeeperToken, event: WorkDone) -> list[Action]:
        """A request was carried out, or failed."""
        self._is_busy = False
        following = self._begin_next()
        if event.error is None:
            return [Reply(token.origin, event.result.message, event.result.payload), *following]
        error = event.error
        text = f"{self._node} keeps no log: {error}"
        fault = error if isinstance(error, DfsError) else StorageFault(text)
        return [Reply(token.origin, Failed.of(fault)), Note(text), *following]

    def _begin_next(self) -> list[Action]:
        if self._is_busy or not self._waiting:
            return []
        self._is_busy = True
        token, work = self._waiting.popleft()
        return [Work(token, work, lane=KEEPER_LANE)]

    def _give_up_waiting(self) -> list[Action]:
        fault = Unavailable(f"{self._node} was asked anew what it keeps of the log")
        given_up: list[Action] = [
            Reply(token.origin, Failed.of(fault)) for token, _ in self._waiting
        ]
        self._waiting.clear()
        return given_up

    def _fault(self, origin: Origin, request: KeeperRequest) -> DfsError | None:
        if origin.peer.role is not Role.NAMENODE:
            return PermissionDenied("only the namenode has its log kept")
        if isinstance(request, AppendLog | BeginLog | KeepSnapshot):
            fenced = self._registration.fence(request.epoch)
            if fenced is not None:
                return fenced
        is_full = len(self._waiting) >= KEEPER_WAITING_MAX_REQUESTS
        if is_full and not isinstance(request, GetKeptLog):
            return Unavailable(
                f"{self._node} waits for the disk of its copy of the log:"
                f" {len(self._waiting)} requests wait already"
            )
        return None
