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
* A damaged file can kill the process that opens it, by signal. So after anything but a clean
  close another process checks the file, first or beside (``dfs.namenode.view_check``).
* LMDB keeps no checksums. So each row is stored with one, over table, key and row. Reading a
  row that is not as it was written is a fault; the check above reads all of them. Not detected:
  a page that the disk never wrote, while the one before still stands in its place.
* The file has space reserved ahead of its last page, so that deletions can be committed on
  a disk that is full. ``make_room`` tells when the disk has no more of it.
* What another version wrote is refused untouched (``dfs.namenode.view_version``).

* Pages of the map count as memory of the process. When there are many they are dropped behind a
  commit: what the open transaction has changed is not among them.
* Another thread may copy the last commit meanwhile. It sees nothing that is written after it
  began, and keeps its pages from being used again for as long as it takes.

The view can be made again from a snapshot and the log (``dfs.namenode.view_recovery``).
"""

from __future__ import annotations

import errno
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import lmdb
import xxhash

from dfs.disk import LocalDisk
from dfs.errors import Corrupt, DfsError, StorageFault
from dfs.limits import (
    VIEW_LOOK_READS,
    VIEW_MAP_BYTES,
    VIEW_MAP_MIN_BYTES,
    VIEW_READERS_MAX,
    VIEW_RESIDENT_LOOK_NS,
    VIEW_RESIDENT_MAX_BYTES,
    VIEW_ROOM_BYTES,
    VIEW_TABLES_MAX,
)
from dfs.namenode.view_check import DATA_FILE, begin_use, is_checked, mark_clean
from dfs.namenode.view_version import check_version, sign_folder
from dfs.resident import drop_mapping, resident_file_bytes

_LIB_VERSION = 0  # LMDB 0.9

_CHECKSUM_BYTES = 8

Names: TypeAlias = tuple[str, ...]


class LmdbTable:
    """A ``Table`` in a folder of its own, made by ``LmdbTable.open``."""

    def __init__(self, folder: LocalDisk, env: lmdb.Environment, names: Names) -> None:
        self._folder = folder
        self._env = env
        self._failed = False
        self._why = "the view was closed, or failed earlier: start the namenode again"
        self._reserved_bytes = 0
        self._look_ns = 0
        self._reads = 0
        self._copying = threading.Lock()
        try:
            with env.begin(write=True) as txn:
                self._handles = {n: env.open_db(n.encode(), txn=txn) for n in names}
            self._txn = env.begin(write=True)
        except lmdb.Error:
            env.close()
            raise

    @classmethod
    def open(
        cls,
        path: Path,
        names: Names,
        map_bytes: int = VIEW_MAP_BYTES,
        *,
        check_may_wait: bool = False,
    ) -> LmdbTable:
        """Open the tables of these names in a folder, making what is missing.

        ``check_may_wait``: if possible, a check after an unclean end is left to the caller (see
        ``is_checked``). Raises ``Corrupt`` when it fails or the data are none of LMDB's,
        ``NotSupported`` for a folder written by another version, ``StorageFault`` for errors of
        the disk.
        """
        try:
            folder = LocalDisk(path)
            if folder.exists(DATA_FILE):
                check_version(folder)
            else:
                sign_folder(folder)
            begin_use(folder, may_wait=check_may_wait)
            return cls(folder, _open_environment(path, len(names), map_bytes), names)
        except DfsError:
            raise
        except (lmdb.InvalidError, lmdb.CorruptedError) as error:
            raise Corrupt(f"the view in {path} is damaged ({error})") from error
        except (OSError, lmdb.Error) as error:
            raise StorageFault(f"cannot open the view in {path}: {error}") from error

    @property
    def is_checked(self) -> bool:
        """Are the data known to be sound?"""
        return is_checked(self._folder)

    def get(self, table: str, key: bytes) -> bytes | None:
        try:
            stored: bytes | None = self._txn.get(key, db=self._handles[table])
        except lmdb.Error as error:
            raise self._fault(error) from error
        self._count_reads(1)
        return None if stored is None else self._row(table, key, stored)

    def put(self, table: str, key: bytes, value: bytes) -> None:
        try:
            self._txn.put(key, value + _checksum(table, key, value), db=self._handles[table])
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
                found = list(islice(cursor, limit)) if cursor.set_range(start) else []
        except lmdb.Error as error:
            raise self._fault(error) from error
        self._count_reads(len(found))
        return [(key, self._row(table, key, stored)) for key, stored in found]

    def last(self, table: str, below: bytes) -> tuple[bytes, bytes] | None:
        try:
            with self._txn.cursor(self._handles[table]) as cursor:
                found = cursor.prev() if cursor.set_range(below) else cursor.last()
                key, stored = cursor.item()
        except lmdb.Error as error:
            raise self._fault(error) from error
        return (key, self._row(table, key, stored)) if found else None

    def _row(self, table: str, key: bytes, stored: bytes) -> bytes:
        row = _unsealed(table, key, stored)
        if row is None:
            raise self._fault(Corrupt(_damaged_row(table)))
        return row

    def commit(self) -> None:
        self.check_usable()
        try:
            self._txn.commit()
            self._txn = self._env.begin(write=True)
        except lmdb.Error as error:
            raise self._fault(error) from error

    def _count_reads(self, rows: int) -> None:
        """After so many rows: give the pages of the map back, when the process has many of files.

        Not oftener than every few seconds: what is in use comes back page by page.
        """
        self._reads += rows
        if self._reads < VIEW_LOOK_READS:
            return
        self._reads = 0
        now_ns = time.monotonic_ns()
        if now_ns >= self._look_ns:
            self._look_ns = now_ns + VIEW_RESIDENT_LOOK_NS
            if resident_file_bytes() > VIEW_RESIDENT_MAX_BYTES:
                drop_mapping(self._folder.path(DATA_FILE))

    def abort(self) -> None:
        self.check_usable()
        try:
            self._txn.abort()
            self._txn = self._env.begin(write=True)
        except lmdb.Error as error:
            raise self._fault(error) from error

    def make_room(self) -> bool:
        self.check_usable()
        try:
            used_bytes = self.used_bytes()
            if self._reserved_bytes - used_bytes < VIEW_ROOM_BYTES // 2:
                self._reserve(used_bytes + VIEW_ROOM_BYTES)
        except (OSError, lmdb.Error) as error:
            if getattr(error, "errno", 0) == errno.ENOSPC:
                return False
            raise self._fault(error) from error
        return True

    def used_bytes(self) -> int:
        """How much of the file is in use, free pages within included. From any thread."""
        used: int = (self._env.info()["last_pgno"] + 1) * self._env.stat()["psize"]
        return used

    def copy_to(self, descriptor: int) -> None:
        """Write a compact copy of the last commit into an empty file. From any thread.

        Raises ``OSError``; the table itself is not touched by it.
        """
        with self._copying:
            try:
                self._env.copyfd(descriptor, compact=True)
            except lmdb.Error as error:
                raise OSError(errno.EIO, str(error)) from error

    def _reserve(self, length: int) -> None:
        file = self._folder.open(DATA_FILE, write=True)
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
                mark_clean(self._folder)
            if self._copying.acquire(blocking=False):
                self._env.close()  # else the end of the process closes it
        except (OSError, lmdb.Error) as error:
            raise self._fault(error) from error
        finally:
            self._failed = True

    def check_usable(self) -> None:
        if self._failed:
            raise StorageFault(self._why)

    def _fault(self, error: Exception) -> StorageFault:
        """What to raise for an error of LMDB; from now on every call fails."""
        if not self._failed:
            self._failed = True
            self._txn.abort()
            where = self._folder.path("")
            self._why = f"the view in {where} failed: {error}; look for a full or bad disk"
        return StorageFault(self._why)


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
                lib_version=_LIB_VERSION,
            )
        except lmdb.MemoryError as error:
            map_bytes //= 2
            if map_bytes < VIEW_MAP_MIN_BYTES:
                raise StorageFault(
                    f"no address space for the view in {path}: raise `ulimit -v` ({error})"
                ) from error


def read_row(path: Path, table: str, key: bytes) -> bytes | None:
    """One row of a data file that was checked and that nobody writes; raises ``Corrupt``."""
    try:
        with _reading(path) as env, env.begin() as txn:
            handle = env.open_db(table.encode(), txn=txn, create=False)
            stored = txn.get(key, db=handle)
    except lmdb.Error as error:
        raise Corrupt(f"{path} cannot be read ({error})") from error
    row = None if stored is None else _unsealed(table, key, stored)
    if stored is not None and row is None:
        raise Corrupt(f"{path} cannot be read ({_damaged_row(table)})")
    return row


def problem_of_rows(path: str) -> str | None:
    """Which row of a data file of sound structure is not as it was written; None if all are.

    For a process of its own, see the module's text.
    """
    with _reading(Path(path)) as env, env.begin() as txn:
        for name in list(txn.cursor().iternext(values=False)):
            table = name.decode(errors="replace")
            handle = env.open_db(name, txn=txn, create=False)
            if any(_unsealed(table, key, stored) is None for key, stored in txn.cursor(handle)):
                return _damaged_row(table)
    return None


@contextmanager
def _reading(path: Path) -> Iterator[lmdb.Environment]:
    env = lmdb.Environment(
        str(path),
        subdir=False,
        readonly=True,
        lock=False,
        max_dbs=VIEW_TABLES_MAX,
        lib_version=_LIB_VERSION,
    )
    try:
        yield env
    finally:
        env.close()


def _checksum(table: str, key: bytes, row: bytes) -> bytes:
    return xxhash.xxh3_64_digest(key + row, zlib.crc32(table.encode()))


def _unsealed(table: str, key: bytes, stored: bytes) -> bytes | None:
    """The row without its checksum; None when that is not the one it was written with."""
    row = stored[:-_CHECKSUM_BYTES]
    return row if stored[-_CHECKSUM_BYTES:] == _checksum(table, key, row) else None


def _damaged_row(table: str) -> str:
    return f"a row of table {table!r} is not as it was written"
