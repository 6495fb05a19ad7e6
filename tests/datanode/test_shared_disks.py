"""Folders of a datanode that lie on one disk."""

from __future__ import annotations

from pathlib import Path

from dfs.config import Cluster, Config, Datanode
from dfs.datanode.folders import open_folders
from dfs.datanode.tasks import Scan, SpaceMeasured, VolumeFailed, VolumeFound
from dfs.datanode.volumes import Volumes
from dfs.limits import GIB
from dfs.wire.node import DiskRoom


def volume(name: str, free_bytes: int, disk: str = "") -> VolumeFound:
    space = SpaceMeasured(100 * GIB, free_bytes)
    return VolumeFound(name, Scan.empty(), space, GIB, disk=disk)


def test_a_disk_that_volumes_share_counts_once() -> None:
    volumes = Volumes([volume("a", 5 * GIB, "8"), volume("b", 5 * GIB, "8"), volume("c", 2 * GIB)])
    assert (volumes.capacity_bytes, volumes.room_bytes) == (200 * GIB, 5 * GIB)
    assert volumes.disks == (DiskRoom("8", 4 * GIB), DiskRoom("c", GIB))


def test_what_is_placed_takes_room_from_all_volumes_of_the_disk() -> None:
    volumes = Volumes([volume("a", 5 * GIB, "8"), volume("b", 5 * GIB, "8")])
    assert [volumes.place(3 * GIB), volumes.place(2 * GIB), volumes.place(GIB)] == [0, None, 1]
    assert volumes.room_bytes == 0


def test_a_shared_disk_counts_as_long_as_one_of_its_volumes_works() -> None:
    volumes = Volumes([volume("a", 5 * GIB, "8"), volume("b", 5 * GIB, "8")])
    volumes.work_failed(VolumeFailed("it broke", volume=0))
    assert (volumes.capacity_bytes, volumes.disks) == (100 * GIB, (DiskRoom("8", 4 * GIB),))
    volumes.work_failed(VolumeFailed("it broke", volume=1))
    assert (volumes.capacity_bytes, volumes.disks) == (0, ())


def test_a_disk_is_known_by_the_number_of_its_file_system(tmp_path: Path) -> None:
    dirs = (str(tmp_path / "a"), str(tmp_path / "b"))
    config = Config(Cluster("c-demo"), datanode=Datanode(dirs=dirs))
    folders = open_folders(config, "datanode-1", tmp_path, 10**18)
    folders.close()
    assert [volume.disk for volume in folders.volumes] == [str(tmp_path.stat().st_dev)] * 2
