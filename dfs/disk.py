"""Files of one daemon: the seam between what is stored and where.

The log and the chunk store are written against ``Disk`` and ``File``. ``LocalDisk``
is the real thing; ``dfs.testing.disk`` has one in memory that forgets what was not
synced, tears writes and runs full, so that durability is a unit test.

Rules for whoever writes through it:

* A name is durable only after ``sync_folder`` of its folder, a file's bytes only
  after ``sync``; a rename over an unsynced file may leave an empty one.
* After a failed ``sync`` nothing written to that file since the last good one may
  be counted on, and syncing again proves nothing (Rebello et al., "Can Applications
  Recover from fsync Failures?", USENIX ATC 2020). Give the file up.
* Linux-only calls (``fdatasync``, ``sync_file_range``, ``posix_fallocate``) stand
  here and nowhere else, each with a portable fallback.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from dfs.limits import LABEL_MAX_BYTES

_WRITE_FLAG = 2  # SYNC_FILE_RANGE_WRITE


class File(Protocol):
    """An open file. Offsets and lengths in bytes; errors are ``OSError``."""

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes; fewer only at the end of the file."""

    def write_at(self, offset: int, data: bytes | memoryview) -> None:
        """All of ``data``, or an error."""

    def start_writeback(self, offset: int, length: int) -> None:
        """Ask the kernel to begin writing this range; promises nothing."""

    def truncate(self, length: int) -> None:
        """End the file at ``length`` bytes; what was preallocated behind is given back."""

    def sync(self) -> None:
        """Make the bytes (and the size) durable."""

    def size(self) -> int:
        """The length of the file."""

    def close(self) -> None:
        """Close it; unsynced bytes may still be lost afterwards."""


class Disk(Protocol):
    """A folder and what lies in it. Names are relative, with ``/`` between folders."""

    def make_folder(self, name: str) -> None:
        """Make a folder and those above it durably; fine if it exists."""

    def names(self, folder: str) -> list[str]:
        """The names of the files in a folder, sorted."""

    def exists(self, name: str) -> bool:
        """Is there a file or folder of that name?"""

    def create(self, name: str, preallocate_bytes: int = 0) -> File:
        """A new empty file, open for writing; an old one of that name is an error."""

    def open(self, name: str, *, write: bool = False) -> File:
        """An existing file."""

    def rename(self, old: str, new: str) -> None:
        """Give a file another name, replacing what had it."""

    def unlink(self, name: str) -> None:
        """Remove a file; ``FileNotFoundError`` when there is none."""

    def sync_folder(self, folder: str) -> None:
        """Make the names in a folder durable."""

    def space(self) -> tuple[int, int]:
        """(capacity, free) in bytes."""


class LocalFile:
    """A file of the operating system."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def fileno(self) -> int:
        """The descriptor, for passing it to another process."""
        return self._fd

    def read_at(self, offset: int, length: int) -> bytes:
        data = os.pread(self._fd, length, offset)
        if len(data) == length or not data:
            return data
        parts = [data]
        have = len(data)
        while have < length:
            data = os.pread(self._fd, length - have, offset + have)
            if not data:
                break
            parts.append(data)
            have += len(data)
        return b"".join(parts)

    def write_at(self, offset: int, data: bytes | memoryview) -> None:
        done = os.pwrite(self._fd, data, offset)
        while done < len(data):
            done += os.pwrite(self._fd, memoryview(data)[done:], offset + done)

    def start_writeback(self, offset: int, length: int) -> None:
        if _sync_file_range is not None:
            _sync_file_range(self._fd, offset, length, _WRITE_FLAG)

    def reserve(self, length: int) -> None:
        """Have room on the disk for the file up to ``length``, which may become its size."""
        _preallocate(self._fd, length)

    def truncate(self, length: int) -> None:
        os.ftruncate(self._fd, length)

    def sync(self) -> None:
        _fdatasync(self._fd)

    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def close(self) -> None:
        os.close(self._fd)


class LocalDisk:
    """A folder of the operating system, made with mode 0700 if it is missing.

    Where its disk is unmounted meanwhile, the mount point has its name. What would be written there
    is lost when the disk is mounted again, so nothing is created in a folder that is not the
    one that was opened, and its space is not measured: ``OSError`` with ``ESTALE``.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._identity = _identity(root)

    def path(self, name: str) -> Path:
        """Where a name lies."""
        return self._root / name

    def make_folder(self, name: str) -> None:
        self._check_place()
        path = self._root / name
        missing = [p for p in (path, *path.parents) if not p.exists()]
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for made in missing:
            _sync_directory(made.parent)

    def names(self, folder: str) -> list[str]:
        return sorted(e.name for e in os.scandir(self._root / folder) if e.is_file())

    def exists(self, name: str) -> bool:
        return (self._root / name).exists()

    def create(self, name: str, preallocate_bytes: int = 0) -> LocalFile:
        self._check_place()
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        fd = os.open(self._root / name, flags, 0o600)
        try:
            if preallocate_bytes:
                _preallocate(fd, preallocate_bytes)
        except OSError:
            os.close(fd)
            os.unlink(self._root / name)
            raise
        return LocalFile(fd)

    def open(self, name: str, *, write: bool = False) -> LocalFile:
        flags = (os.O_RDWR if write else os.O_RDONLY) | os.O_CLOEXEC
        return LocalFile(os.open(self._root / name, flags))

    def rename(self, old: str, new: str) -> None:
        os.rename(self._root / old, self._root / new)

    def unlink(self, name: str) -> None:
        os.unlink(self._root / name)

    def sync_folder(self, folder: str) -> None:
        _sync_directory(self._root / folder)

    def space(self) -> tuple[int, int]:
        self._check_place()
        stat = os.statvfs(self._root)
        return stat.f_blocks * stat.f_frsize, stat.f_bavail * stat.f_frsize

    def _check_place(self) -> None:
        if _identity(self._root) != self._identity:
            text = "the folder that was opened is not there any more"
            raise OSError(errno.ESTALE, text, str(self._root))


def _identity(path: Path) -> tuple[int, int] | None:
    """What a folder is, whatever it is called; None when it is not there."""
    try:
        stat = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return stat.st_dev, stat.st_ino


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _preallocate(fd: int, length: int) -> None:
    """Reserve space; the file's size becomes ``length``, which readers must expect."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, length)
    else:
        os.ftruncate(fd, length)


_fdatasync = getattr(os, "fdatasync", os.fsync)


def _load_sync_file_range() -> ctypes._NamedFuncPointer | None:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None, use_errno=True)
    function: ctypes._NamedFuncPointer | None = getattr(library, "sync_file_range", None)
    if function is not None:
        function.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    return function


_sync_file_range = _load_sync_file_range()


def read_whole(disk: Disk, name: str) -> bytes:
    """The content of a small file; what is behind ``LABEL_MAX_BYTES`` is left out."""
    file = disk.open(name)
    try:
        return file.read_at(0, LABEL_MAX_BYTES)
    finally:
        file.close()


def write_durably(disk: Disk, name: str, content: bytes) -> None:
    """Make a small file that is not there yet."""
    file = disk.create(name)
    try:
        file.write_at(0, content)
        file.sync()
    finally:
        file.close()
    disk.sync_folder(name.rpartition("/")[0])


def write_whole(disk: Disk, name: str, content: bytes) -> None:
    """Write a small file durably: it is there whole or not at all."""
    temporary = f"{name}.tmp"
    with suppress(FileNotFoundError):
        disk.unlink(temporary)
    file = disk.create(temporary)
    try:
        file.write_at(0, content)
        file.sync()
    finally:
        file.close()
    disk.rename(temporary, name)
    disk.sync_folder(name.rpartition("/")[0])
