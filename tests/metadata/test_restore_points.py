"""A restore that ends anywhere: the old metadata, the new ones, or a refusal; never a mix."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dfs.disk import LocalDisk
from dfs.errors import ConfigError, Exists
from dfs.manifest import render
from dfs.namenode.apply import MODULE
from dfs.namenode.backup_folder import read_backup, restore, write_backup
from dfs.namenode.commands import Formatted, SessionStarted
from dfs.namenode.folder import make_namenode_folder, open_namenode_folder
from dfs.namenode.journal import open_journal, table_names
from dfs.namenode.lmdb_table import LmdbTable
from dfs.namenode.snapshot_store import SnapshotStore
from dfs.namenode.view_copier import LmdbCopier
from dfs.namenode.view_recovery import open_view

CLUSTER = "c-test"
WALL_NS = 1_763_703_780 * 10**9

# Each change of a name in the folder is announced before it happens; the folder is copied then,
# as a process that was killed there would leave it.
RESTORE = """
import shutil, sys
from pathlib import Path
from dfs.namenode.backup_folder import restore
place, backup, points = map(Path, sys.argv[1:4])
busy, count = False, 0
def look(event, arguments):
    global busy, count
    names = ("os.rename", "os.remove", "os.mkdir", "os.rmdir")
    creates = event == "open" and isinstance(arguments[2], int) and arguments[2] & 0o100
    if busy or not (event in names or creates) or str(place) not in str(arguments):
        return
    if not place.exists():
        return
    busy = True
    shutil.copytree(place, points / f"{count:03}")
    busy, count = False, count + 1
sys.addaudithook(look)
restore(place, "c-test", backup, int(sys.argv[4]))
"""


def write(place: Path, sessions: int) -> None:
    """A namenode lives and starts so many sessions."""
    folder = open_namenode_folder(place, CLUSTER, WALL_NS)
    table = open_the_view(folder.disk)
    log = open_journal(folder.disk, table, (MODULE,), CLUSTER)
    log.append([Formatted("ann", WALL_NS)])
    for _ in range(sessions):
        log.append([SessionStarted("ann", WALL_NS)])
    log.sync()
    log.close()
    table.close()
    folder.close()


def open_the_view(disk: LocalDisk) -> LmdbTable:
    store = SnapshotStore(disk, CLUSTER, LmdbCopier())
    return open_view(disk, CLUSTER, table_names((MODULE,)), store, lambda _: None)


def sessions(place: Path) -> int:
    """How many sessions a namenode finds there when it starts; raises as its start does."""
    folder = open_namenode_folder(place, CLUSTER, WALL_NS)
    try:
        table = open_the_view(folder.disk)
        open_journal(folder.disk, table, (MODULE,), CLUSTER).close()
        count = len(table.scan("sessions", b"", 100))
        table.close()
        return count
    finally:
        folder.close()


@pytest.fixture(scope="module")
def backup(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup with two sessions."""
    place = tmp_path_factory.mktemp("before") / "namenode"
    make_namenode_folder(place, CLUSTER, WALL_NS)
    write(place, 2)
    assert sessions(place) == 2
    folder = open_namenode_folder(place, CLUSTER, WALL_NS)
    copier = LmdbCopier()
    copier.table = open_the_view(folder.disk)
    store = SnapshotStore(folder.disk, CLUSTER, copier)
    store.clean()
    made = store.take()
    target = tmp_path_factory.mktemp("backup") / "b"
    write_backup(target, render(made), store.read_data(made.index))
    copier.table.close()
    folder.close()
    return target


@pytest.mark.parametrize("old", [5, None])
def test_a_restore_ends_before_any_change_of_a_name(
    tmp_path: Path, backup: Path, old: int | None
) -> None:
    place, points = tmp_path / "namenode", tmp_path / "points"
    if old is not None:
        make_namenode_folder(place, CLUSTER, WALL_NS)
        write(place, old)
        assert sessions(place) == old
    points.mkdir()
    arguments = map(str, (place, backup, points, WALL_NS + 99 * 10**9))
    subprocess.run([sys.executable, "-P", "-c", RESTORE, *arguments], check=True)
    assert sessions(place) == 2
    seen: list[int | str] = []
    repeated: dict[tuple[str, ...], None] = {}
    for point in sorted(points.iterdir()):
        again = tmp_path / "again"
        shutil.copytree(point, again)
        try:
            found: int | str = sessions(point)
        except ConfigError as error:
            found = error.message
        names = tuple(sorted(path.name for path in point.iterdir()))
        if isinstance(found, str) and names not in repeated:
            repeated[names] = None
            assert re.fullmatch("[^\n]*'minidfs admin restore DIR'", found)
            restore(again, CLUSTER, backup, WALL_NS + 200 * 10**9)
            assert sessions(again) == 2
        seen.append("refused" if isinstance(found, str) else found)
        shutil.rmtree(again)
    assert len(repeated) > 1
    firsts = [state for n, state in enumerate(seen) if n == 0 or state != seen[n - 1]]
    assert firsts == ([old, "refused", 2] if old is not None else ["refused", 2])


def test_a_backup_that_ends_anywhere_is_none(tmp_path: Path, backup: Path) -> None:
    """Only the manifest, which comes last, makes it one."""
    text = (backup / "MANIFEST").read_bytes()
    data = (backup / "data.mdb").read_bytes()
    target = tmp_path / "cut"

    def ends() -> object:
        yield data[:4096]
        raise InterruptedError("the client was killed")

    with pytest.raises(OSError, match=f"{target} cannot be written"):
        write_backup(target, text, ends())  # type: ignore[arg-type]
    with pytest.raises(OSError, match="is not a backup: it has no MANIFEST"):
        read_backup(target, CLUSTER)
    with pytest.raises(Exists, match="is not an empty folder: name another one"):
        write_backup(target, text, iter((data,)))
