"""The datanode's core: which part answers which message, and who may send it.

=================  =============================================================
``Registration``   the link to the namenode: register, report, heartbeats, news
``Writes``         chunks being written, each in its chain (rules: ``pipeline``)
``Reads``          slices of sealed replicas
``Copies``         repair
``Orders``         delete, set aside, and ``Checks`` of what is held; the trash
``LogKeeper``      a copy of the namenode's log
``Listing``        what its chunks say of themselves, for a namenode that lost its log
``Inventory``      what is held, on which of the volumes, shared by all of them
=================  =============================================================

Orders and answers of the namenode count only when they come from the namenode, and
orders only with the epoch that this node registered under. Everything else may be asked
by anyone the transport lets in. All request numbers come from one counter, so an
answer belongs to exactly one part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import TypeAlias

from dfs.datanode.chain import Identity
from dfs.datanode.checks import CheckToken
from dfs.datanode.chunkfile import ReplicaKey
from dfs.datanode.copies import Copies, CopyToken
from dfs.datanode.listing import Listing, ListToken
from dfs.datanode.log_keeper import KeeperToken, LogKeeper
from dfs.datanode.orders import Orders, Trash, TrashToken, VolumeKeys
from dfs.datanode.pipeline import WriteToken
from dfs.datanode.reads import Reads, ReadToken
from dfs.datanode.registration import Membership, Registration
from dfs.datanode.replicas import Inventory, Replicas
from dfs.datanode.tasks import Chore, VolumeFault, VolumeFound
from dfs.datanode.volumes import EpochToken, SpaceToken, Volumes
from dfs.datanode.writes import Writes
from dfs.errors import NotSupported, PermissionDenied, ReplicaFault
from dfs.events import (
    Action,
    Event,
    LinkLost,
    Note,
    Now,
    Origin,
    Payload,
    Received,
    Reply,
    Role,
    WorkDone,
)
from dfs.security.members import Members
from dfs.wire.codec import Message
from dfs.wire.common import Failed, Ok, Ping
from dfs.wire.data import (
    ChainBroken,
    ChunkCredit,
    ChunkData,
    ChunkOpened,
    ChunkSealed,
    ChunkSlices,
    DropChunk,
    OpenChunk,
    ReadChunk,
    SealChunk,
)
from dfs.wire.keeper import (
    AppendLog,
    BeginLog,
    GetKeptLog,
    KeepSnapshot,
    ListChunks,
    ReadKeptLog,
    ReadKeptSnapshot,
)
from dfs.wire.members import MembersNow
from dfs.wire.node import (
    CheckReplica,
    CopyReplica,
    DeleteReplicas,
    QuarantineReplicas,
    Registered,
)

Order: TypeAlias = CopyReplica | DeleteReplicas | CheckReplica | QuarantineReplicas


@dataclass(frozen=True, slots=True)
class DatanodeSettings:
    """What a datanode is told about itself. Endpoints are in the order to be tried."""

    cluster: str
    node: str
    host: str
    rack: str
    endpoints: tuple[str, ...]
    namenode_endpoints: tuple[str, ...]
    members: Members = field(default_factory=Members)
    """Whose key is whose, shared with the transport."""


class DatanodeCore:
    """One datanode, without sockets, files and clocks. See the module's text."""

    def __init__(self, settings: DatanodeSettings, found: Sequence[VolumeFound], now: Now) -> None:
        self._members = settings.members
        me = Identity(settings.cluster, settings.node, settings.host)
        numbers = count(1)
        self._volumes = Volumes(found)
        replicas = Replicas(*(volume.scan.replicas for volume in found))
        highest = max(volume.scan.highest_chunk for volume in found)
        epoch = max(volume.scan.epoch for volume in found)
        inventory = Inventory(replicas, highest, self._volumes)
        inventory.quarantined = sum(volume.scan.quarantined for volume in found)
        membership = Membership(
            settings.namenode_endpoints, settings.endpoints, settings.host, settings.rack
        )
        self._registration = Registration(membership, inventory, numbers, epoch)
        self._writes = Writes(me, inventory, numbers)
        self._reads = Reads(me.node, inventory)
        self._copies = Copies(me, inventory, numbers)
        self._trash = Trash(self._volumes)
        self._orders = Orders(me.node, inventory, self._writes, self._copies, self._trash)
        for number, volume in enumerate(found):
            self._trash.keep(VolumeKeys(number, tuple(volume.scan.trash)), now.mono_ns)
        self._log_keeper = LogKeeper(me.node, self._registration)
        self._listing = Listing(me.node, inventory)

    def handle(self, event: Event, now: Now) -> list[Action]:
        """Decide one event."""
        match event:
            case Received():
                actions = self._received(event, now.mono_ns)
            case LinkLost():
                actions = self._link_lost(event, now.mono_ns)
            case WorkDone():
                actions = self._work_done(event, now.mono_ns)
        return actions + self._registration.tell(now.mono_ns)

    def on_deadline(self, now: Now) -> list[Action]:
        """Do what is due."""
        actions = self._registration.on_deadline(now.mono_ns)
        actions += self._writes.on_deadline(now.mono_ns)
        actions += self._copies.on_deadline(now.mono_ns)
        actions += self._trash.on_deadline(now.mono_ns)
        actions += self._orders.checks.on_deadline(now.mono_ns)
        return actions + self._registration.tell(now.mono_ns)

    def next_deadline(self) -> int | None:
        """When something is due (ns, monotonic)."""
        checks = self._orders.checks
        parts = (self._registration, self._writes, self._copies, self._trash, checks)
        return min((d for part in parts if (d := part.next_deadline()) is not None), default=None)

    def _received(self, event: Received, now_ns: int) -> list[Action]:
        origin, message = event.origin, event.message
        match message:
            case ChunkData():
                return self._writes.data(origin, message, event.payload, now_ns)
            case OpenChunk():
                return self._open(origin, message, now_ns)
            case SealChunk():
                return self._writes.seal(origin, message, now_ns)
            case DropChunk():
                return self._writes.drop(message)
            case ReadChunk():
                return self._reads.read(origin, message)
            case CopyReplica() | DeleteReplicas() | CheckReplica() | QuarantineReplicas():
                return self._order(origin, message, now_ns)
            case ListChunks():
                return self._listing.page(origin, message)
            case GetKeptLog() | ReadKeptLog() | ReadKeptSnapshot():
                return self._log_keeper.handle(origin, message, event.payload)
            case AppendLog() | BeginLog() | KeepSnapshot():
                return self._log_keeper.handle(origin, message, event.payload)
            case ChunkOpened() | ChunkCredit() | ChunkSealed() | ChainBroken():
                return self._writes.answered(origin, message, now_ns)
            case ChunkSlices() | Registered() | Ok() | Failed():
                return self._answer(origin, message, event.payload, now_ns)
            case MembersNow() if origin.peer.role is Role.NAMENODE:
                self._members.replace(message.known())
                return []
            case Ping():
                return [Reply(origin, Ok())]
        unknown = NotSupported(f"a datanode does not answer {type(message).__name__}")
        return [Reply(origin, Failed.of(unknown))]

    def _open(self, origin: Origin, message: OpenChunk, now_ns: int) -> list[Action]:
        if ReplicaKey(message.chunk, message.generation) in self._copies:
            fault = ReplicaFault(f"chunk {message.chunk} is being repaired here: use another node")
            return [Reply(origin, Failed.of(fault))]
        return self._writes.open(origin, message, now_ns)

    def _answer(
        self, origin: Origin, message: Message, payload: Payload, now_ns: int
    ) -> list[Action]:
        peer, request = origin.peer, origin.request
        if peer.role is Role.NAMENODE:
            return self._registration.answered(request, message, now_ns)
        if self._copies.awaits(peer, request):
            return self._copies.answered(origin, message, payload, now_ns)
        if isinstance(message, Failed):
            return self._writes.answered(origin, message, now_ns)
        return []

    def _order(self, origin: Origin, order: Order, now_ns: int) -> list[Action]:
        if origin.peer.role is not Role.NAMENODE:
            fault = PermissionDenied("only the namenode gives orders to datanodes")
            return [Reply(origin, Failed.of(fault))]
        fenced = self._registration.fence(order.epoch)
        if fenced is not None:
            return [Reply(origin, Failed.of(fenced))]
        match order:
            case CopyReplica():
                if ReplicaKey(order.chunk, order.generation) in self._writes:
                    busy = ReplicaFault(f"chunk {order.chunk} is being written here")
                    return [Reply(origin, Failed.of(busy))]
                return self._copies.start(origin, order, now_ns)
            case DeleteReplicas():
                return self._orders.delete(origin, order)
            case CheckReplica():
                return self._orders.check(origin, order, now_ns)
            case QuarantineReplicas():
                return self._orders.quarantine(origin, order)

    def _link_lost(self, event: LinkLost, now_ns: int) -> list[Action]:
        if event.peer.role is Role.NAMENODE:
            return self._registration.lost(event.reason, now_ns)
        self._reads.link_lost(event)
        return self._writes.link_lost(event) + self._copies.link_lost(event)

    def _work_done(self, event: WorkDone, now_ns: int) -> list[Action]:
        actions: list[Action] = []
        if isinstance(event.error, VolumeFault):
            actions = self._volumes.work_failed(event.error)
        return actions + self._work_ended(event, now_ns)

    def _work_ended(self, event: WorkDone, now_ns: int) -> list[Action]:
        match event.token:
            case WriteToken() as token:
                return self._writes.work_done(token, event)
            case ReadToken() as token:
                return self._reads.work_done(token, event)
            case CopyToken() as token:
                return self._copies.work_done(token, event, now_ns)
            case TrashToken() as token:
                return self._orders.deleted(token, event, now_ns)
            case CheckToken() as token:
                return self._orders.checks.checked(token, event, now_ns)
            case ListToken() as token:
                return self._listing.work_done(token, event)
            case KeeperToken() as token:
                return self._log_keeper.work_done(token, event)
            case EpochToken() as token:
                return self._registration.epoch_saved(token, event, now_ns)
            case SpaceToken() as token:
                return self._volumes.measured(token, event)
            case Chore(what, key):
                about = "" if key is None else f" {key}"
                return [] if event.error is None else [Note(f"{what}{about}: {event.error}")]
        raise AssertionError(f"nobody asked for the work {event.token!r}")
