"""What a datanode keeps of the namenode's log, on its disk.

::

    keeper/CURRENT        names the copy that is whole
    keeper/a/ keeper/b/   a copy each: segments, EPOCH, and a snapshot (``dfs.snapshot_copy``)

Only the current copy is shown and read. A second one is filled beside it when the namenode
says so; with the records that make it whole it becomes the current one, durably, and only then
the old one is removed. A second copy that is found at the start was never finished.

Where ``CURRENT`` is damaged the only copy there is counts. With two of them, or when the copy's
``EPOCH`` is damaged, no copy is shown, only why; the namenode then has another one made.

Two things are relied on when copies of several nodes are compared. A copy is *of* an epoch once
it has had everything that a namenode of that epoch had synced, not as soon as that one writes to
it: until then another copy of the epoch before may have more. And a snapshot never reaches
beyond the records of its copy, so it is of the same history as the last of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, assert_never

from dfs import label, manifest
from dfs.datanode.log_keeper import KeeperAnswer, KeeperWork
from dfs.disk import Disk, read_whole, write_whole
from dfs.errors import Corrupt, DfsError, NotFound, Refused, StorageFault
from dfs.events import Payload
from dfs.limits import LOG_SEGMENT_BYTES
from dfs.log_copy import LogCopy
from dfs.wire.keeper import (
    AppendLog,
    BeginLog,
    GetKeptLog,
    KeepSnapshot,
    KeptLog,
    KeptRecords,
    KeptSnapshot,
    LogKept,
    ReadKeptLog,
    ReadKeptSnapshot,
)

FOLDER = "keeper"
_CURRENT = f"{FOLDER}/CURRENT"
_NAMES = ("a", "b")
_KIND = label.Kind("minidfs log copy", 1, f"move {FOLDER}/ away and start the datanode again")


class LogCopies:
    """The copies below one folder; used by one thread at a time."""

    def __init__(self, disk: Disk, cluster: str, segment_bytes: int = LOG_SEGMENT_BYTES) -> None:
        self._disk = disk
        self._cluster = cluster
        self._segment_bytes = segment_bytes
        self._is_open = False
        self._failed = False
        self._current: LogCopy | None = None
        self._filling: LogCopy | None = None
        self._filling_name = ""
        self._name = ""
        self._damage = ""

    def execute(self, work: KeeperWork) -> KeeperAnswer:
        """Carry out a request. Raises ``Corrupt``, ``NotFound`` and ``StorageFault``."""
        try:
            return self._execute(work)
        except DfsError:
            raise
        except OSError as error:
            raise StorageFault(f"the copy of the log: {error.strerror or error}") from error

    def _execute(self, work: KeeperWork) -> KeeperAnswer:
        if self._failed:
            raise StorageFault("keeping the log failed earlier: start the datanode again")
        if not self._is_open:
            self._open()
        match work.request:
            case GetKeptLog():
                self._drop_filling()
                return KeeperAnswer(_describe(self._current, self._damage))
            case ReadKeptLog(first):
                data, following = self._copy(self._current).read(first)
                return KeeperAnswer(KeptRecords(following), data)
            case BeginLog():
                return KeeperAnswer(LogKept(self._begin(work.request)))
            case AppendLog():
                return KeeperAnswer(LogKept(self._append(work.request, work.payload)))
            case KeepSnapshot():
                return KeeperAnswer(LogKept(self._keep_snapshot(work.request, work.payload)))
            case ReadKeptSnapshot(index, offset):
                piece = self._copy(self._current).snapshot.read(index, offset)
                found = KeptSnapshot(index, offset, piece.size, piece.manifest)
                return KeeperAnswer(found, piece.data)
            case _:
                assert_never(work.request)

    def _open(self) -> None:
        self._disk.make_folder(FOLDER)
        try:
            self._name = _read_name(self._disk)
            self._current = self._load(self._name)
        except Corrupt as error:
            self._damage = error.message
        self._is_open = True

    def _load(self, name: str) -> LogCopy | None:
        if not name:
            return None
        copy = self._place(name)
        copy.load()
        return copy if copy.first else None

    def _place(self, name: str) -> LogCopy:
        return LogCopy(self._disk, f"{FOLDER}/{name}", self._cluster, self._segment_bytes)

    def _copy(self, copy: LogCopy | None) -> LogCopy:
        if copy is None:
            raise NotFound("no copy of the log is kept here")
        return copy

    def _begin(self, request: BeginLog) -> int:
        """Begin a second copy, in the place that the current one does not take."""
        self._drop_filling()
        self._filling_name = _NAMES[0] if self._name != _NAMES[0] else _NAMES[1]
        self._filling = self._place(self._filling_name)
        self._filling.begin(request.first, request.previous)
        return request.first - 1

    def _append(self, request: AppendLog, payload: Payload) -> int:
        copy = self._copy(self._filling or self._current)
        through = copy.append(request.first, payload)
        if request.whole:
            if not copy.is_based:
                raise Corrupt(f"no snapshot stands for the records before {copy.first}")
            copy.raise_epoch(request.epoch)
            if copy is self._filling:
                self._switch(copy)
        return through

    def _keep_snapshot(self, request: KeepSnapshot, payload: Payload) -> int:
        copy = self._copy(self._filling or self._current)
        about = manifest.parse(request.manifest, "the manifest of a snapshot")
        if about.index > copy.last:
            raise Corrupt(f"a snapshot of record {about.index} reaches beyond record {copy.last}")
        copy.snapshot.take(about, request.offset, payload)
        copy.cut()
        return copy.last

    def _drop_filling(self) -> None:
        if self._filling is not None:
            self._filling.close()
            self._filling = None

    def _switch(self, copy: LogCopy) -> None:
        """Let the second copy take the place of the first; after an error nobody knows which."""
        self._failed = True
        write_whole(self._disk, _CURRENT, label.render(_KIND, {"copy": self._filling_name}))
        self._failed, self._name, self._damage = False, self._filling_name, ""
        old, self._current, self._filling = self._current, copy, None
        if old is not None:
            old.remove()


def _read_name(disk: Disk) -> str:
    """Which copy is the current one, '' when there is none. Raises ``Corrupt``."""
    if not disk.exists(_CURRENT):
        return ""
    try:
        return label.parse(_KIND, read_whole(disk, _CURRENT), _CURRENT).text("copy")
    except (Corrupt, Refused) as error:
        there = [name for name in _NAMES if _has_files(disk, f"{FOLDER}/{name}")]
        if len(there) != 1:
            raise Corrupt(str(error)) from error
        return there[0]


def _has_files(disk: Disk, folder: str) -> bool:
    return disk.exists(folder) and bool(disk.names(folder))


def _describe(copy: LogCopy | None, damage: str) -> KeptLog:
    if copy is None:
        return KeptLog(0, 0, 0, 0, 0, damage)
    snapshot = copy.snapshot
    remark = "; ".join(text for text in (copy.remark, snapshot.remark) if text)
    return KeptLog(copy.epoch, copy.first, copy.last, copy.checksum, snapshot.index, remark)


def with_log(execute: Callable[[Any], Any], copies: LogCopies) -> Callable[[Any], Any]:
    """What carries out a datanode's disk work, the keeper's included."""

    def both(task: Any) -> Any:
        return copies.execute(task) if isinstance(task, KeeperWork) else execute(task)

    return both
