"""The keeper of a copy of the namenode's log: who may ask what, and the answers.

Every request is one piece of disk work in a lane of its own, so they are done in the order in
which they came. Only the namenode that this node obeys may change the copy; whoever plays the
namenode may read it, since that is how a lost namenode is rebuilt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from dfs.datanode.registration import Registration
from dfs.errors import DfsError, PermissionDenied, StorageFault
from dfs.events import Action, Note, Origin, Payload, Reply, Role, Work, WorkDone
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

    def handle(self, origin: Origin, request: KeeperRequest, payload: Payload) -> list[Action]:
        """Do what is asked, unless it is refused."""
        fault = self._fault(origin, request)
        if fault is not None:
            return [Reply(origin, Failed.of(fault))]
        return [Work(KeeperToken(origin), KeeperWork(request, payload), lane=KEEPER_LANE)]

    def work_done(self, token: KeeperToken, event: WorkDone) -> list[Action]:
        """A request was carried out, or failed."""
        if event.error is None:
            return [Reply(token.origin, event.result.message, event.result.payload)]
        error = event.error
        text = f"{self._node} keeps no log: {error}"
        fault = error if isinstance(error, DfsError) else StorageFault(text)
        return [Reply(token.origin, Failed.of(fault)), Note(text)]

    def _fault(self, origin: Origin, request: KeeperRequest) -> DfsError | None:
        if origin.peer.role is not Role.NAMENODE:
            return PermissionDenied("only the namenode has its log kept")
        if isinstance(request, AppendLog | BeginLog | KeepSnapshot):
            return self._registration.fence(request.epoch)
        return None
