"""The view on disk: a ``Table`` over LMDB. The only module that imports ``lmdb``.

One environment in its own folder, one process (the lock of the data folder keeps others
out), one thread, one write transaction that stays open from commit to commit and serves
the reads too, so that they see what was written since. Cursors live for one call.

* Commits use ``metasync=False``: after a power cut the view may be one commit behind, which
  the log makes good. Never ``writemap`` (a full disk would be SIGBUS) and never
  ``sync=False`` (a power cut may leave a broken tree).
* The map is 64 GiB of address space, not of disk or memory; under ``RLIMIT_AS`` it is
  made smaller. When it is full the next write is a fault.
* Any error of LMDB is final: after a failed ``fdatasync`` later commits would succeed as if
  nothing had happened. The table refuses everything, and the process must end.
* A damaged file can kill the process that opens it, by signal. So after anything but a
  clean close, which leaves a marker, another process checks the file first.
* The file has space reserved ahead of its last page, so that deletions can be committed on
  a disk that is full. ``make_room`` tells when the disk has no more of it.
* ``VERSION`` beside it names engine and format, since py-lmdb bundles two engines whose files
  are not interchangeable. What another version wrote is refused untouched.

The view can always be made again from the log.
"""

from __future__ import annotations

import errno
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import lmdb

from dfs.disk import LocalDisk
from dfs.errors import Corrupt, DfsError, NotSupported, StorageFault
from dfs.limits import VIEW_MAP_BYTES, VIEW_MAP_MIN_BYTES, VIEW_READERS_MAX, VIEW_ROOM_BYTES

VERSION = "minidfs view 1, lmdb 0.9"

_VERSION_FILE = "VERSION"
_DATA_FILE = "data.mdb"
_CLEAN_FILE = "CLEAN"
_ENGINE = 0  # LMDB 0.9

Names: TypeAlias = tuple[str, ...]


class LmdbTable:
    """A ``Table`` in a folder of its own, made by ``LmdbTable.open``."""

    def __init__(self, folder: LocalDisk, env: lmdb.Environment, names: Names) -> None:
        self._folder = folder
        self._env = env
        self._failed = False
        self._reserved_bytes = 0
        try:
            with env.begin(write=True) as txn:
                self._handles = {n: env.open_db(n.encode(), txn=txn) for n in names}
            self._txn = env.begin(write=True)
        except lmdb.Error:
            env.close()
            raise

    @classmethod
    def open(cls, path: Path, names: Names, map_bytes: int = VIEW_MAP_BYTES) -> LmdbTable:
        """Open the tables of these names in a folder, making what is missing.

        Raises ``Corrupt`` when the check after an unclean end fails, ``NotSupported`` for a
        folder written by another version, ``StorageFault`` for errors of the disk.
        """
        try:
            folder = LocalDisk(path)
            _check_version(folder)
            _check_after_unclean_end(folder)
            return cls(folder, _open_environment(path, len(names), map_bytes), names)
        except DfsError:
            raise
        except (OSError, lmdb.Error) as error:
            raise StorageFault(f"cannot open the view in {path}: {error}") from error

    def get(self, table: str, key: bytes) -> bytes | None:
        try:
            value: bytes | None = self._txn.get(key, db=self._handles[table])
        except lmdb.Error as error:
            raise self._fault(error) from error
        return value

    def put(self, table: str, key: bytes, value: bytes) -> None:
        try:
            self._txn.put(key, value, db=self._handles[table])
        except lmdb.Error as error:
            raise self._fault(error) from error

    def delete(self, table: str, key: bytes) -> bool:
        try:
            return bool(self._txn.delete(key, db=self._handles[table]))
        except lmdb.Error as error:
            raise self._fault(error) from error

    def scan(self, table: str, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        try:
            with self._txn.cursor(self._handles[table]) as cursor:
                return list(islice(cursor, limit)) if cursor.set_range(start) else []
        except lmdb.Error as error:
            raise self._fault(error) from error

    def last(self, table: str, below: bytes) -> tuple[bytes, bytes] | None:
        try:
            with self._txn.cursor(self._handles[table]) as cursor:
                found = cursor.prev() if cursor.set_range(below) else cursor.last()
                row: tuple[bytes, bytes] | None = cursor.item() if found else None
                return row
        except lmdb.Error as error:
            raise self._fault(error) from error

    def commit(self) -> None:
        self._check_usable()
        try:
            self._txn.commit()
            self._txn = self._env.begin(write=True)
        except lmdb.Error as error:
            raise self._fault(error) from error

    def abort(self) -> None:
        self._check_usable()
        try:
            self._txn.abort()
            self._txn = self._env.begin(write=True)
        except lmdb.Error as error:
            raise self._fault(error) from error

    def make_room(self) -> bool:
        self._check_usable()
        try:
            used_bytes = (self._env.info()["last_pgno"] + 1) * self._env.stat()["psize"]
            if self._reserved_bytes - used_bytes < VIEW_ROOM_BYTES // 2:
                self._reserve(used_bytes + VIEW_ROOM_BYTES)
        except (OSError, lmdb.Error) as error:
            if getattr(error, "errno", 0) == errno.ENOSPC:
                return False
            raise self._fault(error) from error
        return True

    def _reserve(self, length: int) -> None:
        file = self._folder.open(_DATA_FILE, write=True)
        try:
            file.reserve(length)
        finally:
            file.close()
        self._reserved_bytes = length

    def close(self) -> None:
        """Give up what was not committed and, if nothing failed, mark the folder as clean."""
        try:
            self._txn.abort()
            if not self._failed:
                self._env.sync(True)
                _write_durably(self._folder, _CLEAN_FILE, b"")
            self._env.close()
        except (OSError, lmdb.Error) as error:
            raise self._fault(error) from error
        finally:
            self._failed = True

    def _check_usable(self) -> None:
        if self._failed:
            raise StorageFault("the view was closed, or failed earlier: start the namenode again")

    def _fault(self, error: Exception) -> StorageFault:
        """What to raise for an error of LMDB; from now on every call fails."""
        if not self._failed:
            self._failed = True
            self._txn.abort()
        where = self._folder.path("")
        return StorageFault(f"the view in {where} failed: {error}; look for a full or bad disk")


def _open_environment(path: Path, tables: int, map_bytes: int) -> lmdb.Environment:
    """The environment, with the largest map up to ``map_bytes`` that the process may have."""
    while True:
        try:
            return lmdb.Environment(
                str(path),
                map_size=map_bytes,
                max_dbs=tables,
                max_readers=VIEW_READERS_MAX,
                metasync=False,
                mode=0o600,
                lib_version=_ENGINE,
            )
        except lmdb.MemoryError as error:
            map_bytes //= 2
            if map_bytes < VIEW_MAP_MIN_BYTES:
                raise StorageFault(
                    f"no address space for the view in {path}: raise `ulimit -v` ({error})"
                ) from error


def _check_version(folder: LocalDisk) -> None:
    """Refuse what another version wrote; sign a folder that has no data yet."""
    where = folder.path(_VERSION_FILE)
    if not folder.exists(_DATA_FILE):
        if folder.exists(_VERSION_FILE):
            folder.unlink(_VERSION_FILE)
        _write_durably(folder, _VERSION_FILE, VERSION.encode())
        return
    found = where.read_text("utf-8", "replace").strip() if where.exists() else "nothing"
    if found != VERSION:
        raise NotSupported(
            f"{where} says {found!r} and this program knows {VERSION!r}: start the version "
            "that wrote it; nothing was changed"
        )


def _check_after_unclean_end(folder: LocalDisk) -> None:
    """Have another process check the data, unless the last one closed it in good order."""
    if folder.exists(_CLEAN_FILE):
        folder.unlink(_CLEAN_FILE)
        folder.sync_folder("")
    elif folder.exists(_DATA_FILE):
        where = folder.path("")
        command = [sys.executable, "-I", "-m", "lmdb", "verify", "-e", str(where)]
        check = subprocess.run(command, capture_output=True, text=True, check=False)
        if check.returncode != 0:
            reason = (check.stdout or check.stderr).strip().partition("\n")[0]
            raise Corrupt(
                f"the view in {where} is damaged ({reason or check.returncode}): move that "
                "folder away and start again, it is made anew from the log"
            )


def _write_durably(folder: LocalDisk, name: str, content: bytes) -> None:
    file = folder.create(name)
    try:
        file.write_at(0, content)
        file.sync()
    finally:
        file.close()
    folder.sync_folder("")
