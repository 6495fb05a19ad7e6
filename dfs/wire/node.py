"""Messages between a datanode and the namenode.

A datanode speaks first: it registers, sends its chunk report in pages, then
heartbeats and news of single replicas. The namenode answers, and sends orders on
the same connection. Every order carries the namenode's ``epoch``; a datanode
refuses orders of an epoch below the highest it has seen.
"""

from __future__ import annotations

import msgspec

from dfs.wire.codec import Message, message
from dfs.wire.namespace import NodeAddress


class ReplicaId(msgspec.Struct, frozen=True, array_like=True):
    """One replica of one chunk, as stored on a node."""

    chunk: int
    generation: int
    length: int


@message(100)
class Register(Message, frozen=True):
    """A datanode is here. Sent by: datanode, first and after each lost connection.

    Answered by: Registered, Refused. ``highest_chunk`` is the highest chunk id on its disks and
    ``epoch`` the highest namenode epoch it ever obeyed: they show a namenode that was restored
    from an older copy. Harmless when repeated.
    ``free_bytes`` is room for chunks: what the node keeps in reserve is not in it.
    """

    endpoints: tuple[str, ...]
    host: str
    rack: str
    capacity_bytes: int
    free_bytes: int
    used_bytes: int
    highest_chunk: int
    epoch: int


@message(101)
class Registered(Message, frozen=True):
    """Welcome; now send the full chunk report. Sent by: namenode."""

    epoch: int
    heartbeat_ns: int


@message(102)
class ReportPage(Message, frozen=True):
    """A page of the full chunk report; replicas sorted by chunk.

    Sent by: datanode. Answered by: Ok. ``report`` numbers the report, ``page`` counts from 0 and
    ``last`` ends it. The payload is packed: chunk u64, generation u64, length u64, big-endian,
    for each replica. A page out of order restarts the report.
    """

    report: int
    page: int
    last: bool


@message(103)
class Heartbeat(Message, frozen=True):
    """A datanode lives and has this much room. Sent by: datanode. Answered by: Ok, HelloFirst,
    or Failed(NotFound) when the namenode does not know it: register again."""

    free_bytes: int
    used_bytes: int
    capacity_bytes: int


@message(104)
class ReplicaStored(Message, frozen=True):
    """This node durably holds a new replica. Sent by: datanode, after a repair. Answered by: Ok."""

    replica: ReplicaId
    digest: bytes


@message(105)
class ReplicaLost(Message, frozen=True):
    """This node no longer has a good replica. Sent by: datanode. Answered by: Ok.

    ``reason``: deleted (it was ordered), corrupt (it is quarantined), missing.
    """

    replica: ReplicaId
    reason: str


@message(110)
class CopyReplica(Message, frozen=True):
    """Order: fetch this chunk from one of ``sources`` and store it. Sent by: namenode.

    Answered by: Ok when it is durable (it is already there: also Ok), ReplicaFault.
    """

    epoch: int
    chunk: int
    generation: int
    length: int
    digest: bytes
    inode: int
    start: int
    path: str
    sources: tuple[NodeAddress, ...]


@message(111)
class DeleteReplicas(Message, frozen=True):
    """Order: these replicas are no longer wanted. Sent by: namenode.

    Answered by: Ok when each is in the node's trash or was not there.
    """

    epoch: int
    replicas: tuple[ReplicaId, ...]


@message(112)
class CheckReplica(Message, frozen=True):
    """Order: read this replica and quarantine it if it is bad. Sent by: namenode.

    Answered by: Ok, and by ReplicaLost when it is bad.
    """

    epoch: int
    replica: ReplicaId
