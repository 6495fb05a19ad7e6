"""What the view on disk does beyond the contract: faults, unclean ends, other versions."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dfs.epoch_file import render_epoch
from dfs.errors import Corrupt, NotSupported, StorageFault
from dfs.label import Kind, render
from dfs.limits import VIEW_ROOM_BYTES
from dfs.namenode import lmdb_table
from dfs.namenode.lmdb_table import LmdbTable, read_row
from dfs.namenode.view_check import DataCheck
from dfs.resident import drop_mapping
from tests.damage import every_damage

NAMES = ("rows",)
PAGE_BYTES = 4096


def fill(folder: Path, rows: int = 200) -> None:
    """A view with some committed rows, closed in good order."""
    table = LmdbTable.open(folder, NAMES)
    for number in range(rows):
        table.put("rows", b"%06d" % number, bytes(100))
    table.commit()
    table.close()


def kill(folder: Path) -> None:
    """What a killed process leaves: no marker of a clean end."""
    (folder / "CLEAN").unlink()


def in_another_process(script: str, folder: Path) -> str:
    """What a script prints that opens the view in ``folder`` in its own process."""
    begin = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from dfs.errors import *; from dfs.namenode.lmdb_table import LmdbTable\n"
        "folder = Path(sys.argv[1])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", begin + script, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_committed_rows_survive_a_kill(tmp_path: Path) -> None:
    script = """
table = LmdbTable.open(folder, ("rows",))
table.put("rows", b"committed", b"1"); table.commit()
table.put("rows", b"open", b"1")
sys.stdout.flush(); import os; os._exit(0)
"""
    in_another_process(script, tmp_path)
    table = LmdbTable.open(tmp_path, NAMES)
    assert table.scan("rows", b"", 9) == [(b"committed", b"1")]
    table.close()


def test_the_file_is_checked_after_an_unclean_end(tmp_path: Path) -> None:
    fill(tmp_path)
    kill(tmp_path)
    data = tmp_path / "data.mdb"
    content = bytearray(data.read_bytes())
    for at in range(2 * PAGE_BYTES, len(content), PAGE_BYTES):
        content[at : at + 24] = b"\xee" * 24
    data.write_bytes(content)
    with pytest.raises(Corrupt, match=r"the view in .* is damaged \(.*page"):
        LmdbTable.open(tmp_path, NAMES)
    data.unlink()
    table = LmdbTable.open(tmp_path, NAMES)
    assert table.scan("rows", b"", 9) == []
    table.close()


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


READS: tuple[Callable[[LmdbTable], object], ...] = (
    lambda table: table.get("rows", b"key"),
    lambda table: table.scan("rows", b"", 9),
    lambda table: table.last("rows", b"z"),
)


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("at", [0, 9, 17])
def test_a_damaged_row_is_never_returned_and_ends_the_table(
    tmp_path: Path, at: int, read: Callable[[LmdbTable], object]
) -> None:
    """Of a clean end, so that nobody looks at the file first; the next start does."""
    table = LmdbTable.open(tmp_path, NAMES)
    table.put("rows", b"key", b"a row of 12.")
    table.commit()
    table.close()
    flip(tmp_path / "data.mdb", (tmp_path / "data.mdb").read_bytes().rindex(b"a row of") + at)
    table = LmdbTable.open(tmp_path, NAMES)
    table.check_usable()
    for call in (lambda: read(table), table.check_usable, table.commit):
        with pytest.raises(StorageFault, match="a row of table 'rows' is not as it was written"):
            call()
    table.close()
    assert not (tmp_path / "CLEAN").exists()
    with pytest.raises(Corrupt, match=r"damaged \(a row of table 'rows' is not as"):
        LmdbTable.open(tmp_path, NAMES)
    with pytest.raises(Corrupt, match=r"cannot be read \(a row of table 'rows'"):
        read_row(tmp_path / "data.mdb", "rows", b"key")


def test_rows_of_a_renamed_table_are_damaged(tmp_path: Path) -> None:
    fill(tmp_path, rows=1)
    kill(tmp_path)
    data = tmp_path / "data.mdb"
    data.write_bytes(data.read_bytes().replace(b"rows", b"cows"))
    with pytest.raises(Corrupt, match="a row of table 'cows' is not as it was written"):
        LmdbTable.open(tmp_path, NAMES)


def test_a_copy_has_the_last_commit_and_nothing_behind_it(tmp_path: Path) -> None:
    table = LmdbTable.open(tmp_path / "view", NAMES)
    table.put("rows", b"committed", b"1")
    table.commit()
    table.put("rows", b"open", b"1")
    copy = tmp_path / "copy.mdb"
    with copy.open("wb") as file:
        table.copy_to(file.fileno())
    table.close()
    assert DataCheck().problem_of(copy) == ""
    assert read_row(copy, "rows", b"committed") == b"1"
    assert read_row(copy, "rows", b"open") is None


def test_a_copy_that_cannot_be_written_does_not_hurt_the_table(tmp_path: Path) -> None:
    table = LmdbTable.open(tmp_path, NAMES)
    with (tmp_path / "data.mdb").open("rb") as file, pytest.raises(OSError, match="copyfd"):
        table.copy_to(file.fileno())
    table.put("rows", b"a", b"1")
    table.commit()
    table.close()


def test_a_table_that_is_being_copied_is_left_open_at_the_end(tmp_path: Path) -> None:
    """Closing what another thread reads would take the memory from under it."""
    table = LmdbTable.open(tmp_path, NAMES)
    with table._copying:
        table.close()
        assert (tmp_path / "CLEAN").exists()
        assert table._env.stat()["psize"] == PAGE_BYTES
    table._env.close()


def test_what_is_no_data_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file.mdb"
    file.write_bytes(b"\xee" * 3 * PAGE_BYTES)
    assert DataCheck().problem_of(file)
    with pytest.raises(Corrupt, match=r"file\.mdb cannot be read"):
        read_row(file, "rows", b"a")


def test_pages_are_given_back_and_nothing_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reads and commits behind it are as before, those of the open transaction included."""
    monkeypatch.setattr(lmdb_table, "VIEW_RESIDENT_MAX_BYTES", 0)
    monkeypatch.setattr(lmdb_table, "VIEW_RESIDENT_LOOK_NS", 0)
    monkeypatch.setattr(lmdb_table, "VIEW_LOOK_READS", 50)
    dropped: list[int] = []

    def drop(path: Path) -> int:
        dropped.append(drop_mapping(path))
        return dropped[-1]

    monkeypatch.setattr(lmdb_table, "drop_mapping", drop)
    table = LmdbTable.open(tmp_path, NAMES)
    expected = {}
    for turn in range(20):
        for number in range(turn, 400, 7):
            row = b"%06d" % number, b"%d" % turn * 50
            table.put("rows", *row)
            expected.update([row])
        if turn % 3:
            table.commit()
        assert dict(table.scan("rows", b"", 1000)) == expected
    table.commit()
    table.close()
    assert len(dropped) > 10
    table = LmdbTable.open(tmp_path, NAMES)
    assert dict(table.scan("rows", b"", 1000)) == expected
    table.close()


def test_a_sound_file_opens_after_an_unclean_end(tmp_path: Path) -> None:
    fill(tmp_path, rows=3)
    kill(tmp_path)
    table = LmdbTable.open(tmp_path, NAMES)
    assert len(table.scan("rows", b"", 9)) == 3
    assert not (tmp_path / "CLEAN").exists()
    table.close()
    assert (tmp_path / "CLEAN").exists()


@pytest.mark.parametrize(
    ("kind", "engine", "says"),
    [
        (Kind("minidfs view", 2, ""), "lmdb 1.0", "has format 2 and this minidfs knows 1"),
        (Kind("minidfs view", 1, ""), "lmdb 1.0", "names the engine 'lmdb 1.0' .* 'lmdb 0.9'"),
    ],
)
def test_another_version_is_refused_untouched(
    tmp_path: Path, kind: Kind, engine: str, says: str
) -> None:
    fill(tmp_path)
    (tmp_path / "VERSION").write_bytes(render(kind, {"engine": engine}))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(NotSupported, match=says):
        LmdbTable.open(tmp_path, NAMES)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_data_without_a_sound_version_are_damaged(tmp_path: Path) -> None:
    fill(tmp_path)
    version = tmp_path / "VERSION"
    for damaged in every_damage(version.read_bytes()):
        version.write_bytes(damaged)
        with pytest.raises(Corrupt, match="VERSION is damaged: the data beside it cannot"):
            LmdbTable.open(tmp_path, NAMES)
    version.write_bytes(render_epoch(1))
    with pytest.raises(Corrupt, match="VERSION is another file"):
        LmdbTable.open(tmp_path, NAMES)
    version.unlink()
    with pytest.raises(Corrupt, match="VERSION is damaged"):
        LmdbTable.open(tmp_path, NAMES)


def test_a_start_that_was_cut_short_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "VERSION").write_text("minid")
    fill(tmp_path, rows=1)
    table = LmdbTable.open(tmp_path, NAMES)
    assert len(table.scan("rows", b"", 9)) == 1
    table.close()


def test_a_full_map_ends_the_table(tmp_path: Path) -> None:
    table = LmdbTable.open(tmp_path, NAMES, map_bytes=16 * PAGE_BYTES)
    table.put("rows", b"first", b"")
    table.commit()
    with pytest.raises(StorageFault, match="MAP_FULL"):
        table.put("rows", b"big", bytes(100 * PAGE_BYTES))
    calls = [
        lambda: table.get("rows", b"first"),
        lambda: table.put("rows", b"second", b""),
        lambda: table.delete("rows", b"first"),
        lambda: table.scan("rows", b"", 1),
        lambda: table.last("rows", b"z"),
        table.commit,
        table.abort,
    ]
    for call in calls:
        with pytest.raises(StorageFault):
            call()
    table.close()
    assert not (tmp_path / "CLEAN").exists()
    table = LmdbTable.open(tmp_path, NAMES)
    assert table.scan("rows", b"", 9) == [(b"first", b"")]
    table.close()


def test_a_table_that_has_no_room_in_the_map_is_a_fault_of_the_disk(tmp_path: Path) -> None:
    fill(tmp_path)
    with pytest.raises(StorageFault, match=r"cannot open the view in .*MAP_FULL"):
        LmdbTable.open(tmp_path, ("rows", "more"), map_bytes=PAGE_BYTES)
    table = LmdbTable.open(tmp_path, NAMES)
    assert len(table.scan("rows", b"", 999)) == 200
    table.close()


def test_a_failed_commit_ends_the_table(tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk."""
    script = """
table = LmdbTable.open(folder, ("rows",))
table.put("rows", b"first", b""); table.commit()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
for number in range(1000): table.put("rows", b"%d" % number, bytes(1000))
for call in (table.commit, table.commit, table.abort):
    try: call()
    except StorageFault as error: print(str(error).count("\\n"))
"""
    assert in_another_process(script, tmp_path).split() == ["0"] * 3
    table = LmdbTable.open(tmp_path, NAMES)
    assert table.scan("rows", b"", 9) == [(b"first", b"")]
    table.close()


def test_little_address_space_makes_the_map_smaller(tmp_path: Path) -> None:
    script = """
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
table = LmdbTable.open(folder, ("rows",)); table.put("rows", b"a", b""); table.commit()
print("opened")
"""
    assert in_another_process(script, tmp_path) == "opened"
    script = """
resource.setrlimit(resource.RLIMIT_AS, (1 << 28, 1 << 28))
try: LmdbTable.open(folder, ("rows",))
except StorageFault as error: print(error)
"""
    assert "raise `ulimit -v`" in in_another_process(script, tmp_path / "other")


def test_a_folder_that_cannot_be_made_is_a_fault_of_the_disk(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFault, match="cannot open the view"):
        LmdbTable.open(tmp_path / "file" / "view", NAMES)


def test_room_is_reserved_ahead_and_does_not_disturb(tmp_path: Path) -> None:
    fill(tmp_path)
    table = LmdbTable.open(tmp_path, NAMES)
    assert table.make_room()
    blocks = (tmp_path / "data.mdb").stat().st_blocks
    assert blocks * 512 >= VIEW_ROOM_BYTES
    table.put("rows", b"more", b"x" * 100_000)
    table.commit()
    assert table.make_room()
    assert (tmp_path / "data.mdb").stat().st_blocks == blocks
    table.close()
    kill(tmp_path)
    table = LmdbTable.open(tmp_path, NAMES)
    assert table.get("rows", b"more") == b"x" * 100_000
    table.close()
    with pytest.raises(StorageFault, match="closed"):
        table.make_room()


def test_every_fault_of_the_library_is_a_fault_of_the_storage_and_the_last(tmp_path: Path) -> None:
    acts: list[Callable[[LmdbTable], object]] = [
        lambda table: table.get("rows", b""),
        lambda table: table.put("rows", b"", b""),
        lambda table: table.scan("rows", b"", 1),
        lambda table: table.last("rows", b"x"),
        LmdbTable.commit,
        LmdbTable.abort,
        LmdbTable.make_room,
        LmdbTable.close,
    ]
    for number, act in enumerate(acts):
        table = LmdbTable.open(tmp_path / str(number), NAMES)
        table._txn.abort()
        table._env.close()
        with pytest.raises(StorageFault):
            act(table)
        with pytest.raises(StorageFault):
            table.commit()
