"""Opening the view; making it again when it is missing, damaged or too old.

The log is the truth, but its front is gone once a snapshot stands for it. So a view is made
again from the newest whole snapshot and the records behind it, or from the first record while
the log still begins with it. Nothing is moved before it is certain that this will do: that the
snapshot's bytes are those of its manifest, and that the log goes on from it. Otherwise it is
``Corrupt``, nothing was changed, and the message says what helps.

A damaged view is kept as ``view.damaged``, in place of an older one. The new one is complete and
synced as ``view.new`` before it gets its name, so a crash leaves the old view, or none, and then
the next start does the same.

A view may be opened before it is known to be sound (``dfs.namenode.view_check``); the start after
the one that finds it damaged makes it again.

A view that is *ahead* of the log is not made again: it has what the log has lost.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable

from dfs.disk import Disk, LocalDisk, write_durably
from dfs.errors import Corrupt
from dfs.manifest import Manifest
from dfs.namenode.journal import get_applied_index
from dfs.namenode.lmdb_table import LmdbTable, Names
from dfs.namenode.log import FOLDER as LOG_FOLDER
from dfs.namenode.log_recovery import find_end, first_index, storage_faults
from dfs.namenode.snapshot_store import SnapshotStore
from dfs.namenode.view_check import CLEAN_FILE, DATA_FILE
from dfs.namenode.view_version import sign_folder

VIEW_FOLDER = "view"
DAMAGED_FOLDER = "view.damaged"
_NEW_FOLDER = "view.new"

Say = Callable[[str], None]


def choose_source(
    disk: Disk, cluster: str, store: SnapshotStore, trouble: str, say: Say
) -> Manifest | None:
    """The snapshot that a new view begins with; None: it begins with the first record.

    ``trouble`` says what is wrong with the old one. Changes nothing. Raises ``Corrupt`` when
    snapshots and log do not suffice.
    """
    first = first_index(disk, LOG_FOLDER, cluster)
    for manifest in store.whole():
        problem = store.problem_of(manifest)
        if problem:
            say(f"the snapshot of record {manifest.index} is damaged: {problem}")
        elif manifest.index + 1 < first:
            break
        else:
            find_end(disk, LOG_FOLDER, cluster, manifest.index)
            return manifest
    if first <= 1:
        return None
    raise Corrupt(
        f"{trouble}, no whole snapshot reaches record {first - 1}, and the log begins with record"
        f" {first}: use 'minidfs admin restore DIR' with a backup, or 'minidfs admin rebuild';"
        " nothing was changed"
    )


def open_view(
    disk: LocalDisk, cluster: str, names: Names, store: SnapshotStore, say: Say
) -> LmdbTable:
    """The view in the namenode's folder ``disk``, made again first if need be.

    After an unclean end it may have to be checked yet, see ``LmdbTable.is_checked``. Raises as
    ``choose_source`` and ``LmdbTable.open`` do.
    """
    trouble = ""
    if disk.exists(f"{VIEW_FOLDER}/{DATA_FILE}"):
        try:
            table = LmdbTable.open(disk.path(VIEW_FOLDER), names, check_may_wait=True)
        except Corrupt as error:
            trouble = error.message
        else:
            applied, first = get_applied_index(table), first_index(disk, LOG_FOLDER, cluster)
            if applied + 1 >= first:
                return table
            table.close()
            trouble = f"the view ends with record {applied}"
    elif store.whole() or first_index(disk, LOG_FOLDER, cluster) > 1:
        trouble = "the view is missing"
    if trouble:
        source = choose_source(disk, cluster, store, trouble, say)
        begin = "the first record" if source is None else f"the snapshot of record {source.index}"
        say(f"{trouble}: it is made again from {begin} and the log")
        with storage_faults("the view cannot be made again"):
            _replace(disk, store, source)
    return LmdbTable.open(disk.path(VIEW_FOLDER), names)


def _replace(disk: LocalDisk, store: SnapshotStore, source: Manifest | None) -> None:
    """Put a copy of the snapshot, or nothing, in the place of the view."""
    new = disk.path(_NEW_FOLDER)
    shutil.rmtree(new, ignore_errors=True)
    if source is not None:
        write_view(LocalDisk(new), store.read_data(source.index))
    if disk.exists(VIEW_FOLDER):
        shutil.rmtree(disk.path(DAMAGED_FOLDER), ignore_errors=True)
        disk.rename(VIEW_FOLDER, DAMAGED_FOLDER)
    if source is not None:
        disk.rename(_NEW_FOLDER, VIEW_FOLDER)
    disk.sync_folder("")


def write_view(folder: LocalDisk, content: Iterable[bytes]) -> None:
    """Make an empty folder a view with the data of a snapshot, durably."""
    file = folder.create(DATA_FILE)
    try:
        offset = 0
        for data in content:
            file.write_at(offset, data)
            offset += len(data)
        file.sync()
    finally:
        file.close()
    sign_folder(folder)
    write_durably(folder, CLEAN_FILE, b"")
