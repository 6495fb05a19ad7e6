"""A replica that lies on two volumes."""

from __future__ import annotations

from dfs.datanode import tasks
from dfs.datanode.chunkfile import ReplicaKey
from dfs.datanode.folders import settle_doubles
from dfs.datanode.store import ChunkStore
from dfs.limits import GIB
from dfs.testing.disk import MemoryDisk
from tests.datanode.test_datanode_store import CLUSTER, content, put

KEY = ReplicaKey(0xABC, 1)


def test_a_double_that_cannot_be_moved_aside_is_not_held_and_said() -> None:
    disks = [MemoryDisk(), MemoryDisk()]
    stores = {number: ChunkStore(disk, CLUSTER, number) for number, disk in enumerate(disks)}
    for store in stores.values():
        put(store, KEY, content(100))
    space = tasks.SpaceMeasured(100 * GIB, GIB)
    found = [tasks.VolumeFound(name, stores[n].scan(), space, 0) for n, name in enumerate("ab")]
    disks[1].fail("rename")
    moved, failed = settle_doubles(found, stores)
    assert "lies in a and in b" in moved
    assert failed.startswith("b: ")
    assert [volume.scan.replicas for volume in found] == [[(KEY, 100)], []]
