"""Messages between a datanode and the namenode.

A datanode speaks first: it registers, sends its chunk report in pages unless the
namenode knows it still, then heartbeats and news of what changed. The namenode
answers, and sends orders on the same connection. Every order carries the namenode's
``epoch``; a datanode refuses orders of an epoch below the highest it has seen.
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


class StoredReplica(msgspec.Struct, frozen=True, array_like=True):
    """A replica that is durable on a node, and the digest it was sealed with."""

    replica: ReplicaId
    digest: bytes


class LostReplica(msgspec.Struct, frozen=True, array_like=True):
    """A replica that is gone. ``reason``: deleted (as ordered), quarantined (as ordered),
    corrupt (in quarantine, of the node's own accord) or missing (its file is not there)."""

    replica: ReplicaId
    reason: str


class DiskRoom(msgspec.Struct, frozen=True, array_like=True):
    """Room for chunks on a disk. ``disk`` names it on its host, where other nodes may share it."""

    disk: str
    free_bytes: int


@message(100)
class Register(Message, frozen=True):
    """A datanode is here. Sent by: datanode, first and after each lost connection.

    Answered by: Registered, Refused. ``highest_chunk`` is the highest chunk id on its disks and
    ``epoch`` the highest namenode epoch it ever obeyed: they show a namenode that was restored
    from an older copy. Harmless when repeated.
    ``free_bytes`` is room for chunks: what the node keeps in reserve is not in it.
    ``largest_free_bytes`` is the part of it on the volume with the most: no chunk lies on two.
    ``incarnation`` is that of the namenode which confirmed this process's last full report, and
    ``sequence`` the number of the last news it confirmed; both are 0 when there is none.
    ``quarantined`` counts the bad replicas that the node keeps for people to look at.
    ``failed_volumes`` has a line for each data folder that failed; capacity and room are those
    of the others. ``disks`` has each disk once, however many of the folders lie on it.
    """

    endpoints: tuple[str, ...]
    host: str
    rack: str
    capacity_bytes: int
    free_bytes: int
    used_bytes: int
    highest_chunk: int
    epoch: int
    incarnation: int = 0
    sequence: int = 0
    quarantined: int = 0
    failed_volumes: tuple[str, ...] = ()
    largest_free_bytes: int = 0
    disks: tuple[DiskRoom, ...] = ()


@message(101)
class Registered(Message, frozen=True):
    """Welcome. Sent by: namenode.

    ``full``: now send the full chunk report, for this namenode (its ``incarnation``) does not
    know, or no longer, what the node holds. Otherwise what changed since is enough.
    """

    epoch: int
    heartbeat_ns: int
    incarnation: int = 0
    full: bool = True


@message(102)
class ReportPage(Message, frozen=True):
    """A page of the full chunk report; replicas rise by (chunk, generation).

    Sent by: datanode. Answered by: Ok, ProtocolError. ``report`` numbers the report, ``page``
    counts from 0 and ``last`` ends it. The payload is packed: chunk u64, generation u64,
    length u64, big-endian, for each replica. A page out of order restarts the report.
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
    quarantined: int = 0
    failed_volumes: tuple[str, ...] = ()
    largest_free_bytes: int = 0
    disks: tuple[DiskRoom, ...] = ()


@message(106)
class ReplicaNews(Message, frozen=True):
    """What changed on this node since its last confirmed word. Sent by: datanode.

    Answered by: Ok; by ProtocolError when news before these are missing: send a full report.
    ``sequence`` counts from 1 behind each full report. News that are repeated under their number
    are taken once. At least one such word, maybe an empty one, follows each registration;
    ``more`` says that others wait behind it.
    """

    sequence: int
    stored: tuple[StoredReplica, ...] = ()
    lost: tuple[LostReplica, ...] = ()
    more: bool = False


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

    Answered by: Ok when it was looked at; what came of it is news. A replica that is not there
    is news too. ``digest``, unless empty, is the one it must have.
    """

    epoch: int
    replica: ReplicaId
    digest: bytes = b""


@message(113)
class QuarantineReplicas(Message, frozen=True):
    """Order: set these replicas aside, for people to look at. Sent by: namenode.

    They may belong to files that a restored older copy of the metadata does not know. Answered
    by: Ok; from then on they are neither served nor reported.
    """

    epoch: int
    replicas: tuple[ReplicaId, ...]
