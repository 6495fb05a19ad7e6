"""A copy of the log that comes in pieces from a keeper, written into a new namenode's folder.

Its snapshot counts when all of it was written, checked and synced. Nothing is mixed: beginning
with a copy removes what was written of another one.
"""

from __future__ import annotations

from dfs.disk import Disk, write_whole
from dfs.errors import Corrupt, DfsError, NotSupported, StorageFault
from dfs.limits import LOG_SEGMENT_BYTES
from dfs.log_copy import LogCopy
from dfs.manifest import Manifest, parse, render
from dfs.namenode.command_codec import CommandCodec
from dfs.namenode.copy_reader import BeginCopy, Task, WriteRecords, WriteSnapshot
from dfs.namenode.log import FOLDER as LOG_FOLDER
from dfs.namenode.log import Log
from dfs.namenode.log_recovery import first_index
from dfs.namenode.snapshot_store import (
    FOLDER,
    ViewCopier,
    data_name,
    manifest_name,
    problem_of_data,
)

_NEW = f"{FOLDER}/new.tmp"


class CopyWriter:
    """Carries out what a ``CopyReader`` decides, on the disk of a new folder."""

    def __init__(self, disk: Disk, cluster: str, copier: ViewCopier) -> None:
        self._disk = disk
        self._cluster = cluster
        self._snapshot = _Snapshot(disk, cluster, copier)
        self._log = LogCopy(disk, LOG_FOLDER, cluster, LOG_SEGMENT_BYTES)

    def execute(self, task: Task) -> None:
        """Do it; raises ``Corrupt`` and ``StorageFault``."""
        try:
            match task:
                case BeginCopy(first, previous):
                    self._snapshot.keep_only(first - 1)
                    self._log.begin(first, previous)
                case WriteSnapshot():
                    self._snapshot.write(task)
                case WriteRecords(first, records):
                    self._log.append(first, records)
        except DfsError:
            raise
        except OSError as error:
            raise StorageFault(f"the new log cannot be written: {error}") from error

    def finish(self, base: int) -> None:
        """All was written; without a record the log begins behind the snapshot ``base``."""
        self._log.close()
        if base and not first_index(self._disk, LOG_FOLDER, self._cluster):
            Log.begin(self._disk, CommandCodec(()), self._cluster, base + 1).close()


class _Snapshot:
    """Writes snapshots into the folder of a ``SnapshotStore`` that nobody else uses."""

    def __init__(self, disk: Disk, cluster: str, copier: ViewCopier) -> None:
        self._disk = disk
        self._cluster = cluster
        self._copier = copier

    def keep_only(self, index: int) -> None:
        """Remove what was received before, but for the snapshot of this record."""
        self._disk.make_folder(FOLDER)
        kept = (manifest_name(index), data_name(index))
        names = [f"{FOLDER}/{name}" for name in reversed(self._disk.names(FOLDER))]
        for name in names:
            if name not in kept:
                self._disk.unlink(name)
        self._disk.sync_folder(FOLDER)

    def write(self, task: WriteSnapshot) -> None:
        """Write a piece; with the last one the snapshot is whole, checked and durable.

        Raises ``Corrupt`` when it is not what its manifest says, ``OSError``.
        """
        piece = task.piece
        if piece.offset == 0:
            self.keep_only(0)
        file = self._disk.open(_NEW, write=True) if piece.offset else self._disk.create(_NEW)
        end = piece.offset + len(task.data)
        try:
            file.write_at(piece.offset, task.data)
            if end >= piece.size:
                file.sync()
        finally:
            file.close()
        if end >= piece.size:
            self._finish(piece.index, piece.manifest)

    def _finish(self, index: int, text: bytes) -> None:
        manifest = self._manifest(index, text)
        problem = problem_of_data(self._disk, _NEW, manifest, self._copier)
        if problem:
            raise Corrupt(f"the snapshot of record {index} is damaged: {problem}")
        self._disk.rename(_NEW, data_name(index))
        self._disk.sync_folder(FOLDER)
        write_whole(self._disk, manifest_name(index), render(manifest))

    def _manifest(self, index: int, text: bytes) -> Manifest:
        try:
            manifest = parse(text, f"the manifest of record {index}")
        except NotSupported as error:
            raise Corrupt(error.message) from error
        expected = (self._cluster, index, self._copier.format)
        if (manifest.cluster, manifest.index, manifest.view) != expected:
            raise Corrupt(
                f"the snapshot of record {index} says that it is of cluster {manifest.cluster!r},"
                f" record {manifest.index}, {manifest.view!r}"
            )
        return manifest
