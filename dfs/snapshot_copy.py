"""The namenode's snapshot beside a copy of its log, on the disk of a datanode.

::

    INDEX.mdb         the data; they stand for the records up to INDEX
    INDEX.manifest    what they are (``dfs.manifest``); written last, without it they are nothing
    snapshot.tmp      what has arrived of the next one

It arrives in pieces, each synced before the next, since records of the log wait for the same
thread: they wait for one piece, never for a whole snapshot. When all is there and has the hash of
its manifest it becomes the snapshot, durably, and only then the older one goes. What was broken
off is removed, so that it takes no room, and begun again.

All bytes are read when the copy is opened. A snapshot that is damaged then does not count; damage
that comes later is found by who reads it, since he checks the whole, too.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import NamedTuple

from dfs.disk import Disk, write_whole
from dfs.errors import Corrupt, NotFound, StorageFault
from dfs.events import Payload
from dfs.limits import LOG_PIECE_BYTES, LOG_SEGMENT_BYTES
from dfs.manifest import DIGEST_BYTES, MANIFEST_MAX_BYTES, Manifest, parse, render

_DATA, _MANIFEST = ".mdb", ".manifest"


class SnapshotPiece(NamedTuple):
    """A piece of a snapshot, the size of all its data, and its manifest."""

    data: bytes
    size: int
    manifest: bytes


class SnapshotCopy:
    """The snapshot in ``folder``, known after ``load``. One thread at a time.

    ``index`` is that of its last record, 0 without one; ``remark`` says what was found damaged.
    """

    def __init__(self, disk: Disk, folder: str) -> None:
        self.index = 0
        self.remark = ""
        self._disk = disk
        self._folder = folder
        self._temporary = f"{folder}/snapshot.tmp"
        self._hash = hashlib.blake2b(digest_size=DIGEST_BYTES)
        self._arriving: Manifest | None = None
        self._end = 0

    def load(self) -> None:
        """Find the newest one that is whole and sound; remove what had only begun to arrive."""
        self._remove_arrived()
        for index in sorted(self._indexes(_MANIFEST), reverse=True):
            if self._is_sound(index):
                self.index = index
                return
            self.remark = f"the snapshot of record {index} is damaged"

    def take(self, manifest: Manifest, offset: int, data: Payload) -> None:
        """Keep a piece; with the last one the snapshot is whole and durable.

        One that is not newer than what is kept changes nothing. Raises ``Corrupt`` when it is not
        the next piece, or the whole is not what the manifest says; ``StorageFault`` when
        there is no room; ``OSError``.
        """
        if manifest.index <= self.index:
            return
        if offset == 0:
            self._begin(manifest)
        if (self._arriving, self._end) != (manifest, offset):
            raise Corrupt(f"a piece of the snapshot of record {manifest.index} is missing")
        try:
            self._write(data)
            if self._end >= manifest.data_bytes:
                self._finish(manifest)
        except OSError:  # ``Corrupt`` is one, too
            with suppress(OSError):
                self._remove_arrived()
            raise

    def read(self, index: int, offset: int) -> SnapshotPiece:
        """A piece of the snapshot. Raises ``NotFound`` when another one is kept, ``OSError``."""
        if not index or index != self.index:
            raise NotFound(f"no snapshot of record {index} is kept here")
        manifest, _ = self._read(self._name(index, _MANIFEST), 0)
        data, size = self._read(self._name(index, _DATA), offset)
        return SnapshotPiece(data, size, manifest)

    # -- arriving

    def _begin(self, manifest: Manifest) -> None:
        self._remove_arrived()
        _, free_bytes = self._disk.space()
        wanted = manifest.data_bytes + LOG_SEGMENT_BYTES
        if free_bytes < wanted:
            raise StorageFault(
                f"the snapshot of record {manifest.index} needs {wanted} bytes free on the"
                f" datanode's disk, it has {free_bytes}: free space on it"
            )
        self._disk.create(self._temporary).close()
        self._hash = hashlib.blake2b(digest_size=DIGEST_BYTES)
        self._arriving = manifest

    def _write(self, data: Payload) -> None:
        file = self._disk.open(self._temporary, write=True)
        try:
            file.write_at(self._end, data)
            file.sync()
        finally:
            file.close()
        self._hash.update(data)
        self._end += len(data)

    def _finish(self, manifest: Manifest) -> None:
        index = manifest.index
        if (self._hash.hexdigest(), self._end) != (manifest.digest, manifest.data_bytes):
            raise Corrupt(f"the snapshot of record {index} is not what its manifest says")
        self._disk.rename(self._temporary, self._name(index, _DATA))
        self._arriving = None
        self._disk.sync_folder(self._folder)
        write_whole(self._disk, self._name(index, _MANIFEST), render(manifest))
        self.index, self.remark = index, ""
        for suffix in (_MANIFEST, _DATA):
            for old in self._indexes(suffix):
                if old != index:
                    self._disk.unlink(self._name(old, suffix))
            self._disk.sync_folder(self._folder)

    def _remove_arrived(self) -> None:
        self._arriving, self._end = None, 0
        with suppress(FileNotFoundError):
            self._disk.unlink(self._temporary)

    # -- what is there

    def _indexes(self, suffix: str) -> list[int]:
        names = [name for name in self._disk.names(self._folder) if name.endswith(suffix)]
        stems = [name.removesuffix(suffix) for name in names]
        return [int(stem) for stem in stems if stem.isdecimal()]

    def _is_sound(self, index: int) -> bool:
        try:
            text, _ = self._read(self._name(index, _MANIFEST), 0)
            manifest = parse(text[:MANIFEST_MAX_BYTES], f"the manifest of record {index}")
            return manifest.index == index and self._digest(index) == manifest.digest
        except OSError:  # it is gone, no sector of it may fail, or it is not what it should be
            return False

    def _digest(self, index: int) -> str:
        hasher, offset = hashlib.blake2b(digest_size=DIGEST_BYTES), 0
        file = self._disk.open(self._name(index, _DATA))
        try:
            while data := file.read_at(offset, LOG_PIECE_BYTES):
                hasher.update(data)
                offset += len(data)
        finally:
            file.close()
        return hasher.hexdigest()

    def _read(self, name: str, offset: int) -> tuple[bytes, int]:
        file = self._disk.open(name)
        try:
            return file.read_at(offset, LOG_PIECE_BYTES), file.size()
        finally:
            file.close()

    def _name(self, index: int, suffix: str) -> str:
        return f"{self._folder}/{index:020}{suffix}"
