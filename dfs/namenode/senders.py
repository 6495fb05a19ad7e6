"""Who may send what to the namenode."""

from __future__ import annotations

from dfs.errors import NotSupported, PermissionDenied
from dfs.events import USERS, Peer, Role
from dfs.namenode import reading
from dfs.wire import admin as a
from dfs.wire import namespace as m
from dfs.wire import node as n
from dfs.wire.appending import Append, SyncFile
from dfs.wire.codec import Message
from dfs.wire.common import Failed, Ok, Ping
from dfs.wire.members import Enrol

ANYONE = frozenset(Role)
CLIENTS = USERS | {Role.WORKER}
ADMINS = frozenset({Role.ADMIN})
DATANODES = frozenset({Role.DATANODE})

SENDERS: dict[type[Message], frozenset[Role]] = {
    Ping: ANYONE,
    m.GetStatus: ANYONE,
    **dict.fromkeys(
        (
            m.OpenSession,
            m.RenewLease,
            m.CloseSession,
            m.Mkdir,
            m.Create,
            m.AddChunk,
            m.CloseFile,
            m.AbandonFile,
            Append,
            SyncFile,
            m.PutInline,
            m.Rename,
            m.Remove,
            *reading.QUESTIONS,
        ),
        CLIENTS,
    ),
    m.BadReplica: CLIENTS | DATANODES,
    Enrol: ADMINS,
    **dict.fromkeys(a.AdminQuestion.__subclasses__(), USERS),
    **dict.fromkeys(
        (n.Register, n.ReportPage, n.Heartbeat, n.ReplicaNews, Ok, Failed),
        DATANODES,
    ),
}
"""Who may send what to the namenode; everything else is refused."""


def authorise(peer: Peer, message: Message) -> None:
    """Raise ``NotSupported`` or ``PermissionDenied`` unless ``peer`` may send ``message``."""
    allowed = SENDERS.get(type(message))
    if allowed is None:
        raise NotSupported(f"the namenode does not take {type(message).__name__}")
    if peer.role not in allowed:
        raise PermissionDenied(f"a {peer.role} may not send {type(message).__name__}")
