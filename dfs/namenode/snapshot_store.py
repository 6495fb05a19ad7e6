"""Snapshots on the disk: taking, checking, reading and removing them.

A snapshot is two files in the folder ``snapshots`` of the namenode::

    00000000000000081234.mdb         the data, a compact copy of the view
    00000000000000081234.manifest    see ``dfs.manifest``

The data are written as ``new.tmp``, synced, checked by another process and hashed, and get their
name; then the manifest is written, synced and gets its name. So a crash at any point leaves a
whole snapshot, or something without a manifest that goes at the next start. Removing goes the
other way round: the manifest first.

A copy needs room. It is not begun unless the disk has as much as the view has and a reserve that
the log can live on, and what was written of one that fails is removed at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Protocol, assert_never

from dfs.disk import Disk, File, write_whole
from dfs.errors import Corrupt, DfsError, NoRoom, NotSupported, Refused, StorageFault
from dfs.limits import FRAME_BYTES, SNAPSHOT_RESERVE_BYTES
from dfs.manifest import (
    DIGEST_BYTES,
    MANIFEST_MAX_BYTES,
    Manifest,
    parse,
    render,
)
from dfs.namenode.log_recovery import storage_faults
from dfs.namenode.snapshots import (
    CheckSnapshot,
    DropSnapshots,
    ReadSnapshot,
    TakeSnapshot,
    Task,
    UnlinkSegments,
)

FOLDER = "snapshots"
_NEW = f"{FOLDER}/new.tmp"
_DATA = ".mdb"
_MANIFEST = ".manifest"


class ViewCopier(Protocol):
    """How the view is copied, and a copy checked. Called in another thread than the view."""

    format: str
    """Engine and format of the data."""

    def used_bytes(self) -> int:
        """How large a copy will be at most."""

    def copy_to(self, file: File) -> None:
        """Write the committed view into an empty file."""

    def check(self, disk: Disk, name: str) -> int:
        """The applied index of a copy that is sound; raises ``Corrupt``."""


class SnapshotStore:
    """The snapshots of one namenode; ``execute`` carries out the work of ``Snapshots``."""

    def __init__(self, disk: Disk, cluster: str, copier: ViewCopier) -> None:
        self._disk = disk
        self._cluster = cluster
        self._copier = copier

    def execute(self, task: Task) -> Any:
        """Do a piece of work; raises ``DfsError`` and ``OSError``."""
        match task:
            case TakeSnapshot():
                return self.take()
            case CheckSnapshot(manifest):
                return self.problem_of(manifest)
            case DropSnapshots(indexes):
                for index in indexes:
                    self._drop(index)
            case UnlinkSegments(names):
                self._unlink_in_order(names)
            case ReadSnapshot(index, offset, length):
                return self._read(data_name(index), offset, length)
            case _:
                assert_never(task)
        return None

    def clean(self) -> None:
        """Make the folder, and remove from it what a crash has left half done.

        Raises as ``whole`` does.
        """
        keep = {f(m.index) for m in self.whole() for f in (data_name, manifest_name)}
        with storage_faults("the snapshots cannot be cleaned"):
            self._disk.make_folder(FOLDER)
            for name in self._disk.names(FOLDER):
                if f"{FOLDER}/{name}" not in keep:
                    self._disk.unlink(f"{FOLDER}/{name}")
            self._disk.sync_folder(FOLDER)

    def whole(self) -> list[Manifest]:
        """The snapshots that are whole, newest first; their data are not read.

        What has no sound manifest, or data of another size, counts as none. Raises
        ``NotSupported`` for a newer format, ``Refused`` for another cluster, ``StorageFault``.
        """
        with storage_faults("the snapshots cannot be read"):
            if not self._disk.exists(FOLDER):
                return []
            names = [name for name in self._disk.names(FOLDER) if name.endswith(_MANIFEST)]
            found = [self._manifest(name) for name in names]
            whole = [m for m in found if m is not None and self._has_data(m)]
        return sorted(whole, key=lambda m: m.index, reverse=True)

    def take(self) -> Manifest:
        """Make a snapshot of the view as of its last commit; a damaged one of it is replaced.

        Raises ``NoRoom``, ``Corrupt`` when the copy is not sound, ``OSError``.
        """
        self._check_room()
        self._remove(_NEW)
        try:
            manifest = self._copy()
            older = self._sound(manifest.index)
            if older is not None:
                self._remove(_NEW)
                return older
            self._disk.rename(_NEW, data_name(manifest.index))
        except (OSError, DfsError):
            with suppress(OSError):
                self._remove(_NEW)
            raise
        self._disk.sync_folder(FOLDER)
        write_whole(self._disk, manifest_name(manifest.index), render(manifest))
        return manifest

    def problem_of(self, manifest: Manifest) -> str:
        """What is wrong with a snapshot, its data read from end to end; "" if nothing is."""
        return problem_of_data(self._disk, data_name(manifest.index), manifest, self._copier)

    def read_data(self, index: int) -> Iterable[bytes]:
        """The data of a snapshot in pieces."""
        return pieces(self._disk, data_name(index))

    # -- inside

    def _sound(self, index: int) -> Manifest | None:
        """The snapshot of a record; None if there is none, or a damaged one, which is none now."""
        name = manifest_name(index)
        if not self._disk.exists(name):
            return None
        manifest = self._manifest(name.removeprefix(f"{FOLDER}/"))
        if manifest is not None and not self.problem_of(manifest):
            return manifest
        self._remove(name)
        self._disk.sync_folder(FOLDER)
        return None

    def _copy(self) -> Manifest:
        file = self._disk.create(_NEW)
        try:
            self._copier.copy_to(file)
            file.sync()
            size = file.size()
        finally:
            file.close()
        index = self._copier.check(self._disk, _NEW)
        digest = digest_of(self._disk, _NEW)
        return Manifest(self._cluster, index, self._copier.format, size, digest)

    def _check_room(self) -> None:
        _, free_bytes = self._disk.space()
        wanted = self._copier.used_bytes() + SNAPSHOT_RESERVE_BYTES
        if free_bytes < wanted:
            raise NoRoom(
                f"a snapshot needs {wanted} bytes free on the namenode's disk, it has {free_bytes}:"
                " free space on it"
            )

    def _manifest(self, name: str) -> Manifest | None:
        """A manifest, None for what is none; raises ``Refused`` and ``NotSupported``."""
        stem = name.removesuffix(_MANIFEST)
        if not stem.isdecimal():
            return None
        try:
            manifest = self._read_manifest(int(stem))
        except Corrupt:
            return None
        if manifest.cluster != self._cluster:
            raise Refused(
                f"{FOLDER}/{name} is of cluster {manifest.cluster!r} and this is cluster"
                f" {self._cluster!r}: correct [namenode] dir or [cluster] id in the configuration"
            )
        if manifest.view != self._copier.format:
            raise NotSupported(
                f"{FOLDER}/{name} is of {manifest.view!r} and this program knows"
                f" {self._copier.format!r}: start the version that wrote it; nothing was changed"
            )
        return manifest if manifest.index == int(stem) else None

    def _read_manifest(self, index: int) -> Manifest:
        name = manifest_name(index)
        return parse(self._read(name, 0, MANIFEST_MAX_BYTES), name)

    def _has_data(self, manifest: Manifest) -> bool:
        name = data_name(manifest.index)
        return self._disk.exists(name) and size_of(self._disk, name) == manifest.data_bytes

    def _read(self, name: str, offset: int, length: int) -> bytes:
        file = self._disk.open(name)
        try:
            return file.read_at(offset, length)
        finally:
            file.close()

    def _drop(self, index: int) -> None:
        self._remove(manifest_name(index))
        self._disk.sync_folder(FOLDER)
        self._remove(data_name(index))

    def _unlink_in_order(self, names: tuple[str, ...]) -> None:
        for name in names:
            self._remove(name)
            self._disk.sync_folder(name.rpartition("/")[0])

    def _remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self._disk.unlink(name)


def data_name(index: int) -> str:
    """The file of a snapshot's data."""
    return f"{FOLDER}/{index:020}{_DATA}"


def manifest_name(index: int) -> str:
    """The file of a snapshot's manifest."""
    return f"{FOLDER}/{index:020}{_MANIFEST}"


def size_of(disk: Disk, name: str) -> int:
    """The length of a file."""
    file = disk.open(name)
    try:
        return file.size()
    finally:
        file.close()


def pieces(disk: Disk, name: str) -> Iterable[bytes]:
    """The content of a file, piece by piece."""
    file = disk.open(name)
    try:
        offset = 0
        while data := file.read_at(offset, FRAME_BYTES):
            yield data
            offset += len(data)
    finally:
        file.close()


def digest_of(disk: Disk, name: str) -> str:
    """The BLAKE2b-256 of a file, in hex."""
    hasher = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for data in pieces(disk, name):
        hasher.update(data)
    return hasher.hexdigest()


def problem_of_data(disk: Disk, name: str, manifest: Manifest, copier: ViewCopier) -> str:
    """What is wrong with data that should be what their manifest says; "" if nothing is."""
    try:
        size = size_of(disk, name)
        if size != manifest.data_bytes:
            return f"it has {size} bytes and should have {manifest.data_bytes}"
        if digest_of(disk, name) != manifest.digest:
            return "its hash is not that of its manifest"
        index = copier.check(disk, name)
    except Corrupt as error:
        return error.message
    except (OSError, StorageFault) as error:
        return f"it cannot be read: {getattr(error, 'strerror', None) or error}"
    return "" if index == manifest.index else f"it holds record {index}"
