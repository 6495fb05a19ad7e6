"""Deleting, checking and setting aside replicas on the namenode's order; the node's own trash.

A delete is a rename into the trash; the bytes go when ``REPLICA_TRASH_KEEP_NS`` is over,
or at once while the disk has no room left for a chunk. Repeating an order is harmless.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from dfs.datanode.chunkfile import ReplicaKey, is_key
from dfs.datanode.copies import Copies
from dfs.datanode.reads import bad_replica
from dfs.datanode.replicas import Inventory
from dfs.datanode.tasks import (
    NODE_LANE,
    CheckFile,
    Chore,
    EmptyTrash,
    QuarantineFile,
    TrashFiles,
)
from dfs.datanode.writes import Writes
from dfs.errors import BadArgument, StorageFault, Unavailable
from dfs.events import Action, Note, Origin, Reply, Work, WorkDone
from dfs.limits import CHUNK_DEFAULT_BYTES, DELETE_MAX_REPLICAS, REPLICA_TRASH_KEEP_NS
from dfs.wire.common import Failed, Ok
from dfs.wire.node import CheckReplica, DeleteReplicas, QuarantineReplicas, ReplicaId


class TrashToken(NamedTuple):
    """Names the move of replicas into the trash."""

    origin: Origin
    keys: tuple[ReplicaKey, ...]


class CheckToken(NamedTuple):
    """Names the check of a replica."""

    origin: Origin
    key: ReplicaKey


class Trash:
    """Replicas that are deleted and not yet unlinked, oldest first."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._due: deque[tuple[int, ReplicaKey]] = deque()

    def keep(self, keys: tuple[ReplicaKey, ...], now_ns: int) -> None:
        """These lie in the trash from now on."""
        due_ns = now_ns + REPLICA_TRASH_KEEP_NS
        self._due += ((due_ns, key) for key in keys)

    def next_deadline(self) -> int | None:
        """When the oldest one is to go."""
        if not self._due:
            return None
        return self._due[0][0] if self._inventory.has_room(CHUNK_DEFAULT_BYTES) else 0

    def on_deadline(self, now_ns: int) -> list[Action]:
        """Unlink what is due, a bounded number at a time."""
        full = not self._inventory.has_room(CHUNK_DEFAULT_BYTES)
        gone: list[ReplicaKey] = []
        while self._due and len(gone) < DELETE_MAX_REPLICAS:
            due_ns, key = self._due[0]
            if due_ns > now_ns and not full:
                break
            self._due.popleft()
            gone.append(key)
        if not gone:
            return []
        return [Work(Chore("empty trash"), EmptyTrash(tuple(gone)), lane=NODE_LANE)]


class Orders:
    """Obeys ``DeleteReplicas``, ``CheckReplica`` and ``QuarantineReplicas``."""

    def __init__(
        self, node: str, inventory: Inventory, writes: Writes, copies: Copies, trash: Trash
    ) -> None:
        self._node = node
        self._inventory = inventory
        self._writes = writes
        self._copies = copies
        self._trash = trash

    def delete(self, origin: Origin, order: DeleteReplicas) -> list[Action]:
        """Move replicas into the trash and end what is about to make them."""
        keys = _keys(order.replicas)
        if keys is None:
            return [_bad_keys(origin, order.replicas)]
        if any(self._writes.is_sealing(key) for key in keys):
            busy = Unavailable(f"{self._node} is sealing one of these replicas: repeat the order")
            return [Reply(origin, Failed.of(busy))]
        actions: list[Action] = []
        for key in keys:
            actions += self._writes.discard(key) + self._copies.discard(key)
            self._inventory.deleted(key)
        return [*actions, Work(TrashToken(origin, keys), TrashFiles(keys), lane=NODE_LANE)]

    def deleted(self, token: TrashToken, event: WorkDone, now_ns: int) -> list[Action]:
        """The move is durable, or failed."""
        self._trash.keep(token.keys, now_ns)
        if event.error is None:
            return [Reply(token.origin, Ok())]
        fault = StorageFault(f"{self._node} cannot delete replicas: {event.error}")
        return [Reply(token.origin, Failed.of(fault)), Note(fault.message)]

    def check(self, origin: Origin, order: CheckReplica) -> list[Action]:
        """Read a whole replica; one that is not here needs no reading."""
        keys = _keys((order.replica,))
        if keys is None:
            return [_bad_keys(origin, (order.replica,))]
        (key,) = keys
        if self._inventory.replicas.length(key) is None:
            self._inventory.missing(key)
            return [Reply(origin, Ok())]
        return [Work(CheckToken(origin, key), CheckFile(key, order.digest), lane=key.chunk)]

    def checked(self, token: CheckToken, event: WorkDone) -> list[Action]:
        """The replica is good, or bad and set aside."""
        actions: list[Action] = [Reply(token.origin, Ok())]
        if event.error is not None:
            actions += bad_replica(self._inventory, token.key, event.error)
        return actions

    def quarantine(self, origin: Origin, order: QuarantineReplicas) -> list[Action]:
        """Set replicas aside; one that a crash puts back is reported, and ordered away again."""
        keys = _keys(order.replicas)
        if keys is None:
            return [_bad_keys(origin, order.replicas)]
        actions: list[Action] = [Reply(origin, Ok())]
        for key in keys:
            if self._inventory.replicas.length(key) is not None:
                self._inventory.set_aside(key, "quarantined")
                token = Chore("quarantine", key)
                actions.append(Work(token, QuarantineFile(key), lane=key.chunk))
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
