"""Reading whole replicas on the namenode's order: is each one as it was written?

What is bad is set aside and told as news; the answer to the order says only that the replica was
looked at. A disk can hang and never say anything. So a volume that ends no check for
``CHECK_STALL_NS`` while it has some *stalls*: those that it has are answered with that, and so is
each new one at once, until one of them ends after all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from dfs.datanode.chunkfile import ReplicaKey
from dfs.datanode.reads import bad_replica
from dfs.datanode.replicas import Inventory
from dfs.datanode.tasks import CheckFile, Placed
from dfs.errors import Unavailable
from dfs.events import Action, Note, Origin, Reply, Work, WorkDone
from dfs.limits import CHECK_STALL_NS, SECOND_NS
from dfs.wire.common import Failed, Ok
from dfs.wire.node import CheckReplica


class CheckToken(NamedTuple):
    """Names the check of a replica."""

    origin: Origin
    key: ReplicaKey
    volume: int


@dataclass(slots=True)
class _Reading:
    """What one volume reads. ``moved_ns``: when it began with none under way, or ended one."""

    unanswered: dict[CheckToken, None] = field(default_factory=dict)
    under_way: int = 0
    moved_ns: int = 0
    stalls: bool = False


class Checks:
    """Obeys ``CheckReplica``."""

    def __init__(self, node: str, inventory: Inventory) -> None:
        self._node = node
        self._inventory = inventory
        self._readings: dict[int, _Reading] = {}

    def check(
        self, origin: Origin, key: ReplicaKey, order: CheckReplica, now_ns: int
    ) -> list[Action]:
        """Read a whole replica; one that is not here needs no reading."""
        volume = self._inventory.replicas.volume(key)
        if volume is None:
            self._inventory.missing(key)
            return [Reply(origin, Ok())]
        reading = self._readings.setdefault(volume, _Reading())
        if reading.stalls:
            return [Reply(origin, Failed.of(self._stall(volume)))]
        if not reading.under_way:
            reading.moved_ns = now_ns
        token = CheckToken(origin, key, volume)
        reading.under_way += 1
        reading.unanswered[token] = None
        return [Work(token, Placed(volume, CheckFile(key, order.digest)), lane=key.chunk)]

    def checked(self, token: CheckToken, event: WorkDone, now_ns: int) -> list[Action]:
        """The replica is good, or bad and set aside."""
        reading = self._readings[token.volume]
        reading.under_way -= 1
        reading.moved_ns, reading.stalls = now_ns, False
        actions: list[Action] = []
        if token in reading.unanswered:
            del reading.unanswered[token]
            actions.append(Reply(token.origin, Ok()))
        if event.error is not None:
            actions += bad_replica(self._inventory, token.key, event.error)
        return actions

    def next_deadline(self) -> int | None:
        """When the next volume counts as one that stalls."""
        readings = (r for r in self._readings.values() if r.unanswered)
        return min((r.moved_ns + CHECK_STALL_NS for r in readings), default=None)

    def on_deadline(self, now_ns: int) -> list[Action]:
        """Answer what the volumes that stall leave unanswered."""
        actions: list[Action] = []
        for volume, reading in self._readings.items():
            if reading.unanswered and now_ns - reading.moved_ns >= CHECK_STALL_NS:
                reading.stalls = True
                stall = self._stall(volume)
                actions.append(Note(stall.message))
                actions += [Reply(token.origin, Failed.of(stall)) for token in reading.unanswered]
                reading.unanswered.clear()
        return actions

    def _stall(self, volume: int) -> Unavailable:
        name = self._inventory.volumes.name(volume)
        return Unavailable(
            f"{self._node} waits for {name}: it has read no replica for"
            f" {CHECK_STALL_NS // SECOND_NS} s"
        )
