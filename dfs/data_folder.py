"""Whose data folder is this? Asked before anything in it is touched.

``VERSION`` is a few lines of text::

    minidfs datanode
    format 1
    cluster c-3f2a9c
    node datanode-1
    created 2026-11-21T05:43:00Z

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

from dfs.disk import Disk, LocalDisk, write_whole
from dfs.errors import ConfigError, StorageFault
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
    def title(self) -> str:
        """The first line of VERSION."""
        return f"minidfs {self.role}"


class DataFolder:
    """A data folder in use by this process. Closing it, or the end of the process, frees it."""

    def __init__(self, path: Path) -> None:
        self.disk = LocalDisk(path)
        self._lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
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
    except OSError as error:
        if folder is not None:
            folder.close()
        raise StorageFault(f"{path} cannot be used: {error.strerror}", str(path)) from error
    except ConfigError:
        if folder is not None:
            folder.close()
        raise
    return folder


def claim(disk: Disk, where: str, owner: Owner, wall_ns: int) -> None:
    """Make sure that the folder belongs to ``owner``; an empty one is given to it.

    ``where`` is the folder's name for people. Raises ConfigError with one line.
    """
    if disk.exists(_VERSION):
        _check(_read_version(disk, where, owner.title), where, owner)
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
        "format": str(FORMAT),
        "cluster": owner.cluster,
        "node": owner.node,
        "created": f"{created:%Y-%m-%dT%H:%M:%SZ}",
    }
    _write_version(disk, owner.title, fields)


def _check(found: dict[str, str], where: str, owner: Owner) -> None:
    cluster, node = owner.cluster, owner.node
    version = found.get("format", "")
    if not version.isdecimal():
        raise ConfigError(f"{where}/{_VERSION} names no format: restore the file", where)
    if int(version) > FORMAT:
        raise ConfigError(
            f"{where} has format {version} and this minidfs knows {FORMAT}: upgrade minidfs", where
        )
    if found.get("cluster") != cluster:
        raise ConfigError(
            f"{where} belongs to cluster {found.get('cluster')} and not to {cluster}:"
            " use another folder or the other cluster's configuration",
            where,
        )
    if found.get("node") != node:
        raise ConfigError(
            f"{where} belongs to {found.get('node')} and not to {node}:"
            f" start it as {found.get('node')} or name another folder",
            where,
        )


def _read_version(disk: Disk, where: str, wanted: str) -> dict[str, str]:
    file = disk.open(_VERSION)
    try:
        text = file.read_at(0, file.size()).decode(errors="replace")
    finally:
        file.close()
    title, *lines = text.splitlines() or [""]
    if title != wanted:
        raise ConfigError(
            f"{where} is the folder of something else ({title[:40]!r}): use another one", where
        )
    return dict(line.split(" ", 1) for line in lines if " " in line)


def _write_version(disk: Disk, title: str, fields: dict[str, str]) -> None:
    text = "\n".join([title, *(f"{name} {value}" for name, value in fields.items()), ""])
    write_whole(disk, _VERSION, text.encode())
