"""What was to be moved aside is given to no client, even when the disk did not move it."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from dfs.datanode import tasks
from dfs.datanode.chunkfile import ReplicaKey, sealed_path
from dfs.datanode.store import ChunkStore
from dfs.errors import NotFound
from dfs.testing.disk import MemoryDisk
from tests.datanode.test_datanode_store import CLUSTER, content, put
from tests.datanode.test_volumes import KEY, start


def test_a_replica_that_the_disk_would_not_move_aside_is_not_given_out(tmp_path: Path) -> None:
    folders = start(tmp_path, "a")
    store = folders.stores[0]
    put(store, KEY, content(100))
    folders.open_sealed(*KEY).close()
    (tmp_path / "a" / "quarantine").rmdir()
    (tmp_path / "a" / "quarantine").write_text("no folder: nothing can be moved there")
    with pytest.raises(tasks.VolumeFailed):
        store.execute(tasks.QuarantineFile(KEY))
    assert (tmp_path / "a" / sealed_path(KEY)).exists()
    with pytest.raises(NotFound, match="is not held here"):
        folders.open_sealed(*KEY)


def test_a_failed_volume_gives_out_nothing_that_was_deleted_later() -> None:
    disk = MemoryDisk()
    store = ChunkStore(disk, CLUSTER)
    other = ReplicaKey(0xDEF, 1)
    put(store, KEY, content(100))
    put(store, other, content(100))
    disk.fail("rename")
    for key in (other, KEY):
        with pytest.raises(tasks.VolumeFailed):
            store.execute(tasks.TrashFiles((key,)))
        assert store.is_withdrawn(key)


def test_a_replica_that_is_stored_again_is_given_out_again() -> None:
    disk = MemoryDisk()
    store = ChunkStore(disk, CLUSTER)
    put(store, KEY, content(100))
    disk.fail("rename", number=errno.ENOSPC)
    with pytest.raises(tasks.DiskFull):
        store.execute(tasks.QuarantineFile(KEY))
    assert store.is_withdrawn(KEY)
    put(store, KEY, content(100))
    assert not store.is_withdrawn(KEY)
    store.execute(tasks.QuarantineFile(KEY))
    assert not store.is_withdrawn(KEY)  # its file is gone from where it could be opened
