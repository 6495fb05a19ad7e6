"""Who may send what to the namenode; everything else is refused."""

from __future__ import annotations

from dfs.events import Role
from dfs.namenode import reading
from dfs.wire import admin as a
from dfs.wire import namespace as m
from dfs.wire import node as n
from dfs.wire.appending import Append, SyncFile
from dfs.wire.codec import Message
from dfs.wire.common import Failed, Ok, Ping

ANYONE = frozenset({Role.CLIENT, Role.WORKER, Role.DATANODE, Role.NAMENODE})
CLIENTS = frozenset({Role.CLIENT, Role.WORKER})
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
    **dict.fromkeys(a.AdminQuestion.__subclasses__(), frozenset({Role.CLIENT})),
    **dict.fromkeys(
        (n.Register, n.ReportPage, n.Heartbeat, n.ReplicaNews, Ok, Failed),
        DATANODES,
    ),
}
