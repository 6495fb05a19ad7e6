"""A backup of the metadata as a folder, and putting one in the place of what a namenode has.

A backup is ``data.mdb`` and ``MANIFEST``, which is written last (``dfs.manifest``).

Restoring checks the backup first, then builds log and view beside the old ones, and only then
moves those aside, into ``before-restore-TIME``. The log goes first and comes last: whenever it
ends in between, the folder has no log, the namenode refuses to start, and restoring can be
repeated.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dfs.disk import LocalDisk, write_whole
from dfs.errors import Corrupt, Exists, NotFound, NotSupported, Refused
from dfs.limits import SECOND_NS
from dfs.manifest import MANIFEST_MAX_BYTES, Manifest, parse
from dfs.namenode.apply import MODULE
from dfs.namenode.command_codec import CommandCodec
from dfs.namenode.folder import claim_namenode_folder
from dfs.namenode.journal import META
from dfs.namenode.keys import EPOCH, NEXT_CHUNK, number_of
from dfs.namenode.lmdb_table import read_row
from dfs.namenode.log import FOLDER as LOG_FOLDER
from dfs.namenode.log import Log
from dfs.namenode.log_recovery import storage_faults
from dfs.namenode.lost_history import begin_epoch
from dfs.namenode.snapshot_store import FOLDER as SNAPSHOTS_FOLDER
from dfs.namenode.snapshot_store import pieces, problem_of_data
from dfs.namenode.view_copier import LmdbCopier
from dfs.namenode.view_recovery import DAMAGED_FOLDER, VIEW_FOLDER, write_view
from dfs.namenode.view_version import VERSION

DATA_FILE = "data.mdb"
MANIFEST_FILE = "MANIFEST"
_NEW_FOLDER = "restoring"


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored; ``aside`` is where the old metadata lie, None if there were none."""

    manifest: Manifest
    aside: Path | None


def check_target(target: Path) -> None:
    """Raise ``Exists`` unless a folder is absent or empty."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Exists(f"{target} is not an empty folder: name another one", str(target))


def write_backup(target: Path, text: bytes, data: Iterable[bytes]) -> Manifest:
    """Make a backup of a manifest and its data, and check it as a restore will."""
    check_target(target)
    manifest = parse(text, "the manifest")
    with storage_faults(f"{target} cannot be written"):
        folder = LocalDisk(target)
        file = folder.create(DATA_FILE)
        try:
            offset = 0
            for piece in data:
                file.write_at(offset, piece)
                offset += len(piece)
            file.sync()
        finally:
            file.close()
        write_whole(folder, MANIFEST_FILE, text)
    return read_backup(target, manifest.cluster)


def read_backup(source: Path, cluster: str) -> Manifest:
    """The manifest of a backup, all of it checked.

    Raises ``NotFound``, ``Refused`` for another cluster, ``NotSupported``, ``Corrupt``.
    """
    where = source / MANIFEST_FILE
    if not where.is_file():
        raise NotFound(f"{source} is not a backup: it has no {MANIFEST_FILE}", str(source))
    with storage_faults(f"{where} cannot be read"), where.open("rb") as file:
        manifest = parse(file.read(MANIFEST_MAX_BYTES), str(where))
    if manifest.cluster != cluster:
        raise Refused(
            f"{source} is a backup of cluster {manifest.cluster!r} and this is {cluster!r}:"
            " name another backup, or the other cluster's configuration",
            str(source),
        )
    if manifest.view != VERSION:
        raise NotSupported(
            f"{source} holds {manifest.view!r} and this program knows {VERSION!r}: use the"
            " version that wrote it",
            str(source),
        )
    problem = problem_of_data(LocalDisk(source), DATA_FILE, manifest, LmdbCopier())
    if problem:
        raise Corrupt(f"{source / DATA_FILE} is damaged ({problem}): use another backup")
    return manifest


def restore(place: Path, cluster: str, source: Path, wall_ns: int) -> Restored:
    """Put a backup in the place of a namenode's metadata; the namenode must not run.

    Raises as ``read_backup`` does, ``ConfigError`` for a folder in use or of something else.
    """
    manifest = read_backup(source, cluster)
    folder = claim_namenode_folder(place, cluster, wall_ns)
    try:
        with storage_faults(f"{place} cannot be written"):
            new = place / _NEW_FOLDER
            shutil.rmtree(new, ignore_errors=True)
            write_view(LocalDisk(new / VIEW_FOLDER), pieces(LocalDisk(source), DATA_FILE))
            _begin_log(LocalDisk(new), manifest, source / DATA_FILE, wall_ns)
            aside = _move_aside(folder.disk, wall_ns)
            folder.disk.rename(f"{_NEW_FOLDER}/{VIEW_FOLDER}", VIEW_FOLDER)
            folder.disk.sync_folder("")
            folder.disk.rename(f"{_NEW_FOLDER}/{LOG_FOLDER}", LOG_FOLDER)
            folder.disk.sync_folder("")
            shutil.rmtree(new)
    finally:
        folder.close()
    return Restored(manifest, aside)


def _begin_log(disk: LocalDisk, manifest: Manifest, data: Path, wall_ns: int) -> None:
    """A log behind the backup; its first record raises the epoch and skips chunk ids.

    What datanodes have kept of the records that once stood there is of another history, and told
    by its lower epoch. The clock makes a later restore of the same backup higher still.
    """
    raised = begin_epoch(_number(data, EPOCH), _number(data, NEXT_CHUNK), wall_ns)
    log = Log.begin(disk, CommandCodec((MODULE,)), manifest.cluster, manifest.index + 1)
    log.append([raised])
    log.sync()
    log.close()


def _number(data: Path, key: bytes) -> int:
    row = read_row(data, META, key)
    return 1 if row is None else number_of(row)


def _move_aside(disk: LocalDisk, wall_ns: int) -> Path | None:
    """Move log, view and snapshots into a folder of their own, the log first."""
    old = (LOG_FOLDER, VIEW_FOLDER, SNAPSHOTS_FOLDER, DAMAGED_FOLDER)
    there = [name for name in old if disk.exists(name)]
    if not there:
        return None
    moment = datetime.fromtimestamp(wall_ns // SECOND_NS, UTC)
    aside = f"before-restore-{moment:%Y-%m-%dT%H:%M:%SZ}"
    disk.make_folder(aside)
    for name in there:
        disk.rename(name, f"{aside}/{name}")
        disk.sync_folder(aside)
        disk.sync_folder("")
    return disk.path(aside)
