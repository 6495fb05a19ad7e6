"""Is the view sound? When it is checked, what a start leaves of its verdict, what the next does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dfs.disk import LocalDisk
from dfs.errors import Corrupt, StorageFault
from dfs.namenode.lmdb_table import LmdbTable
from dfs.namenode.view_check import DataCheck, ViewCheck
from tests.metadata.test_lmdb_table import NAMES, fill, flip, kill
from tests.metadata.test_view_recovery import HARM, PAGE_BYTES, Folder

ROOT = Path(__file__).parents[2]


def marks(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} & {"CLEAN", "UNCHECKED"}


def open_unchecked(folder: Path) -> LmdbTable:
    """After an unclean end; not checked yet."""
    table = LmdbTable.open(folder, NAMES, check_may_wait=True)
    assert not table.is_checked
    assert marks(folder) == {"UNCHECKED"}
    return table


def damage_row(folder: Path) -> int:
    """Flip a bit of a row, and tell where."""
    data = folder / "data.mdb"
    at = data.read_bytes().index(b"000150" + bytes(50)) + 20
    flip(data, at)
    return at


def test_it_is_read_before_it_is_checked(tmp_path: Path) -> None:
    fill(tmp_path)
    kill(tmp_path)
    table = open_unchecked(tmp_path)
    assert len(table.scan("rows", b"", 999)) == 200
    assert ViewCheck(LocalDisk(tmp_path)).run() == ""
    assert table.is_checked
    assert marks(tmp_path) == set()
    table.close()
    assert marks(tmp_path) == {"CLEAN"}


def test_a_clean_end_and_a_new_view_need_no_check(tmp_path: Path) -> None:
    for _ in range(2):
        table = LmdbTable.open(tmp_path, NAMES, check_may_wait=True)
        assert table.is_checked
        table.close()


def test_no_clean_end_is_marked_before_the_verdict(tmp_path: Path) -> None:
    fill(tmp_path)
    kill(tmp_path)
    open_unchecked(tmp_path).close()
    assert marks(tmp_path) == {"UNCHECKED"}


def test_after_a_start_without_a_verdict_it_is_checked_first(tmp_path: Path) -> None:
    fill(tmp_path)
    kill(tmp_path)
    open_unchecked(tmp_path).close()
    table = LmdbTable.open(tmp_path, NAMES, check_may_wait=True)
    assert table.is_checked
    assert marks(tmp_path) == set()
    table.close()
    kill(tmp_path)
    open_unchecked(tmp_path).close()
    damage_row(tmp_path)
    for _ in range(2):
        with pytest.raises(Corrupt, match=r"damaged \(a row of table 'rows' is not as it was"):
            LmdbTable.open(tmp_path, NAMES, check_may_wait=True)


def test_damage_found_beside_is_known_to_the_next_start(tmp_path: Path) -> None:
    """It is not looked for again: here it is gone by then."""
    fill(tmp_path)
    kill(tmp_path)
    at = damage_row(tmp_path)
    table = open_unchecked(tmp_path)
    problem = "a row of table 'rows' is not as it was written"
    assert ViewCheck(LocalDisk(tmp_path)).run() == problem
    assert not table.is_checked
    table.close()
    assert (tmp_path / "UNCHECKED").read_text() == problem
    flip(tmp_path / "data.mdb", at)
    assert DataCheck().problem_of(tmp_path / "data.mdb") == ""
    with pytest.raises(Corrupt, match=rf"is damaged \({problem}"):
        LmdbTable.open(tmp_path, NAMES, check_may_wait=True)


def test_a_check_that_is_stopped_says_nothing_of_the_view(tmp_path: Path) -> None:
    fill(tmp_path)
    kill(tmp_path)
    open_unchecked(tmp_path).close()
    check = ViewCheck(LocalDisk(tmp_path))
    check.stop()
    with pytest.raises(StorageFault, match=r"check of .* was killed: look for too little memory"):
        check.run()
    assert (tmp_path / "UNCHECKED").read_bytes() == b""


def test_a_mark_that_cannot_be_made_is_a_fault_of_the_disk(tmp_path: Path) -> None:
    fill(tmp_path)
    with pytest.raises(StorageFault, match="the view cannot be checked: No such file"):
        ViewCheck(LocalDisk(tmp_path)).run()


HARMS = ("zeros", "byte 18", "byte 2000")

SERVE = """
import sys
from pathlib import Path
from dfs.namenode.view_check import ViewCheck
from dfs.disk import LocalDisk
from tests.metadata.counting import rows
from tests.metadata.test_view_recovery import Folder
folder = Folder(Path(sys.argv[1]))
table = folder.open()
log = folder.journal(table)
for _ in range(3): rows(table)
if not table.is_checked:
    sys.exit(ViewCheck(LocalDisk(folder.path / "view")).run())
log.close()
table.close()
"""


def start(path: Path) -> int:
    """A process that opens the view, replays the log, reads every row, and hears the verdict."""
    done = subprocess.run(
        [sys.executable, "-c", SERVE, str(path)], cwd=ROOT, capture_output=True, check=False
    )
    return done.returncode


def test_whatever_a_start_dies_of_the_next_one_heals(tmp_path: Path) -> None:
    """By a signal, by a row, by the verdict: no page of the view kills two starts."""
    folder = Folder(tmp_path / "namenode")
    folder.live(60, snapshot=True)
    folder.live(30)
    sound = (folder.path / "view" / "data.mdb").read_bytes().rstrip(b"\0")
    deaths = []
    for number in range(len(sound) // PAGE_BYTES):
        harm(folder, bytearray(sound), number, HARM[HARMS[number % len(HARMS)]])
        deaths.append(start(folder.path))
        folder.check()
        if folder.said:
            assert deaths[-1] != 0
            assert folder.said[-1].endswith("of record 60 and the log")
    assert any(deaths), deaths


def harm(folder: Folder, content: bytearray, number: int, how: Callable[[bytearray], None]) -> None:
    """Put the view of before back, with one page damaged, as an unclean end leaves it."""
    view = folder.path / "view"
    page = content[number * PAGE_BYTES : (number + 1) * PAGE_BYTES]
    how(page)
    content[number * PAGE_BYTES : (number + 1) * PAGE_BYTES] = page
    (view / "data.mdb").write_bytes(content)
    for name in marks(view):
        os.unlink(view / name)
