"""What a rebuild writes: the snapshot and the records of one copy, and nothing of another."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from dfs import label
from dfs.errors import Corrupt, StorageFault
from dfs.log_format import pack_record
from dfs.manifest import Manifest, render
from dfs.namenode.copy_reader import BeginCopy, WriteRecords, WriteSnapshot
from dfs.namenode.copy_writer import CopyWriter
from dfs.namenode.journal import put_applied_index
from dfs.namenode.log_recovery import first_index
from dfs.namenode.snapshot_store import SnapshotStore
from dfs.testing.disk import ANY_CALL, MemoryDisk
from dfs.testing.view_copier import MemoryCopier
from dfs.wire.keeper import KeptSnapshot
from tests.metadata.counting import CLUSTER, new_table

COPIER = MemoryCopier(new_table)


def data_of(index: int) -> bytes:
    """The data of a snapshot."""
    table, disk = new_table(), MemoryDisk()
    put_applied_index(table, index)
    table.commit()
    file = disk.create("x")
    MemoryCopier(lambda: table).copy_to(file)
    return file.read_at(0, file.size())


def manifest_of(index: int, data: bytes) -> Manifest:
    digest = hashlib.blake2b(data, digest_size=32).hexdigest()
    return Manifest(CLUSTER, index, COPIER.format, len(data), digest)


def send(writer: CopyWriter, manifest: Manifest, data: bytes, length: int = 9) -> None:
    """A copy's beginning and its snapshot, in pieces."""
    writer.execute(BeginCopy(manifest.index + 1, 0))
    for at in range(0, len(data), length):
        piece = KeptSnapshot(manifest.index, at, len(data), render(manifest))
        writer.execute(WriteSnapshot(piece, data[at : at + length]))


def whole(disk: MemoryDisk) -> list[int]:
    return [m.index for m in SnapshotStore(disk, CLUSTER, COPIER).whole()]


def test_a_snapshot_that_came_whole_counts_and_the_log_begins_behind_it() -> None:
    disk = MemoryDisk()
    writer = CopyWriter(disk, CLUSTER, COPIER)
    send(writer, manifest_of(7, data_of(7)), data_of(7))
    writer.finish(7)
    disk.crash()
    assert whole(disk) == [7]
    assert first_index(disk, "log", CLUSTER) == 8


def test_beginning_with_a_copy_leaves_nothing_of_another() -> None:
    disk = MemoryDisk()
    writer = CopyWriter(disk, CLUSTER, COPIER)
    send(writer, manifest_of(7, data_of(7)), data_of(7))
    writer.execute(BeginCopy(8, 5))
    assert whole(disk) == [7]
    writer.execute(WriteRecords(8, pack_record(8, 7, 5, b"x" * 8)[0]))
    send(writer, manifest_of(4, data_of(4)), data_of(4))
    assert whole(disk) == [4]
    assert first_index(disk, "log", CLUSTER) == 0
    writer.execute(BeginCopy(1, 0))
    assert whole(disk) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"digest": "0" * 64}, "its hash is not that of its manifest"),
        ({"data_bytes": 5}, "bytes and should have 5"),
        ({"cluster": "c-other"}, "of cluster 'c-other'"),
        ({"view": "other rows"}, "'other rows'"),
        ({"index": 6}, "it holds record 7"),
    ],
)
def test_a_snapshot_that_is_not_what_it_says_does_not_count(
    change: dict[str, object], said: str
) -> None:
    disk = MemoryDisk()
    manifest = replace(manifest_of(7, data_of(7)), **change)
    with pytest.raises(Corrupt, match=said):
        send(CopyWriter(disk, CLUSTER, COPIER), manifest, data_of(7))
    assert whole(disk) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (label.render(label.Kind("minidfs snapshot", 9, ""), {}), "has format 9"),
        (b"?", "is damaged"),
        (render(manifest_of(6, data_of(7))), "record 6"),
    ],
)
def test_a_manifest_of_something_else_does_not_count(text: bytes, said: str) -> None:
    disk, data = MemoryDisk(), data_of(7)
    writer = CopyWriter(disk, CLUSTER, COPIER)
    writer.execute(BeginCopy(8, 0))
    with pytest.raises(Corrupt, match=said):
        writer.execute(WriteSnapshot(KeptSnapshot(7, 0, len(data), text), data))
    assert whole(disk) == []


def test_whatever_call_fails_the_snapshot_is_whole_or_does_not_count() -> None:
    data = data_of(7)
    for nth in range(1, 1000):
        disk = MemoryDisk()
        disk.fail(ANY_CALL, nth)
        failed = False
        try:
            send(CopyWriter(disk, CLUSTER, COPIER), manifest_of(7, data), data)
        except (StorageFault, Corrupt):
            failed = True
        disk.crash()
        found = whole(disk)
        assert found == [7] or (failed and not found)
        if not failed:
            assert nth > 10
            return
    raise AssertionError("the disk was called more often than expected")
