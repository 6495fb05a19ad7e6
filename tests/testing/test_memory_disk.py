"""The simulated disk: what a crash leaves, what fails when it is told to, and the seam itself."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from dfs.disk import Disk, LocalDisk
from dfs.testing.disk import ANY_CALL, SECTOR_BYTES, Halted, MemoryDisk


def durable(disk: Disk, name: str, data: bytes) -> None:
    """Make a file that survives a crash."""
    file = disk.create(name)
    file.write_at(0, data)
    file.sync()
    file.close()
    disk.sync_folder("")


@pytest.fixture(params=["local", "memory"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    return LocalDisk(tmp_path) if request.param == "local" else MemoryDisk()


def test_both_disks_store_and_list_files(disk: Disk) -> None:
    disk.make_folder("a/b")
    file = disk.create("a/b/two", 10)
    assert file.size() == 10
    file.write_at(8, b"xyz")
    file.truncate(10)
    assert file.read_at(0, 100) == bytes(8) + b"xy"
    assert file.read_at(10, 5) == b""
    file.close()
    disk.create("a/one").close()
    disk.rename("a/one", "a/b/one")
    assert (disk.names("a"), disk.names("a/b")) == ([], ["one", "two"])
    assert disk.exists("a/b")
    assert not disk.exists("a/one")
    disk.rename("a/b/two", "a/b/one")
    opened = disk.open("a/b/one")
    assert opened.read_at(8, 2) == b"xy"
    disk.unlink("a/b/one")
    assert opened.size() == 10
    assert disk.names("a/b") == []


def test_both_disks_write_past_the_end_with_zeros(disk: Disk) -> None:
    file = disk.create("f")
    file.write_at(3, memoryview(b"abc"))
    assert file.read_at(0, 9) == b"\0\0\0abc"


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (lambda d: d.create("taken"), errno.EEXIST),
        (lambda d: d.open("missing"), errno.ENOENT),
        (lambda d: d.unlink("missing"), errno.ENOENT),
        (lambda d: d.rename("missing", "x"), errno.ENOENT),
        (lambda d: d.create("no/folder"), errno.ENOENT),
        (lambda d: d.names("missing"), errno.ENOENT),
        (lambda d: d.open("taken").write_at(0, b"x"), errno.EBADF),
    ],
)
def test_both_disks_fail_alike(disk: Disk, act: Callable[[Disk], object], expected: int) -> None:
    disk.create("taken").close()
    with pytest.raises(OSError, match=os.strerror(expected)) as caught:
        act(disk)
    assert caught.value.errno == expected


def test_a_crash_forgets_what_was_not_synced() -> None:
    disk = MemoryDisk()
    durable(disk, "kept", b"old")
    file = disk.open("kept", write=True)
    file.write_at(0, b"new")
    disk.create("unsynced name").sync()
    disk.crash()
    assert disk.all_names() == ["kept"]
    assert disk.content("kept") == b"old"


def test_a_synced_name_without_synced_bytes_is_an_empty_file() -> None:
    disk = MemoryDisk()
    disk.create("f").write_at(0, b"data")
    disk.sync_folder("")
    disk.crash()
    assert disk.content("f") == b""


def test_a_rename_is_lost_wholly_or_kept_wholly() -> None:
    disk = MemoryDisk()
    durable(disk, "old", b"x")
    disk.make_folder("t")
    disk.rename("old", "t/new")
    disk.crash()
    assert disk.all_names() == ["old"]
    disk.rename("old", "t/new")
    disk.sync_folder("t")
    disk.crash()
    assert disk.all_names() == ["t/new"]


def test_syncing_a_folder_keeps_earlier_changes_of_the_same_names() -> None:
    disk = MemoryDisk()
    durable(disk, "a", b"x")
    for folder in ("p", "q"):
        disk.make_folder(folder)
    disk.rename("a", "p/a")
    disk.rename("p/a", "q/a")
    disk.sync_folder("q")
    disk.crash()
    assert disk.all_names() == ["q/a"]


def test_an_unlink_that_was_not_synced_comes_back() -> None:
    disk = MemoryDisk()
    durable(disk, "f", b"x")
    disk.unlink("f")
    assert disk.used_bytes == 0
    disk.crash()
    assert disk.content("f") == b"x"
    assert disk.used_bytes == 1


def test_a_failed_sync_loses_the_writes_for_good() -> None:
    disk = MemoryDisk()
    durable(disk, "f", b"old")
    file = disk.open("f", write=True)
    file.write_at(0, b"new")
    disk.fail("sync")
    with pytest.raises(OSError, match="Input/output"):
        file.sync()
    file.sync()
    assert file.read_at(0, 3) == b"new"
    disk.crash()
    assert disk.content("f") == b"old"


def test_handles_do_not_outlive_a_crash() -> None:
    disk = MemoryDisk()
    file = disk.create("f")
    disk.crash()
    with pytest.raises(OSError, match="Bad file"):
        file.read_at(0, 1)


def test_a_full_disk_refuses_to_grow_and_takes_room_back() -> None:
    disk = MemoryDisk(capacity_bytes=10)
    file = disk.create("f", 8)
    with pytest.raises(OSError, match="No space"):
        file.write_at(6, b"12345")
    file.write_at(0, b"12345678")
    with pytest.raises(OSError, match="No space"):
        disk.create("g", 3)
    assert disk.all_names() == ["f"]
    file.truncate(1)
    assert disk.space() == (10, 9)
    disk.create("g", 9)


def test_the_nth_call_fails_once() -> None:
    disk = MemoryDisk()
    disk.fail("create", 2, errno.EDQUOT)
    disk.create("a")
    with pytest.raises(OSError, match="quota"):
        disk.create("b")
    disk.create("b")
    disk.fail(ANY_CALL, 2)
    assert disk.exists("a")
    with pytest.raises(OSError, match="Input/output"):
        disk.names("")


def test_a_flipped_bit_stays_flipped() -> None:
    disk = MemoryDisk()
    durable(disk, "f", b"\0\0")
    disk.flip_bit("f", 1, 3)
    assert disk.content("f") == b"\0\x08"
    disk.crash()
    assert disk.content("f") == b"\0\x08"


def test_a_crash_with_chance_tears_at_sector_borders_only() -> None:
    data = b"n" * (4 * SECTOR_BYTES)
    seen = set()
    for seed in range(100):
        disk = MemoryDisk()
        durable(disk, "f", b"o" * len(data))
        disk.open("f", write=True).write_at(0, data)
        disk.crash(Random(seed))
        content = disk.content("f")
        sectors = [content[i : i + SECTOR_BYTES] for i in range(0, len(data), SECTOR_BYTES)]
        assert all(len(set(sector)) == 1 for sector in sectors)
        seen.add("".join(chr(sector[0]) for sector in sectors))
    assert {"oooo", "nnnn"} < seen
    assert len(seen) > 5


def test_a_crash_with_chance_keeps_names_in_their_order() -> None:
    seen = set()
    for seed in range(50):
        disk = MemoryDisk()
        for name in "abc":
            disk.create(name)
        disk.crash(Random(seed))
        seen.add("".join(disk.all_names()))
    assert seen == {"", "a", "ab", "abc"}


def test_the_same_chance_leaves_the_same_disk() -> None:
    def run() -> dict[str, bytes]:
        disk = MemoryDisk()
        for number in range(20):
            disk.create(f"f{number}").write_at(0, bytes([number]) * 3000)
        disk.sync_folder("")
        disk.crash(Random("seed"))
        return {name: disk.content(name) for name in disk.all_names()}

    assert run() == run()


@pytest.mark.parametrize(("behind", "left"), [(False, b"old"), (True, b"new")])
def test_a_process_halts_in_a_call_before_or_behind_its_effect(behind: bool, left: bytes) -> None:
    disk = MemoryDisk()
    durable(disk, "f", b"old")
    file = disk.open("f", write=True)
    disk.halt("sync", 1, behind=behind)
    file.write_at(0, b"new")
    disk.check_running()
    if behind:
        file.sync()
    else:
        with pytest.raises(Halted):
            file.sync()
    for call in (disk.check_running, file.close, file.sync, lambda: disk.names("")):
        with pytest.raises(Halted):
            call()
    disk.crash()
    disk.check_running()
    assert disk.content("f") == left


def test_what_was_ordered_and_did_not_happen_can_be_taken_back() -> None:
    disk = MemoryDisk()
    disk.fail("create")
    disk.halt("create")
    disk.spare()
    disk.create("f").write_at(0, b"x")
    assert disk.durable_content("f") is None
    assert disk.has_unsynced_writes("")
    disk.halt("*")
    disk.gone()
    disk.open("f").sync()
    assert not disk.has_unsynced_writes("")


def test_a_file_that_gets_no_room_is_not_made(tmp_path: Path) -> None:
    disk = LocalDisk(tmp_path)
    with pytest.raises(OSError, match=r"\[Errno"):
        disk.create("large", preallocate_bytes=(1 << 63) - 1)
    assert disk.names("") == []
