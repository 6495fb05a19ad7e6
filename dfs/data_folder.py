"""Whose data folder is this? Asked before anything in it is touched.

``VERSION`` is a label (``dfs.label``)::

    minidfs datanode
    format 1
    cluster c-3f2a9c
    node datanode-1
    created 2026-11-21T05:43:00Z
    check 4b8e…

Only an empty folder is ever given one. A folder of another cluster or node, of a newer
format, or with things in it that nobody claims is refused and left as it is. ``LOCK``
is locked with flock while a process uses the folder.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dfs.disk import Disk, LocalDisk, read_whole, write_whole
from dfs.errors import ConfigError, Corrupt, DfsError, NotSupported, Refused, StorageFault
from dfs.label import Kind, Label, parse, render
from dfs.limits import SECOND_NS

FORMAT = 1
_VERSION = "VERSION"
_LOCK = "LOCK"


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a folder is: ``role`` of process, ``node`` id, cluster. ``folders`` lie in it."""

    role: str
    node: str
    cluster: str
    folders: tuple[str, ...]

    @property
    def kind(self) -> Kind:
        """What its VERSION is like."""
        remedy = "have one made in an empty folder, or bring it back from a copy"
        return Kind(f"minidfs {self.role}", FORMAT, remedy)


class DataFolder:
    """A data folder in use by this process. Closing it, or the end of the process, frees it."""

    def __init__(self, path: Path) -> None:
        self.disk = LocalDisk(path)
        self._lock = os.open(path / _LOCK, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise ConfigError(
                f"{path} is in use by another process: stop that one first", str(path)
            ) from None

    def close(self) -> None:
        """Let another process use the folder."""
        os.close(self._lock)


def open_data_folder(path: Path, owner: Owner, wall_ns: int) -> DataFolder:
    """The folder, locked and known to belong to ``owner``; an empty one is given to it.

    Raises ``ConfigError`` with one line, ``StorageFault`` when the disk refuses.
    """
    folder: DataFolder | None = None
    try:
        folder = DataFolder(path)
        claim(folder.disk, str(path), owner, wall_ns)
    except DfsError:
        if folder is not None:
            folder.close()
        raise
    except OSError as error:
        if folder is not None:
            folder.close()
        raise StorageFault(f"{path} cannot be used: {error.strerror}", str(path)) from error
    return folder


def claim(disk: Disk, where: str, owner: Owner, wall_ns: int) -> None:
    """Make sure that the folder belongs to ``owner``; an empty one is given to it.

    ``where`` is the folder's name for people. Raises ConfigError with one line, StorageFault
    when VERSION is damaged.
    """
    if disk.exists(_VERSION):
        _check(_read_version(disk, where, owner.kind), where, owner)
        return
    with suppress(FileNotFoundError):
        disk.unlink(f"{_VERSION}.tmp")
    if any(name != _LOCK for name in disk.names("")) or any(map(disk.exists, owner.folders)):
        raise ConfigError(
            f"{where} is not empty and has no {_VERSION} file: it is not a {owner.role}'s folder;"
            " name another one, or bring its VERSION file back",
            where,
        )
    created = datetime.fromtimestamp(wall_ns // SECOND_NS, UTC)
    fields = {
        "cluster": owner.cluster,
        "node": owner.node,
        "created": f"{created:%Y-%m-%dT%H:%M:%SZ}",
    }
    write_whole(disk, _VERSION, render(owner.kind, fields))


def _check(found: Label, where: str, owner: Owner) -> None:
    cluster, node = found.text("cluster"), found.text("node")
    if cluster != owner.cluster:
        raise ConfigError(
            f"{where} belongs to cluster {cluster} and not to {owner.cluster}:"
            " use another folder or the other cluster's configuration",
            where,
        )
    if node != owner.node:
        raise ConfigError(
            f"{where} belongs to {node} and not to {owner.node}:"
            f" start it as {node} or name another folder",
            where,
        )


def _read_version(disk: Disk, where: str, kind: Kind) -> Label:
    try:
        return parse(kind, read_whole(disk, _VERSION), f"{where}/{_VERSION}")
    except Corrupt as error:
        raise StorageFault(error.message, where) from error
    except Refused as error:
        raise ConfigError(
            f"{where} is the folder of something else: use another one", where
        ) from error
    except NotSupported as error:
        raise ConfigError(error.message, where) from error
