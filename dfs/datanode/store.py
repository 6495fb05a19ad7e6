"""The chunk files of one volume of a datanode, over ``dfs.disk.Disk``.

::

    chunks/ab/<chunk>-<generation>.tmp      being written
    chunks/ab/<chunk>-<generation>.chunk    sealed, never changed again
    trash/                                  deleted, unlinked later
    quarantine/                             bad, kept for people to look at
    EPOCH                                   highest epoch of a namenode obeyed

What lies there as ``.tmp`` at the start belongs to writers that are gone and is removed.

``execute`` runs in several threads at once, never twice at once for the same chunk: the
lanes of the pool see to that. What is shared between chunks is the cache of footers and the
set of replicas that are *withdrawn*: they are to be moved aside, and their files may be in
their old place still, for as long as the disk refuses to move them.

The first change that the disk fails (an error other than a lack of space or of the process's
own means) ends all changes: every later one is refused without asking the disk again,
since what a failed fsync left behind is not known. What is there is still read and
verified, and what is thrown away anyway may still go.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from dfs.datanode import tasks
from dfs.datanode.chunkfile import (
    ReplicaKey,
    folder_of,
    key_of,
    length_of,
    name_of,
    sealed_path,
)
from dfs.datanode.sealed import SealedFiles
from dfs.datanode.unfinished import UnfinishedFiles
from dfs.disk import Disk, read_whole, write_whole
from dfs.epoch_file import parse_epoch, render_epoch
from dfs.errors import Corrupt, DfsError, NotFound, StorageFault

FOLDERS = ("chunks", "trash", "quarantine")
_FAN_OUT = 256
_EPOCH = "EPOCH"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_OWN_LIMITS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_READS = tasks.ReadFooter | tasks.ReadSlices | tasks.CheckFile
_CHANGES = (
    tasks.OpenFile
    | tasks.WriteSlices
    | tasks.SealFile
    | tasks.QuarantineFile
    | tasks.TrashFiles
    | tasks.SaveEpoch
)


class ChunkStore:
    """Reads and writes the chunk files below one folder. See the module's text."""

    def __init__(self, disk: Disk, cluster: str, volume: int = 0) -> None:
        self._disk = disk
        self._volume = volume
        self._failure = ""
        self._withdrawn: set[ReplicaKey] = set()
        self._unfinished = UnfinishedFiles(disk, cluster)
        self._sealed = SealedFiles(disk, cluster)
        for folder in FOLDERS:
            disk.make_folder(folder)

    def scan(self) -> tasks.Scan:
        """List what is there: removes left-over ``.tmp`` files, quarantines odd ones.

        Costs an open and a stat per replica, and reads none of their bytes. A process that was
        killed may have left a sealed name unsynced; each folder is synced before its names count.
        """
        remarks: list[str] = []
        replicas: list[tuple[ReplicaKey, int]] = []
        for folder in self._chunk_folders():
            self._disk.sync_folder(folder)
            for name in self._disk.names(folder):
                found = self._look_at(folder, name, remarks)
                if found is not None:
                    replicas.append(found)
        trash = _keys_in(self._disk.names("trash"))
        known = [key.chunk for key, _ in replicas]
        known += [key.chunk for key in trash]
        aside = _keys_in(self._disk.names("quarantine"))
        known += [key.chunk for key in aside]
        highest = max(known, default=0)
        return tasks.Scan(replicas, trash, highest, self._load_epoch(), remarks, len(aside))

    def execute(self, task: tasks.Task) -> Any:
        """Do one task; the result and the errors are those of its class in ``tasks``."""
        if isinstance(task, tasks.QuarantineFile):
            self._withdrawn.add(task.key)
        elif isinstance(task, tasks.TrashFiles):
            self._withdrawn.update(task.keys)
        if self._failure and isinstance(task, _CHANGES):
            raise self._failed(f"it failed earlier ({self._failure})")
        try:
            return self._execute(task)
        except DfsError:
            raise
        except OSError as error:
            raise self._fault(task, error) from error

    def is_withdrawn(self, key: ReplicaKey) -> bool:
        """Is this replica to be given to nobody, though its file may be there?"""
        return key in self._withdrawn

    def _fault(self, task: tasks.Task, error: OSError) -> DfsError:
        text = f"{type(task).__name__}: {error}"
        if isinstance(error, FileNotFoundError):
            return NotFound(text)
        if error.errno in _FULL:
            return tasks.DiskFull(text, volume=self._volume)
        if isinstance(task, _READS):
            if error.errno == errno.EIO:
                return Corrupt(f"{task.key} cannot be read: {error}")
            return StorageFault(text)
        if error.errno in _OWN_LIMITS:
            return StorageFault(text)
        self._failure = self._failure or text
        return self._failed(text)

    def _failed(self, text: str) -> tasks.VolumeFailed:
        return tasks.VolumeFailed(text, volume=self._volume)

    def _execute(self, task: tasks.Task) -> Any:
        match task:
            case tasks.OpenFile():
                self._unfinished.begin(task)
            case tasks.WriteSlices():
                self._unfinished.write(task)
            case tasks.SealFile():
                self._unfinished.seal(task.footer)
                self._sealed.keep(task.footer)
                self._withdrawn.discard(task.footer.key)
            case tasks.DropFile():
                self._unfinished.give_up(task.key)
            case tasks.ReadFooter():
                return self._sealed.footer(task.key)
            case tasks.ReadSlices():
                return self._sealed.read(task)
            case tasks.ReadEnds():
                return self._sealed.ends(task.keys)
            case tasks.CheckFile():
                self._sealed.check(task.key, task.digest)
            case tasks.QuarantineFile():
                self._sealed.forget(task.key)
                self._move((task.key,), "quarantine")
            case tasks.TrashFiles():
                for key in task.keys:
                    self._sealed.forget(key)
                self._move(task.keys, "trash")
            case tasks.EmptyTrash():
                for key in task.keys:
                    with suppress(FileNotFoundError):
                        self._disk.unlink(f"trash/{name_of(key)}")
            case tasks.MeasureSpace():
                return tasks.SpaceMeasured(*self._disk.space())
            case tasks.SaveEpoch():
                self._save_epoch(task.epoch)
        return None

    # Moving aside, and the start.

    def _move(self, keys: tuple[ReplicaKey, ...], target: str) -> None:
        changed: dict[str, None] = {}
        for key in keys:
            with suppress(FileNotFoundError):
                self._disk.rename(sealed_path(key), f"{target}/{name_of(key)}")
                changed[folder_of(key)] = None
            self._withdrawn.discard(key)
        for folder in (*changed, target) if changed else ():
            self._disk.sync_folder(folder)

    def _chunk_folders(self) -> Iterator[str]:
        for number in range(_FAN_OUT):
            folder = f"chunks/{number:02x}"
            if self._disk.exists(folder):
                yield folder

    def _look_at(self, folder: str, name: str, remarks: list[str]) -> tuple[ReplicaKey, int] | None:
        path = f"{folder}/{name}"
        found = key_of(name)
        if found is None or folder_of(found[0]) != folder:
            remarks.append(f"{path} is no chunk file of ours: left where it is")
            return None
        key, suffix = found
        if suffix == "tmp":
            self._disk.unlink(path)
            return None
        file = self._disk.open(path)
        try:
            length = length_of(file.size())
        finally:
            file.close()
        if length is None:
            self._move((key,), "quarantine")
            remarks.append(f"{path} has a size that no chunk has: quarantined")
            return None
        return key, length

    def _load_epoch(self) -> int:
        if not self._disk.exists(_EPOCH):
            return 0
        return parse_epoch(read_whole(self._disk, _EPOCH), _EPOCH)

    def _save_epoch(self, epoch: int) -> None:
        write_whole(self._disk, _EPOCH, render_epoch(epoch))


def _keys_in(names: list[str]) -> list[ReplicaKey]:
    return [found[0] for name in names if (found := key_of(name)) is not None]
