"""Deleting and setting aside replicas on the namenode's order; the node's own trash.

A delete is a rename into the trash; the bytes go when ``REPLICA_TRASH_KEEP_NS`` is over,
or at once while its volume has no room left for a chunk. Repeating an order is harmless:
a replica that is not known any more is looked for on every volume.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from dfs.datanode.checks import Checks
from dfs.datanode.chunkfile import ReplicaKey, is_key
from dfs.datanode.copies import Copies
from dfs.datanode.replicas import Inventory
from dfs.datanode.tasks import (
    NODE_LANE,
    Chore,
    EmptyTrash,
    Placed,
    QuarantineFile,
    TrashFiles,
)
from dfs.datanode.volumes import Volumes
from dfs.datanode.writes import Writes
from dfs.errors import BadArgument, StorageFault, Unavailable
from dfs.events import Action, Note, Origin, Reply, Work, WorkDone
from dfs.limits import DELETE_MAX_REPLICAS, REPLICA_TRASH_KEEP_NS
from dfs.wire.common import Failed, Ok
from dfs.wire.node import CheckReplica, DeleteReplicas, QuarantineReplicas, ReplicaId


class VolumeKeys(NamedTuple):
    """Replicas to look for on one volume."""

    volume: int
    keys: tuple[ReplicaKey, ...]


class TrashToken(NamedTuple):
    """Names the move of replicas into the trash; the volumes in ``rest`` come after it."""

    origin: Origin
    at: VolumeKeys
    rest: tuple[VolumeKeys, ...]


class Trash:
    """Replicas that are deleted and not yet unlinked, oldest first on each volume."""

    def __init__(self, volumes: Volumes) -> None:
        self._volumes = volumes
        self._due: dict[int, deque[tuple[int, ReplicaKey]]] = {}

    def keep(self, kept: VolumeKeys, now_ns: int) -> None:
        """These lie in the trash of a volume from now on."""
        due_ns = now_ns + REPLICA_TRASH_KEEP_NS
        self._due.setdefault(kept.volume, deque()).extend((due_ns, key) for key in kept.keys)

    def next_deadline(self) -> int | None:
        """When the oldest one is to go."""
        return min(
            (
                0 if self._volumes.is_short(volume) else due[0][0]
                for volume, due in self._due.items()
                if due
            ),
            default=None,
        )

    def on_deadline(self, now_ns: int) -> list[Action]:
        """Unlink what is due, a bounded number on each volume at a time."""
        actions: list[Action] = []
        for volume, due in self._due.items():
            gone = self._take_due(volume, due, now_ns)
            if gone:
                empty = Placed(volume, EmptyTrash(gone))
                actions.append(Work(Chore("empty trash"), empty, lane=NODE_LANE))
        return actions

    def _take_due(
        self, volume: int, due: deque[tuple[int, ReplicaKey]], now_ns: int
    ) -> tuple[ReplicaKey, ...]:
        short = self._volumes.is_short(volume)
        gone: list[ReplicaKey] = []
        while due and len(gone) < DELETE_MAX_REPLICAS and (short or due[0][0] <= now_ns):
            gone.append(due.popleft()[1])
        return tuple(gone)


class Orders:
    """Obeys ``DeleteReplicas`` and ``QuarantineReplicas``, and has ``CheckReplica`` obeyed."""

    def __init__(
        self, node: str, inventory: Inventory, writes: Writes, copies: Copies, trash: Trash
    ) -> None:
        self._node = node
        self._inventory = inventory
        self._writes = writes
        self._copies = copies
        self._trash = trash
        self.checks = Checks(node, inventory)

    def delete(self, origin: Origin, order: DeleteReplicas) -> list[Action]:
        """Move replicas into the trash and end what is about to make them."""
        keys = _keys(order.replicas)
        if keys is None:
            return [_bad_keys(origin, order.replicas)]
        if any(self._writes.is_sealing(k) or self._copies.is_sealing(k) for k in keys):
            busy = Unavailable(f"{self._node} is sealing one of these replicas: repeat the order")
            return [Reply(origin, Failed.of(busy))]
        parts = self._parts(keys)
        actions: list[Action] = []
        for key in keys:
            actions += self._writes.discard(key) + self._copies.discard(key)
            self._inventory.deleted(key)
        return actions + self._move(origin, parts)

    def deleted(self, token: TrashToken, event: WorkDone, now_ns: int) -> list[Action]:
        """The move on one volume is durable, or failed."""
        self._trash.keep(token.at, now_ns)
        if event.error is None:
            return self._move(token.origin, token.rest)
        fault = StorageFault(f"{self._node} cannot delete replicas: {event.error}")
        return [Reply(token.origin, Failed.of(fault)), Note(fault.message)]

    def _parts(self, keys: tuple[ReplicaKey, ...]) -> tuple[VolumeKeys, ...]:
        """Where to look for what."""
        on: dict[int, list[ReplicaKey]] = {}
        for key in keys:
            volume = self._inventory.replicas.volume(key)
            for number in self._inventory.volumes.healthy() if volume is None else [volume]:
                on.setdefault(number, []).append(key)
        return tuple(VolumeKeys(volume, tuple(found)) for volume, found in on.items())

    def _move(self, origin: Origin, parts: tuple[VolumeKeys, ...]) -> list[Action]:
        """Move what lies on the first of the volumes; after the last one, answer."""
        if not parts:
            return [Reply(origin, Ok())]
        task = Placed(parts[0].volume, TrashFiles(parts[0].keys))
        return [Work(TrashToken(origin, parts[0], parts[1:]), task, lane=NODE_LANE)]

    def check(self, origin: Origin, order: CheckReplica, now_ns: int) -> list[Action]:
        """Read a whole replica."""
        keys = _keys((order.replica,))
        if keys is None:
            return [_bad_keys(origin, (order.replica,))]
        return self.checks.check(origin, keys[0], order, now_ns)

    def quarantine(self, origin: Origin, order: QuarantineReplicas) -> list[Action]:
        """Set replicas aside; one that a crash puts back is reported, and ordered away again."""
        keys = _keys(order.replicas)
        if keys is None:
            return [_bad_keys(origin, order.replicas)]
        actions: list[Action] = [Reply(origin, Ok())]
        for key in keys:
            volume = self._inventory.replicas.volume(key)
            if volume is not None:
                self._inventory.set_aside(key, "quarantined")
                task = Placed(volume, QuarantineFile(key))
                actions.append(Work(Chore("quarantine", key), task, lane=key.chunk))
        return actions


def _keys(replicas: tuple[ReplicaId, ...]) -> tuple[ReplicaKey, ...] | None:
    """The keys of an order's replicas; None when they are too many or no keys."""
    keys = tuple(
        ReplicaKey(r.chunk, r.generation)
        for r in replicas[:DELETE_MAX_REPLICAS]
        if is_key(r.chunk, r.generation)
    )
    return keys if len(keys) == len(replicas) else None


def _bad_keys(origin: Origin, replicas: tuple[ReplicaId, ...]) -> Reply:
    fault = BadArgument(f"{len(replicas)} replicas: too many, or not all are ids")
    return Reply(origin, Failed.of(fault))
