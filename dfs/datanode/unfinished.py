"""Chunk files being written: begun, filled, sealed or given up.

Sealing is: hashes and trailer, cut to size, fsync, rename, fsync of the folder; only
after all of it may a receipt be given. After any failed write or sync the file is given
up: what the kernel still holds of it proves nothing.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from dfs.datanode.chunkfile import (
    HEADER_BYTES,
    Footer,
    Header,
    ReplicaKey,
    encode_footer,
    encode_header,
    file_bytes,
    folder_of,
    sealed_path,
    unfinished_path,
)
from dfs.datanode.tasks import OpenFile, WriteSlices
from dfs.disk import Disk, File
from dfs.errors import StorageFault
from dfs.events import Payload
from dfs.limits import WRITEBACK_BYTES


@dataclass(slots=True)
class _OpenFile:
    file: File
    flushed: int = 0


class UnfinishedFiles:
    """The ``.tmp`` files that this process has open. Errors are OSError and StorageFault."""

    def __init__(self, disk: Disk, cluster: str) -> None:
        self._disk = disk
        self._cluster = cluster
        self._open: dict[ReplicaKey, _OpenFile] = {}

    def begin(self, task: OpenFile) -> None:
        """A new file with its header; what was left of an older attempt is removed."""
        self.give_up(task.key)
        self._disk.make_folder(folder_of(task.key))
        room = file_bytes(task.size_hint) if task.size_hint else 0
        self._open[task.key] = _OpenFile(self._disk.create(unfinished_path(task.key), room))
        header = Header(self._cluster, task.key, task.inode, task.start, task.path)
        self._write_or_give_up(task.key, 0, encode_header(header))

    def write(self, task: WriteSlices) -> None:
        """Data at its offset; the kernel is asked to write early, so that sync is short."""
        self._write_or_give_up(task.key, HEADER_BYTES + task.offset, task.data)

    def seal(self, footer: Footer) -> None:
        """Durable under its final name when this returns."""
        key, final = footer.key, sealed_path(footer.key)
        self._write_or_give_up(key, HEADER_BYTES + footer.length, encode_footer(footer))
        file = self._open[key].file
        try:
            file.truncate(file_bytes(footer.length))
            file.sync()
        except OSError:
            self._give_up_quietly(key)
            raise
        del self._open[key]
        try:
            file.close()
            self._disk.rename(unfinished_path(key), final)
            self._disk.sync_folder(folder_of(key))
        except OSError:
            for name in (unfinished_path(key), final):
                with suppress(OSError):
                    self._disk.unlink(name)
            raise

    def _write_or_give_up(self, key: ReplicaKey, at: int, data: Payload) -> None:
        opened = self._open.get(key)
        if opened is None:
            raise StorageFault(f"{key} was given up after an earlier fault of the disk")
        end = at + len(data)
        try:
            opened.file.write_at(at, data)
            if end - opened.flushed >= WRITEBACK_BYTES:
                opened.file.start_writeback(opened.flushed, end - opened.flushed)
                opened.flushed = end
        except OSError:
            self._give_up_quietly(key)
            raise

    def give_up(self, key: ReplicaKey) -> None:
        """Close and remove the unfinished file of a replica; fine if there is none."""
        opened = self._open.pop(key, None)
        if opened is not None:
            with suppress(OSError):
                opened.file.close()
        with suppress(FileNotFoundError):
            self._disk.unlink(unfinished_path(key))

    def _give_up_quietly(self, key: ReplicaKey) -> None:
        """After a fault: the first error is the one to tell."""
        with suppress(OSError):
            self.give_up(key)
