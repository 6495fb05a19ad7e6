"""Disk work of a datanode, as values: the core asks for it, ``ChunkStore.execute`` does it.

A node has one store for each of its volumes, so a task is given out ``Placed`` on one of
them. Tasks of one chunk share a lane (the chunk's id), so they run in the order given.
Failures come back as ``VolumeFailed``, ``DiskFull``, ``StorageFault`` (any other refusal
of the system), ``Corrupt`` (bytes do not match their checksums) or ``NotFound``
(no such file). Offsets and lengths are bytes of chunk data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from dfs.datanode.chunkfile import Footer, Header, ReplicaKey
from dfs.errors import StorageFault
from dfs.events import Payload

NODE_LANE = 0
"""The lane of work that belongs to no single chunk; chunk ids begin at 1."""


class VolumeFault(StorageFault):
    """A disk failed what changes something on it; ``volume`` is its number."""

    def __init__(self, message: str, path: str = "", volume: int = 0) -> None:
        super().__init__(message, path)
        self.volume = volume


class VolumeFailed(VolumeFault):
    """The disk is not to be trusted with anything new from now on."""


class DiskFull(VolumeFault):
    """The disk has no space left for this."""


class Scan(NamedTuple):
    """What the store held when it was opened; ``remarks`` are lines for the log."""

    replicas: list[tuple[ReplicaKey, int]]
    trash: list[ReplicaKey]
    highest_chunk: int
    epoch: int
    remarks: list[str]
    quarantined: int = 0

    @classmethod
    def empty(cls) -> Scan:
        """Nothing was found."""
        return cls([], [], 0, 0, [])


class SpaceMeasured(NamedTuple):
    """Result of ``MeasureSpace``."""

    capacity_bytes: int
    free_bytes: int


class VolumeFound(NamedTuple):
    """A volume as it was found at the start: with a ``fault`` it was left out and holds nothing.

    ``name`` is its folder, for people; ``reserve_bytes`` of its disk stay free. ``disk`` names the
    disk, which other volumes may share; "" when it is the volume's own.
    """

    name: str
    scan: Scan
    space: SpaceMeasured
    reserve_bytes: int
    fault: str = ""
    disk: str = ""


class SlicesRead(NamedTuple):
    """Result of ``ReadSlices``: verified bytes, the packed hashes of all slices, the header."""

    data: bytes
    hashes: bytes
    header: Header | None = None


class Chore(NamedTuple):
    """Token of work whose end nobody waits for; its failure is only noted."""

    what: str
    key: ReplicaKey | None = None


@dataclass(frozen=True, slots=True)
class OpenFile:
    """Begin the file of a new replica, with room for ``size_hint`` bytes. Result: None."""

    key: ReplicaKey
    inode: int
    start: int
    path: str
    size_hint: int


@dataclass(frozen=True, slots=True)
class WriteSlices:
    """Write at ``offset`` of an open file. Result: None. A failure removes the file."""

    key: ReplicaKey
    offset: int
    data: Payload


@dataclass(frozen=True, slots=True)
class SealFile:
    """Make an open file durable under its final name. Result: None. A failure removes it."""

    footer: Footer


@dataclass(frozen=True, slots=True)
class DropFile:
    """Remove an open file; fine if there is none. Result: None."""

    key: ReplicaKey


@dataclass(frozen=True, slots=True)
class ReadFooter:
    """Result: the ``Footer`` of a sealed replica, verified."""

    key: ReplicaKey


@dataclass(frozen=True, slots=True)
class ReadSlices:
    """Result: ``SlicesRead``. ``offset`` and end are slice borders or the chunk's end."""

    key: ReplicaKey
    offset: int
    length: int
    with_header: bool = False


@dataclass(frozen=True, slots=True)
class ReadEnds:
    """Result: ``(Header, Footer)`` of each of these replicas that is sound at both ends."""

    keys: tuple[ReplicaKey, ...]


@dataclass(frozen=True, slots=True)
class CheckFile:
    """Verify every byte of a sealed replica, and its digest if one is given. Result: None."""

    key: ReplicaKey
    digest: bytes = b""


@dataclass(frozen=True, slots=True)
class QuarantineFile:
    """Set a bad replica aside, for people to look at. Result: None; fine if there is none."""

    key: ReplicaKey


@dataclass(frozen=True, slots=True)
class TrashFiles:
    """Move replicas into the trash; those that are not there count as moved. Result: None."""

    keys: tuple[ReplicaKey, ...]


@dataclass(frozen=True, slots=True)
class EmptyTrash:
    """Remove replicas from the trash for good. Result: None."""

    keys: tuple[ReplicaKey, ...]


@dataclass(frozen=True, slots=True)
class MeasureSpace:
    """Result: ``SpaceMeasured``."""


@dataclass(frozen=True, slots=True)
class SaveEpoch:
    """Remember durably the highest epoch of a namenode that this node obeys. Result: None."""

    epoch: int


Task: TypeAlias = (
    OpenFile
    | WriteSlices
    | SealFile
    | DropFile
    | ReadFooter
    | ReadSlices
    | ReadEnds
    | CheckFile
    | QuarantineFile
    | TrashFiles
    | EmptyTrash
    | MeasureSpace
    | SaveEpoch
)


class Placed(NamedTuple):
    """A task and the number of the volume that it concerns."""

    volume: int
    task: Task
