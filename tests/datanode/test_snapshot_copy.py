"""Snapshots beside a datanode's copy of the log: what counts, what a crash leaves, what goes."""

from __future__ import annotations

import errno
from random import Random

import pytest

from dfs.errors import Corrupt, NotFound, StorageFault
from dfs.wire.keeper import KeepSnapshot
from tests.datanode.test_kept_log import OURS, Keeper, manifest_of


@pytest.fixture
def keeper() -> Keeper:
    return Keeper()


def test_a_newer_snapshot_takes_the_place_of_records_and_of_the_older_one(keeper: Keeper) -> None:
    keeper.begin(OURS)
    keeper.append(OURS, 1, 40)
    keeper.keep(b"older", 5)
    keeper.keep(b"the newest state", 25)
    keeper.keep(b"older again", 9)
    found = keeper.found()
    assert (found.snapshot, found.last) == (25, 40)
    assert 1 < found.first <= 26
    keeper.disk.crash()
    keeper.restart()
    assert keeper.found() == found
    newest = b"the newest state"
    assert keeper.snapshot(25) == (newest, manifest_of(newest, 25))
    assert keeper.everything() == OURS.bytes_of(found.first, 40)
    with pytest.raises(NotFound, match="no snapshot of record 5 is kept here"):
        keeper.snapshot(5)
    assert sum("mdb" in name for name in keeper.disk.all_names()) == 1


def test_a_snapshot_with_a_missing_piece_or_another_hash_does_not_count(keeper: Keeper) -> None:
    keeper.begin(OURS)
    keeper.append(OURS, 1, 40)
    manifest = manifest_of(b"abcd", 9)
    keeper.do(KeepSnapshot(1, 0, manifest), b"ab")
    with pytest.raises(Corrupt, match="a piece of the snapshot of record 9 is missing"):
        keeper.do(KeepSnapshot(1, 3, manifest), b"d")
    for data in (b"xx", b"cdef"):
        keeper.do(KeepSnapshot(1, 0, manifest), b"ab")
        with pytest.raises(Corrupt, match="of record 9 is not what its manifest says"):
            keeper.do(KeepSnapshot(1, 2, manifest), data)
        assert not keeper.disk.exists("keeper/a/snapshot.tmp")
    with pytest.raises(Corrupt, match="the manifest of a snapshot is damaged"):
        keeper.do(KeepSnapshot(1, 0, b"?"), b"ab")
    assert keeper.found().snapshot == 0
    keeper.keep(b"abcd", 9, piece=2)
    assert keeper.found().snapshot == 9


@pytest.mark.parametrize("seed", range(20))
def test_a_crash_at_any_call_while_a_snapshot_is_kept_loses_nothing(seed: int) -> None:
    for call in range(1, 200):
        keeper = Keeper()
        keeper.begin(OURS)
        keeper.append(OURS, 1, 40)
        keeper.keep(b"older", 5)
        keeper.disk.fail("*", call)
        failed = False
        try:
            keeper.keep(b"the newest state", 25)
        except StorageFault:
            failed = True
        keeper.disk.crash(Random(seed))
        keeper.restart()
        found = keeper.found()
        assert (found.last, found.remark) == (40, "")
        assert found.snapshot in ((5, 25) if failed else (25,))
        assert found.first <= found.snapshot + 1
        assert keeper.everything() == OURS.bytes_of(found.first, 40)
        data = b"the newest state" if found.snapshot == 25 else b"older"
        assert keeper.snapshot(found.snapshot)[0] == data
        if not failed:
            assert call > 20
            return
    raise AssertionError("the disk was called more often than expected")


def test_records_that_could_not_be_dropped_stop_all_changes_and_are_there_after_a_start(
    keeper: Keeper,
) -> None:
    keeper.begin(OURS)
    keeper.append(OURS, 1, 40)
    keeper.keep(b"older", 5)
    first = keeper.found().first
    newest = b"the newest state"
    keeper.do(KeepSnapshot(1, 0, manifest_of(newest, 25)), newest[:-1])
    keeper.disk.fail("unlink", 4)  # behind a temporary file and the older snapshot's two files
    with pytest.raises(StorageFault):
        keeper.do(KeepSnapshot(1, len(newest) - 1, manifest_of(newest, 25)), newest[-1:])
    with pytest.raises(StorageFault, match="failed earlier"):
        keeper.append(OURS, 41, 41)
    keeper.restart()
    found = keeper.found()
    assert (found.first, found.last, found.snapshot, found.remark) == (first, 40, 25, "")
    keeper.append(OURS, 41, 41)


@pytest.mark.parametrize("suffix", [".mdb", ".manifest"])
def test_a_snapshot_that_is_damaged_does_not_count_and_is_sent_again(
    keeper: Keeper, suffix: str
) -> None:
    keeper.begin(OURS)
    keeper.append(OURS, 1, 40)
    keeper.keep(b"the newest state", 25)
    first = keeper.found().first
    (name,) = [n for n in keeper.disk.all_names() if n.endswith(suffix)]
    keeper.disk.flip_bit(name, 8)
    keeper.restart()
    found = keeper.found()
    assert (found.first, found.snapshot) == (first, 0)
    assert found.remark == "the snapshot of record 25 is damaged"
    with pytest.raises(Corrupt, match="no snapshot stands for the records before"):
        keeper.append(OURS, 41, 41)
    keeper.keep(b"the newest state", 25)
    assert keeper.append(OURS, 41, 41) == 41
    keeper.restart()
    assert (keeper.found().snapshot, keeper.found().remark) == (25, "")


def test_a_snapshot_that_cannot_be_read_at_a_start_does_not_count(keeper: Keeper) -> None:
    keeper.begin(OURS)
    keeper.append(OURS, 1, 5)
    keeper.keep(b"state", 5)
    reads = keeper.disk.calls["read_at"]
    keeper.restart()
    keeper.found()
    last = keeper.disk.calls["read_at"] - reads
    keeper.restart()
    keeper.disk.fail("read_at", last - 1)  # of its data; the segment comes behind
    assert keeper.found().remark == "the snapshot of record 5 is damaged"


def test_a_snapshot_never_reaches_beyond_the_records(keeper: Keeper) -> None:
    keeper.begin(OURS)
    keeper.append(OURS, 1, 8)
    with pytest.raises(Corrupt, match="a snapshot of record 9 reaches beyond record 8"):
        keeper.keep(b"state", 9)


def test_what_came_of_a_snapshot_that_does_not_fit_is_removed(keeper: Keeper) -> None:
    keeper.begin(OURS)
    keeper.append(OURS, 1, 40)
    keeper.keep(b"older", 5)
    keeper.do(KeepSnapshot(1, 0, manifest_of(b"newer", 25)), b"ne")
    keeper.disk.fail("write_at", number=errno.ENOSPC)
    with pytest.raises(StorageFault, match="No space left"):
        keeper.do(KeepSnapshot(1, 2, manifest_of(b"newer", 25)), b"we")
    assert not keeper.disk.exists("keeper/a/snapshot.tmp")
    assert keeper.append(OURS, 41, 41) == 41
    keeper.disk.capacity_bytes = keeper.disk.used_bytes + 5
    with pytest.raises(StorageFault, match="bytes free on the datanode's disk"):
        keeper.keep(b"newer", 25)
    assert keeper.snapshot(5)[0] == b"older"


def test_what_came_of_a_snapshot_before_a_crash_is_removed(keeper: Keeper) -> None:
    keeper.begin(OURS)
    keeper.append(OURS, 1, 40)
    keeper.do(KeepSnapshot(1, 0, manifest_of(b"state", 25)), b"st")
    keeper.restart()
    assert keeper.found().snapshot == 0
    assert not keeper.disk.exists("keeper/a/snapshot.tmp")
    with pytest.raises(Corrupt, match="a piece of the snapshot of record 25 is missing"):
        keeper.do(KeepSnapshot(1, 2, manifest_of(b"state", 25)), b"ate")
