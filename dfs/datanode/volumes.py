"""The volumes of one datanode: its data folders, each best on a disk of its own.

Rules of the file:

* A replica lies on exactly one volume. A new one goes where the most room is left beyond
  the reserve; volumes with equally much take turns.
* Volumes may share a disk: its size and its room count once.
* What is about to be written counts as used until the disk is measured again, which happens
  with each heartbeat and after a write that found the disk full.
* A volume that failed stays failed until the process starts again. It takes nothing new and
  counts neither as capacity nor as room. What it holds is read as long as it verifies.
* The epoch is saved on every healthy volume before it is obeyed. It suffices that one of them
  kept it: the highest one found counts at the next start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dfs.datanode.tasks import (
    NODE_LANE,
    DiskFull,
    MeasureSpace,
    Placed,
    SaveEpoch,
    SpaceMeasured,
    VolumeFailed,
    VolumeFault,
    VolumeFound,
)
from dfs.events import Action, Note, Work, WorkDone
from dfs.limits import CHUNK_DEFAULT_BYTES, FAULT_TEXT_MAX
from dfs.wire.node import DiskRoom


class SpaceToken(NamedTuple):
    """Names a measurement of a volume's space."""

    volume: int


class EpochToken(NamedTuple):
    """Names the saving of an epoch on a volume."""

    volume: int
    epoch: int


@dataclass(slots=True)
class _Volume:
    name: str
    space: SpaceMeasured
    reserve_bytes: int
    fault: str
    disk: str
    measuring: bool = False

    @property
    def room_bytes(self) -> int:
        if self.fault:
            return 0
        return max(0, self.space.free_bytes - self.reserve_bytes)


class Volumes:
    """Which volumes there are, how much room they have, and which of them failed."""

    def __init__(self, found: Sequence[VolumeFound]) -> None:
        self._volumes = [
            _Volume(v.name, v.space, v.reserve_bytes, v.fault[:FAULT_TEXT_MAX], v.disk or v.name)
            for v in found
        ]
        self._turn = 0
        self._saving: dict[EpochToken, None] = {}
        self._saved = False

    def __len__(self) -> int:
        return len(self._volumes)

    def name(self, volume: int) -> str:
        """The folder of a volume."""
        return self._volumes[volume].name

    # Room.

    @property
    def capacity_bytes(self) -> int:
        """The size of the disks that work."""
        sizes = {v.disk: v.space.capacity_bytes for v in self._volumes if not v.fault}
        return sum(sizes.values())

    @property
    def room_bytes(self) -> int:
        """Room for chunks: what is free beyond the reserves."""
        return sum(disk.free_bytes for disk in self.disks)

    @property
    def disks(self) -> tuple[DiskRoom, ...]:
        """The room on each disk that works: the least that is left to one of its volumes."""
        rooms: dict[str, int] = {}
        for volume in self._volumes:
            if not volume.fault:
                room_bytes = volume.room_bytes
                rooms[volume.disk] = min(rooms.get(volume.disk, room_bytes), room_bytes)
        return tuple(DiskRoom(*room) for room in rooms.items())

    @property
    def largest_room_bytes(self) -> int:
        """The room of the volume that has the most: the longest file that can be placed."""
        return max((v.room_bytes for v in self._volumes), default=0)

    def place(self, length: int) -> int | None:
        """The volume for a file of ``length`` bytes, which take room from now on.

        None: every reserve would be touched.
        """
        count = len(self._volumes)
        in_turn = [(self._turn + n) % count for n in range(count)]
        best = max(in_turn, key=lambda n: self._volumes[n].room_bytes)
        volume = self._volumes[best]
        if volume.fault or volume.room_bytes < length:
            return None
        self._turn = (best + 1) % count
        for other in self._volumes:
            if other.disk == volume.disk:
                free_bytes = other.space.free_bytes - length
                other.space = other.space._replace(free_bytes=free_bytes)
        return best

    def is_short(self, volume: int) -> bool:
        """Is there no room for another chunk?"""
        return self._volumes[volume].room_bytes < CHUNK_DEFAULT_BYTES

    def measure(self) -> list[Action]:
        """Look at the disks, but at none that is being looked at."""
        actions: list[Action] = []
        for number, volume in enumerate(self._volumes):
            if not (volume.fault or volume.measuring):
                volume.measuring = True
                task = Placed(number, MeasureSpace())
                actions.append(Work(SpaceToken(number), task, lane=NODE_LANE))
        return actions

    def measured(self, token: SpaceToken, event: WorkDone) -> list[Action]:
        """A disk told its space, or could not."""
        volume = self._volumes[token.volume]
        volume.measuring = False
        if event.error is not None:
            return [Note(f"cannot measure {volume.name}: {event.error}")]
        volume.space = event.result
        return []

    # Failure.

    def healthy(self) -> list[int]:
        """The numbers of the volumes that work."""
        return [number for number, volume in enumerate(self._volumes) if not volume.fault]

    @property
    def failed(self) -> tuple[str, ...]:
        """A line for each volume that failed, or was left out at the start."""
        return tuple(f"{v.name}: {v.fault}" for v in self._volumes if v.fault)

    def work_failed(self, error: VolumeFault) -> list[Action]:
        """A piece of disk work failed: what follows for its volume, told once."""
        volume = self._volumes[error.volume]
        if isinstance(error, DiskFull):
            return self.measure()
        if not isinstance(error, VolumeFailed) or volume.fault:
            return []
        volume.fault = error.message[:FAULT_TEXT_MAX]
        return [
            Note(
                f"the volume {volume.name} failed ({volume.fault}): nothing is written there any"
                " more; replace or repair the disk, then start the node again"
            )
        ]

    # The epoch.

    def save_epoch(self, epoch: int) -> list[Action]:
        """Save it on every healthy volume; nothing to be done when there is none."""
        tokens = [EpochToken(volume, epoch) for volume in self.healthy()]
        self._saving = dict.fromkeys(tokens)
        self._saved = False
        return [Work(t, Placed(t.volume, SaveEpoch(epoch)), lane=NODE_LANE) for t in tokens]

    def epoch_saved(self, token: EpochToken, event: WorkDone) -> bool | None:
        """One volume is done with it: was it kept at all? None while others are at it."""
        if token not in self._saving:
            return None
        del self._saving[token]
        if event.error is None:
            self._saved = True
        return None if self._saving else self._saved

    def end_saving(self) -> bool:
        """Wait for no more volumes: was the epoch kept on any?"""
        self._saving = {}
        return self._saved
