"""Snapshots on the disk: whole or not there, whatever fails and whenever power is lost."""

from __future__ import annotations

import errno
from random import Random

import pytest

from dfs import label
from dfs.errors import Corrupt, NoRoom, NotSupported, Refused, StorageFault
from dfs.limits import SNAPSHOT_RESERVE_BYTES
from dfs.manifest import KIND, Manifest, parse, render
from dfs.namenode.journal import put_applied_index, table_names
from dfs.namenode.snapshot_store import (
    SnapshotStore,
    data_name,
    digest_of,
    manifest_name,
    problem_of_data,
)
from dfs.namenode.snapshots import (
    CheckSnapshot,
    DropSnapshots,
    ReadSnapshot,
    TakeSnapshot,
    UnlinkSegments,
)
from dfs.namenode.table import MemoryTable
from dfs.testing.disk import ANY_CALL, MemoryDisk
from dfs.testing.view_copier import MemoryCopier, read_rows
from tests.damage import every_damage, put
from tests.metadata.counting import CLUSTER, MODULES, new_table

MANIFEST = Manifest(CLUSTER, 7, "rows in memory", 100, "ab" * 32)


def view(index: int) -> MemoryTable:
    """A view whose last commit is of a record, and which has changed since."""
    table = new_table()
    table.put("words", b"w%d" % index, b"1")
    put_applied_index(table, index)
    table.commit()
    table.put("words", b"later", b"1")
    return table


def store_of(disk: MemoryDisk, index: int) -> SnapshotStore:
    table = view(index)
    store = SnapshotStore(disk, CLUSTER, MemoryCopier(lambda: table))
    store.clean()
    return store


def words(disk: MemoryDisk, manifest: Manifest) -> list[bytes]:
    table = read_rows(disk, manifest, table_names(MODULES))
    return [key for key, _ in table.scan("words", b"", 9)]


def test_a_snapshot_is_the_last_commit_and_says_so() -> None:
    disk = MemoryDisk()
    store = store_of(disk, 7)
    made = store.execute(TakeSnapshot())
    assert (made.cluster, made.index, made.data_bytes) == (
        CLUSTER,
        7,
        len(disk.content(data_name(7))),
    )
    disk.crash()
    assert store.whole() == [made]
    assert store.problem_of(made) == ""
    assert words(disk, made) == [b"w7"]
    assert store.execute(ReadSnapshot(7, 1, 5)) == disk.content(data_name(7))[1:6]


def test_one_of_the_same_record_is_not_made_twice() -> None:
    disk = MemoryDisk()
    store = store_of(disk, 7)
    made = store.take()
    names = disk.all_names()
    assert store.take() == made
    assert disk.all_names() == names


def test_a_damaged_one_of_the_same_record_is_replaced() -> None:
    for damaged in (data_name(7), manifest_name(7)):
        disk = MemoryDisk()
        store = store_of(disk, 7)
        made = store.take()
        content = disk.content(damaged)
        put(disk, damaged, content[:-3] + b"???")
        problem = store.execute(CheckSnapshot(made))
        assert (problem != "") == (damaged == data_name(7))
        assert store.take() == made
        disk.crash()
        assert store.whole() == [made]
        assert store.execute(CheckSnapshot(made)) == ""


@pytest.mark.parametrize("torn", [False, True])
def test_while_a_damaged_one_is_replaced_it_never_counts(torn: bool) -> None:
    """The n-th call fails, for each n; then power is cut; what is left is sound or not there."""
    for nth in range(1, 1000):
        disk = MemoryDisk()
        store = store_of(disk, 7)
        made = store.take()
        put(disk, data_name(7), disk.content(data_name(7))[:-3] + b"???")
        disk.fail(ANY_CALL, nth)
        try:
            store.take()
        except OSError:
            disk.crash(Random(nth) if torn else None)
            left = store.whole()
            replaced = [store.problem_of(m) == "" for m in left]
            is_old = disk.content(data_name(7))[-3:] == b"???" if left else False
            assert replaced == ([not is_old] if left else [])
        else:
            disk.crash()
            assert [store.problem_of(m) for m in store.whole()] == [""]
            assert store.whole() == [made]
            break
    assert nth > 15


@pytest.mark.parametrize("torn", [False, True])
def test_whatever_call_fails_the_snapshot_is_whole_or_not_there(torn: bool) -> None:
    """The n-th call fails, for each n; then power is cut; the older snapshot stays whole."""
    for nth in range(1, 1000):
        disk = MemoryDisk()
        older = store_of(disk, 3).take()
        store = store_of(disk, 7)
        disk.fail(ANY_CALL, nth)
        try:
            made = store.take()
        except OSError:
            for crash in (False, True):
                if crash:
                    disk.crash(Random(nth) if torn else None)
                whole = store.whole()
                assert whole[-1] == older
                assert [m.index for m in whole] in ([3], [7, 3])
                assert [store.problem_of(m) for m in whole] == [""] * len(whole)
            store.clean()
            left = {f(m.index) for m in store.whole() for f in (data_name, manifest_name)}
            assert set(disk.all_names()) == left
        else:
            disk.crash()
            assert store.whole() == [made, older]
            break
    assert nth > 15


def test_removing_leaves_no_half_either() -> None:
    for nth in range(1, 100):
        disk = MemoryDisk()
        store = store_of(disk, 7)
        store.take()
        disk.fail(ANY_CALL, nth)
        try:
            store.execute(DropSnapshots((7,)))
        except OSError:
            disk.crash(Random(nth))
            assert all(store.problem_of(m) == "" for m in store.whole())
        else:
            break
    assert nth > 2
    disk.crash()
    assert store.whole() == []
    store.execute(DropSnapshots((7,)))


def test_segments_go_in_order_and_a_crash_leaves_no_gap() -> None:
    names = tuple(f"log/{number}" for number in range(5))
    for nth in range(1, 100):
        disk = MemoryDisk()
        disk.make_folder("log")
        for name in names:
            disk.create(name).close()
        disk.sync_folder("log")
        store = store_of(disk, 7)
        disk.fail(ANY_CALL, nth)
        try:
            store.execute(UnlinkSegments(names))
        except OSError:
            disk.crash(Random(nth))
            left = disk.names("log")
            assert tuple(f"log/{name}" for name in left) == names[5 - len(left) :]
            store.execute(UnlinkSegments(names))
        assert disk.all_names() == []
        if not disk.crashes:
            break
    assert nth > 10


class TestNoRoom:
    """A snapshot never takes the room that the log lives on."""

    def test_it_is_not_begun(self) -> None:
        disk = MemoryDisk(capacity_bytes=SNAPSHOT_RESERVE_BYTES - 1)
        store = store_of(disk, 7)
        with pytest.raises(NoRoom, match=r"needs 67108864 bytes free .* it has 67108863"):
            store.take()
        assert disk.all_names() == []

    @pytest.mark.parametrize("call", ["create", "write_at", "sync", "rename"])
    def test_what_was_written_is_removed_at_once(self, call: str) -> None:
        disk = MemoryDisk()
        store = store_of(disk, 7)
        disk.fail(call, 1, errno.ENOSPC)
        with pytest.raises(OSError, match="No space left"):
            store.take()
        assert disk.all_names() == []

    def test_a_copy_that_is_not_sound_is_removed(self) -> None:
        class Broken(MemoryCopier):
            def copy_to(self, file: object) -> None:
                file.write_at(0, b"\xc1")  # type: ignore[attr-defined]

        disk = MemoryDisk()
        store = SnapshotStore(disk, CLUSTER, Broken(new_table))
        store.clean()
        with pytest.raises(Corrupt, match=r"new\.tmp is damaged"):
            store.take()
        assert disk.all_names() == []


class TestDamage:
    """What is not as its manifest says is found before it is used."""

    def test_every_byte_of_the_data_counts(self) -> None:
        disk = MemoryDisk()
        store = store_of(disk, 7)
        made = store.take()
        for at in range(made.data_bytes):
            disk.flip_bit(data_name(7), at)
            assert store.problem_of(made) == "its hash is not that of its manifest"
            disk.flip_bit(data_name(7), at)
        assert store.problem_of(made) == ""

    def test_data_of_another_size_or_none(self) -> None:
        disk = MemoryDisk()
        store = store_of(disk, 7)
        made = store.take()
        file = disk.open(data_name(7), write=True)
        file.truncate(made.data_bytes - 1)
        assert "bytes and should have" in store.problem_of(made)
        assert store.whole() == []
        disk.fail("open")
        assert store.problem_of(made).startswith("it cannot be read: Input/output error")

    def test_data_that_are_no_view_whatever_their_manifest_says(self) -> None:
        disk = MemoryDisk()
        disk.create("data").write_at(0, b"?")
        manifest = Manifest(CLUSTER, 7, "rows in memory", 1, digest_of(disk, "data"))
        problem = problem_of_data(disk, "data", manifest, MemoryCopier(new_table))
        assert problem.startswith("data is damaged")

    def test_no_damaged_manifest_stands_for_anything(self) -> None:
        disk = MemoryDisk()
        store = store_of(disk, 7)
        made = store.take()
        good = disk.content(manifest_name(7))
        for damaged in every_damage(good):
            put(disk, manifest_name(7), damaged)
            assert store.whole() == []
        put(disk, manifest_name(7), good)
        assert store.whole() == [made]
        disk.flip_bit(manifest_name(7), 0)
        disk.create("snapshots/strange.manifest").close()
        store.clean()
        assert disk.all_names() == []

    def test_of_another_cluster_or_engine_it_is_refused(self) -> None:
        disk = MemoryDisk()
        store_of(disk, 7).take()
        names = disk.all_names()
        copier = MemoryCopier(new_table)
        with pytest.raises(Refused, match="is of cluster 'c-test' and this is cluster 'other'"):
            SnapshotStore(disk, "other", copier).clean()
        copier.format = "another"
        with pytest.raises(NotSupported, match="'rows in memory' and this program knows"):
            SnapshotStore(disk, CLUSTER, copier).clean()
        assert disk.all_names() == names


class TestManifest:
    """The text beside the data."""

    def test_it_reads_back(self) -> None:
        assert parse(render(MANIFEST), "here") == MANIFEST

    def test_a_newer_one_is_refused(self) -> None:
        newer = label.render(label.Kind("minidfs snapshot", 2, ""), {})
        with pytest.raises(NotSupported, match="here has format 2"):
            parse(newer, "here")

    @pytest.mark.parametrize("field", ["cluster", "index", "view", "bytes", "blake2b"])
    def test_what_it_must_say(self, field: str) -> None:
        fields = {"cluster": "c", "index": 7, "view": "v", "bytes": 1, "blake2b": "ab"}
        del fields[field]
        with pytest.raises(Corrupt, match="here is damaged: use another snapshot or backup"):
            parse(label.render(KIND, fields), "here")


def test_a_fault_of_the_store_is_no_dfs_error_of_another_kind() -> None:
    disk = MemoryDisk()
    store = store_of(disk, 7)
    with pytest.raises(OSError, match="No such file") as caught:
        store.execute(ReadSnapshot(9, 0, 1))
    assert not isinstance(caught.value, StorageFault)
