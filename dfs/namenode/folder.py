"""The namenode's folder: made once, on purpose; opened only if it holds a log.

::

    VERSION LOCK     see ``dfs.data_folder``
    log/             the truth
    view/            what the log says; made again when it is lost
    snapshots/       copies of the view, which stand for the front of the log

A namespace begins when its log is begun, and that is asked for by name: by ``init``, and by the
first ``up``. A namenode that finds no log never begins one, since its metadata may have been lost.
"""

from __future__ import annotations

from pathlib import Path

from dfs.data_folder import DataFolder, Owner, open_data_folder
from dfs.endpoints import NAMENODE_ID
from dfs.errors import ConfigError, DfsError
from dfs.namenode.command_codec import CommandCodec
from dfs.namenode.log import FOLDER as LOG_FOLDER
from dfs.namenode.log import Log
from dfs.namenode.log_recovery import first_index
from dfs.namenode.snapshot_store import FOLDER as SNAPSHOTS_FOLDER
from dfs.namenode.view_recovery import VIEW_FOLDER


def make_namenode_folder(path: Path, cluster: str, wall_ns: int) -> bool:
    """Begin a new namespace in an absent or empty folder; False when there is one already.

    Raises ``ConfigError`` for the folder of something else, ``StorageFault``.
    """
    folder = claim_namenode_folder(path, cluster, wall_ns)
    try:
        if first_index(folder.disk, LOG_FOLDER, cluster):
            return False
        if _has_remains(path):
            raise ConfigError(_lost(path), str(path))
        Log.begin(folder.disk, CommandCodec(()), cluster, 1).close()
        return True
    finally:
        folder.close()


def open_namenode_folder(path: Path, cluster: str, wall_ns: int) -> DataFolder:
    """The folder of a namespace that was begun, locked.

    Raises ``ConfigError``, also for one without a log, and ``StorageFault``.
    """
    if not path.is_dir() or {entry.name for entry in path.iterdir()} <= {"LOCK"}:
        raise ConfigError(_empty(path), str(path))
    folder = claim_namenode_folder(path, cluster, wall_ns)
    try:
        if not first_index(folder.disk, LOG_FOLDER, cluster):
            raise ConfigError(_lost(path) if _has_remains(path) else _empty(path), str(path))
    except DfsError:
        folder.close()
        raise
    return folder


def claim_namenode_folder(path: Path, cluster: str, wall_ns: int) -> DataFolder:
    """The folder, locked, whatever of a namespace is in it; an empty one is given to it.

    For whoever puts metadata into it. Raises as ``open_data_folder`` does.
    """
    return open_data_folder(path, _owner(cluster), wall_ns)


def _owner(cluster: str) -> Owner:
    return Owner("namenode", NAMENODE_ID, cluster, (LOG_FOLDER, VIEW_FOLDER))


def _has_remains(path: Path) -> bool:
    """Is there something of a namespace, though there is no log?"""
    return (path / VIEW_FOLDER).exists() or (path / SNAPSHOTS_FOLDER).exists()


def _empty(path: Path) -> str:
    return (
        f"{path} is empty: if this cluster is new, run 'minidfs init'; if its metadata was lost:"
        " 'minidfs admin rebuild' or 'minidfs admin restore DIR'"
    )


def _lost(path: Path) -> str:
    return (
        f"{path} has a view or snapshots and no log, so its metadata was lost:"
        " 'minidfs admin rebuild' or 'minidfs admin restore DIR'"
    )
