"""The data folders of one datanode, opened: the volumes with their stores and disk threads.

A folder that another process uses, or that belongs to somebody else, stops the start: the
configuration is wrong. One whose disk fails is left out, and the node goes on with the
others; with none left it does not start. A folder that is empty is taken in.

A replica that lies on two volumes, as after a disk was copied, is kept once: the first that
verifies stays and the other goes into quarantine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from heapq import merge
from itertools import groupby
from pathlib import Path
from typing import Any

from dfs.config import Config
from dfs.config_file import role_folder
from dfs.data_folder import DataFolder, Owner, open_data_folder
from dfs.datanode.chunkfile import ReplicaKey, sealed_path
from dfs.datanode.kept_log import FOLDER as KEEPER_FOLDER
from dfs.datanode.store import FOLDERS, ChunkStore
from dfs.datanode.tasks import (
    CheckFile,
    Placed,
    QuarantineFile,
    Scan,
    SpaceMeasured,
    VolumeFound,
)
from dfs.disk import LocalDisk, LocalFile
from dfs.errors import ConfigError, DfsError, NotFound, StorageFault
from dfs.events import Work, WorkDone
from dfs.limits import DISK_THREADS, VOLUMES_MAX
from dfs.net.pool import Pool


@dataclass(frozen=True, slots=True)
class DataFolders:
    """All folders of a node. ``volumes`` has one for each in the configuration, in its order;
    ``stores`` and ``disks`` only those that can be used, by the number of their volume."""

    volumes: list[VolumeFound]
    stores: dict[int, ChunkStore]
    disks: dict[int, LocalDisk]
    opened: list[DataFolder]
    remarks: list[str]

    @property
    def first_disk(self) -> LocalDisk:
        """The first folder that can be used."""
        return self.disks[min(self.disks)]

    def open_sealed(self, chunk: int, generation: int) -> LocalFile:
        """A sealed replica on whichever volume; raises ``NotFound``, ``OSError``.

        One that was to be moved aside is not given out, even if the disk did not move it.
        """
        key = ReplicaKey(chunk, generation)
        for number, disk in self.disks.items():
            if not self.stores[number].is_withdrawn(key):
                with suppress(FileNotFoundError):
                    return disk.open(sealed_path(key))
        raise NotFound(f"chunk {chunk} generation {generation} is not held here")

    def close(self) -> None:
        """Let other processes use the folders."""
        for folder in self.opened:
            folder.close()


def open_folders(config: Config, node: str, home: Path, wall_ns: int) -> DataFolders:
    """Open and scan the folders of a datanode.

    Raises ``ConfigError`` for a folder that is not this node's to use, ``StorageFault`` when no
    folder can be used.
    """
    settings = config.datanode
    if len(settings.dirs) > VOLUMES_MAX:
        raise ConfigError(f"[datanode] dirs names {len(settings.dirs)} folders: {VOLUMES_MAX} work")
    folders = DataFolders([], {}, {}, [], [])
    owner = Owner("datanode", node, config.cluster.id, (*FOLDERS, KEEPER_FOLDER))
    try:
        for number, setting in enumerate(settings.dirs):
            path = role_folder(setting, node, home)
            try:
                found = _open(folders, path, owner, wall_ns, number)
            except StorageFault as fault:
                found = VolumeFound(str(path), Scan.empty(), SpaceMeasured(0, 0), 0, fault.message)
                folders.remarks.append(f"left out: {fault.message}")
            reserve_bytes = settings.reserve.of(found.space.capacity_bytes)
            folders.volumes.append(found._replace(reserve_bytes=reserve_bytes))
        if not folders.stores:
            raise StorageFault("; ".join(volume.fault for volume in folders.volumes))
    except BaseException:
        folders.close()
        raise
    folders.remarks.extend(settle_doubles(folders.volumes, folders.stores))
    return folders


def _open(folders: DataFolders, path: Path, owner: Owner, wall_ns: int, number: int) -> VolumeFound:
    folder = open_data_folder(path, owner, wall_ns)
    try:
        store = ChunkStore(folder.disk, owner.cluster, number)
        space = SpaceMeasured(*folder.disk.space())
        disk = str(path.stat().st_dev)
        found = VolumeFound(str(path), store.scan(), space, 0, disk=disk)
    except OSError as error:
        folder.close()
        reason = error.message if isinstance(error, DfsError) else error.strerror
        raise StorageFault(f"{path} cannot be used: {reason}", str(path)) from error
    folders.opened.append(folder)
    folders.stores[number] = store
    folders.disks[number] = folder.disk
    folders.remarks.extend(f"{path}: {remark}" for remark in found.scan.remarks)
    return found


def settle_doubles(volumes: list[VolumeFound], stores: dict[int, ChunkStore]) -> list[str]:
    """Keep each replica on one volume; ``volumes`` is changed. Lines for the log."""
    dropped: dict[int, set[ReplicaKey]] = {}
    remarks: list[str] = []
    for key, places in _doubles(volumes):
        keep = next((number for number in places if _is_good(stores[number], key)), places[0])
        for drop in places:
            if drop == keep:
                continue
            dropped.setdefault(drop, set()).add(key)
            kept, left = volumes[keep].name, volumes[drop].name
            remarks.append(f"{key} lies in {kept} and in {left}: the latter goes into quarantine")
            try:
                stores[drop].execute(QuarantineFile(key))
            except DfsError as error:
                remarks.append(f"{left}: {error.message}")
    for number, keys in dropped.items():
        rows = volumes[number].scan.replicas
        rows[:] = [row for row in rows if row[0] not in keys]
    return remarks


def _doubles(volumes: list[VolumeFound]) -> Iterator[tuple[ReplicaKey, list[int]]]:
    """Replicas that lie on several volumes, with the numbers of these."""

    def rows(number: int) -> Iterator[tuple[ReplicaKey, int]]:
        return ((key, number) for key, _ in volumes[number].scan.replicas)

    for volume in volumes:
        volume.scan.replicas.sort()
    everywhere = merge(*map(rows, range(len(volumes))))
    for key, found in groupby(everywhere, key=lambda row: row[0]):
        places = [number for _, number in found]
        if len(places) > 1:
            yield key, places


def _is_good(store: ChunkStore, key: ReplicaKey) -> bool:
    try:
        store.execute(CheckFile(key))
    except DfsError:
        return False
    return True


class DiskThreads:
    """Threads of its own for each volume, so that a disk that hangs holds up no other, and one
    for ``keep``, which does what lies on no volume: the copy of the log."""

    def __init__(
        self,
        stores: dict[int, ChunkStore],
        keep: Callable[[Any], Any],
        wake: Callable[[], None],
    ) -> None:
        self._volumes = {
            number: Pool(store.execute, DISK_THREADS, wake, f"disk-{number}")
            for number, store in stores.items()
        }
        self._keeper = Pool(keep, 1, wake, "keeper")
        self._pools = (*self._volumes.values(), self._keeper)

    def submit(self, work: Work) -> None:
        """Have ``Placed`` work done on its volume, and the keeper's by the keeper."""
        if isinstance(work.task, Placed):
            self._volumes[work.task.volume].submit(replace(work, task=work.task.task))
        else:
            self._keeper.submit(work)

    def take_done(self, limit: int) -> list[WorkDone]:
        """What has ended."""
        done: list[WorkDone] = []
        for pool in self._pools:
            done += pool.take_done(limit - len(done))
        return done

    def close(self) -> None:
        """End the threads."""
        for pool in self._pools:
            pool.close()
