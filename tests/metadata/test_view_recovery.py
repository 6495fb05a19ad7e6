"""A view that is missing or damaged is made again; where that cannot be, nothing changes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dfs.disk import LocalDisk
from dfs.errors import Corrupt
from dfs.namenode.journal import get_applied_index, open_journal, table_names
from dfs.namenode.lmdb_table import LmdbTable
from dfs.namenode.log import Log
from dfs.namenode.snapshot_store import SnapshotStore, data_name
from dfs.namenode.table import Table
from dfs.namenode.view_copier import LmdbCopier
from dfs.namenode.view_recovery import open_view
from dfs.net.step import JournalStep
from tests.metadata.counting import (
    CLUSTER,
    MODULES,
    NOW,
    SEGMENT_BYTES,
    ScriptedCore,
    Set,
    ask,
    rows,
)

PAGE_BYTES = 4096


class Folder:
    """A namenode's folder on the real disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.disk = LocalDisk(path)
        self.copier = LmdbCopier()
        self.store = SnapshotStore(self.disk, CLUSTER, self.copier)
        self.said: list[str] = []

    def open(self) -> LmdbTable:
        self.said.clear()
        return open_view(self.disk, CLUSTER, table_names(MODULES), self.store, self.said.append)

    def live(self, records: int, *, snapshot: bool = False, cut: bool = False) -> None:
        """A process that writes records and, if asked to, takes a snapshot and cuts the log."""
        table = self.copier.table = self.open()
        log = self.journal(table)
        step = JournalStep(ScriptedCore(), MODULES, log, table)
        for _ in range(records):
            step.run([ask(Set(b"w%d" % log.next_index, log.next_index))], NOW)
        self.expected = rows(table)["words"]
        step.close()
        self.store.clean()
        if snapshot:
            made = self.store.take()
            if cut:
                for name in log.detach(made.index + 1):
                    self.disk.unlink(name)
        table.close()

    def journal(self, table: Table) -> Log:
        return open_journal(self.disk, table, MODULES, CLUSTER, SEGMENT_BYTES)

    def check(self) -> None:
        """The view is as it was, up to the end of the log."""
        table = self.open()
        log = self.journal(table)
        assert rows(table)["words"] == self.expected
        assert get_applied_index(table) == log.durable_index
        log.close()
        table.close()

    def damage(self) -> None:
        """What a broken disk leaves: pages of nonsense, and no marker of a clean end."""
        damage(self.path / "view" / "data.mdb")
        self.die()

    def die(self) -> None:
        """What a start leaves that died of what it read, before it knew why."""
        (self.path / "view" / "CLEAN").rename(self.path / "view" / "UNCHECKED")

    def content(self) -> dict[str, bytes]:
        return {
            str(p): p.read_bytes()
            for p in self.path.rglob("*")
            if p.is_file() and p.name not in ("lock.mdb", "CLEAN", "UNCHECKED")
        }


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for at in range(2 * PAGE_BYTES, len(content), PAGE_BYTES):
        content[at : at + 24] = b"\xee" * 24
    path.write_bytes(content)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "namenode")


def test_a_new_folder_needs_no_word(folder: Folder) -> None:
    folder.open().close()
    assert folder.said == []


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("how", ["missing", "damaged"])
def test_it_is_made_again_from_the_newest_snapshot_and_the_log(
    folder: Folder, how: str, cut: bool
) -> None:
    folder.live(60, snapshot=True, cut=cut)
    folder.live(5)
    if how == "missing":
        shutil.rmtree(folder.path / "view")
    else:
        folder.damage()
    folder.check()
    (line,) = folder.said
    assert line.endswith("it is made again from the snapshot of record 60 and the log")
    assert (folder.path / "view.damaged").exists() == (how == "damaged")
    assert not (folder.path / "view.new").exists()
    folder.check()
    assert folder.said == []


def test_one_that_was_closed_in_good_order_and_is_no_view_any_more_is_made_again(
    folder: Folder,
) -> None:
    folder.live(60, snapshot=True, cut=True)
    data = folder.path / "view" / "data.mdb"
    data.write_bytes(b"\xee" * data.stat().st_size)
    assert (folder.path / "view" / "CLEAN").exists()
    folder.check()
    (line,) = folder.said
    assert "is damaged" in line
    assert (folder.path / "view.damaged").exists()


@pytest.mark.parametrize("harm", ["cut", "gone"])
def test_one_without_a_sound_version_is_made_again(folder: Folder, harm: str) -> None:
    folder.live(60, snapshot=True, cut=True)
    version = folder.path / "view" / "VERSION"
    if harm == "cut":
        os.truncate(version, 9)
    else:
        version.unlink()
    folder.check()
    (line,) = folder.said
    assert line.startswith(f"{version} is damaged: the data beside it cannot be relied on: it is")
    folder.check()
    assert folder.said == []


def zeroed(page: bytearray) -> None:
    page[:] = bytes(PAGE_BYTES)


def nonsense(page: bytearray) -> None:
    page[:] = b"\xee" * PAGE_BYTES


def flipped(at: int) -> Callable[[bytearray], None]:
    def flip(page: bytearray) -> None:
        page[at] ^= 0x10

    return flip


HARM = {
    "zeros": zeroed,
    "nonsense": nonsense,
    **{f"byte {at}": flipped(at) for at in (10, 18, 2000, 4000, 4090)},
}


@pytest.mark.parametrize("how", HARM)
def test_damage_to_any_page_is_healed_or_was_to_no_page_in_use(folder: Folder, how: str) -> None:
    folder.live(200, snapshot=True)
    folder.live(100)
    folder.die()
    data = folder.path / "view" / "data.mdb"
    used = data.read_bytes().rstrip(b"\0")
    pages = -(-len(used) // PAGE_BYTES)
    os.truncate(data, pages * PAGE_BYTES)
    healed = 0
    for number in range(pages):
        copy = Folder(folder.path.with_name(f"page {number}"))
        shutil.copytree(folder.path, copy.path, dirs_exist_ok=True)
        content = bytearray(data.read_bytes())
        page = content[number * PAGE_BYTES : (number + 1) * PAGE_BYTES]
        HARM[how](page)
        content[number * PAGE_BYTES : (number + 1) * PAGE_BYTES] = page
        (copy.path / "view" / "data.mdb").write_bytes(content)
        copy.expected = folder.expected
        copy.check()
        healed += (copy.path / "view.damaged").exists()
        shutil.rmtree(copy.path)
    assert healed


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
def test_a_view_cut_short_is_healed(folder: Folder, kept: float) -> None:
    folder.live(60, snapshot=True)
    folder.live(5)
    folder.die()
    data = folder.path / "view" / "data.mdb"
    os.truncate(data, int(len(data.read_bytes().rstrip(b"\0")) * kept))
    folder.check()
    assert folder.said[0].endswith("the snapshot of record 60 and the log")


def test_it_is_made_again_from_the_first_record(folder: Folder) -> None:
    folder.live(60)
    folder.damage()
    folder.check()
    assert folder.said[0].endswith("it is made again from the first record and the log")
    shutil.rmtree(folder.path / "view")
    folder.check()


def test_an_older_damaged_view_gives_way(folder: Folder) -> None:
    folder.live(3)
    for _ in range(2):
        folder.damage()
        (folder.path / "view" / "mark").touch()
        folder.check()
        assert (folder.path / "view.damaged" / "mark").exists()


def test_what_a_crash_left_of_a_new_view_is_no_obstacle(folder: Folder) -> None:
    folder.live(60, snapshot=True, cut=True)
    shutil.rmtree(folder.path / "view")
    (folder.path / "view.new").mkdir()
    (folder.path / "view.new" / "data.mdb").write_bytes(b"half")
    folder.check()


def test_a_damaged_snapshot_is_skipped_for_the_one_before(folder: Folder) -> None:
    folder.live(30, snapshot=True)
    folder.live(30, snapshot=True)
    folder.live(5)
    damage(folder.path / data_name(60))
    shutil.rmtree(folder.path / "view")
    folder.check()
    assert folder.said[0].startswith("the snapshot of record 60 is damaged: its hash")
    assert folder.said[1].endswith("the snapshot of record 30 and the log")


def refuses(folder: Folder, match: str) -> None:
    """It does not open, with one line, and nothing was changed."""
    before = folder.content()
    with pytest.raises(Corrupt, match=match) as caught:
        folder.journal(folder.open())
    assert "\n" not in str(caught.value)
    assert folder.content() == before


@pytest.mark.parametrize("how", ["missing", "damaged"])
def test_with_neither_a_snapshot_nor_the_whole_log_it_is_refused(folder: Folder, how: str) -> None:
    folder.live(60, snapshot=True, cut=True)
    damage(folder.path / data_name(60))
    if how == "missing":
        shutil.rmtree(folder.path / "view")
    else:
        folder.damage()
    refuses(folder, rf"{how}.*no whole snapshot reaches record .*'minidfs admin restore DIR'")


def test_a_view_that_ends_before_the_log_begins_is_made_again(folder: Folder) -> None:
    folder.live(2)
    shutil.copytree(folder.path / "view", folder.path / "old")
    folder.live(60, snapshot=True, cut=True)
    shutil.rmtree(folder.path / "view")
    (folder.path / "old").rename(folder.path / "view")
    folder.check()
    assert folder.said[0].startswith("the view ends with record 2: it is made again")
    shutil.rmtree(folder.path / "view")
    folder.check()


def test_a_view_ahead_of_the_log_is_refused_and_not_made_again(folder: Folder) -> None:
    folder.live(3)
    shutil.copytree(folder.path / "log", folder.path / "old")
    folder.live(3)
    shutil.rmtree(folder.path / "log")
    (folder.path / "old").rename(folder.path / "log")
    refuses(folder, "ends the log and the view is ahead of it, with record 6")


def test_a_snapshot_ahead_of_the_log_is_not_used(folder: Folder) -> None:
    folder.live(3)
    shutil.copytree(folder.path / "log", folder.path / "old")
    folder.live(3, snapshot=True)
    shutil.rmtree(folder.path / "log")
    (folder.path / "old").rename(folder.path / "log")
    shutil.rmtree(folder.path / "view")
    refuses(folder, "the view is ahead of it, with record 6")
