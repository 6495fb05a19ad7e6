"""A disk that fails under a running datanode: its volume is given up, the node goes on."""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import dfs
from dfs.client.client import Client
from dfs.limits import MIB
from dfs.local.ports import choose_address
from tests.integration.cluster_here import ClusterHere, until
from tests.integration.test_storage_faults import IMPATIENT, content_of, mounted

pytestmark = [pytest.mark.cluster, pytest.mark.root]

SHUT_DOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN
WITHOUT_LOG = struct.pack("I", 2)


class RealDisk:
    """A file system of its own on a file, mounted at ``place``."""

    def __init__(self, image: Path, place: Path) -> None:
        self._image = image
        self.place = place

    def mount(self) -> bool:
        command = ["mount", "-o", "loop", str(self._image), str(self.place)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def unmount(self) -> None:
        subprocess.run(["umount", str(self.place)], check=True)

    def break_down(self) -> None:
        """From now on every change of it is an I/O error, as of a disk that is gone."""
        descriptor = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, SHUT_DOWN, WITHOUT_LOG)
        finally:
            os.close(descriptor)


@contextmanager
def real_disk(tmp_path: Path, place: Path, size_mib: int) -> Iterator[RealDisk]:
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        pytest.skip("a file system of its own needs root and the program 'mkfs.ext4'")
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(size_mib * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True)
    place.mkdir(parents=True)
    disk = RealDisk(image, place)
    if not disk.mount():
        pytest.skip("no loop device can be mounted here")
    try:
        yield disk
    finally:
        disk.unmount()


def up(cluster: ClusterHere, disks: Path) -> None:
    """Two nodes with two folders each on ``disks``."""
    cluster.home.make()
    text = IMPATIENT.format(address=choose_address(set())).replace('"64M"', '"8M"')
    dirs = f'dirs = ["{disks}/{{id}}-a", "{disks}/{{id}}-b"]'
    text = text.replace("[datanode]", f"[datanode]\n{dirs}")
    cluster.home.config_file.write_text(text, encoding="utf-8")
    cluster.minidfs("up", "--nodes", "2", "--chunk-size", "1M")


def chunks_in(folder: Path) -> list[Path]:
    return list((folder / "chunks").rglob("*.chunk"))


def check_all(fs: Client, contents: dict[str, bytes]) -> None:
    assert {path: fs.read_bytes(path) for path in contents} == contents


def reasons(cluster: ClusterHere) -> list[str]:
    found: list[str] = cluster.status()["reasons"]
    return found


def test_a_disk_that_is_unmounted_under_a_node_takes_nothing_and_is_replaced(
    tmp_path: Path,
) -> None:
    """What was its mount point must not be written to: nobody would find it again."""
    cluster, disks = ClusterHere(tmp_path / "home"), tmp_path / "disks"
    gone, good = disks / "datanode-1-a", disks / "datanode-1-b"
    contents = {f"/f{n}": content_of(MIB + n) for n in range(16)}
    with mounted((good, 80)):
        try:
            with mounted((gone, 128)):
                up(cluster, disks)
                with dfs.connect(cluster.home.config_file) as fs:
                    for path, content in contents.items():
                        fs.write_bytes(path, content, replication=2)
                assert chunks_in(gone)
                subprocess.run(["umount", "--lazy", str(gone)], check=True)
                # ``mounted`` has something to unmount at its end.
                subprocess.run(["mount", "--bind", str(gone), str(gone)], check=True)
            with dfs.connect(cluster.home.config_file) as fs:
                until(lambda: any(f"datanode-1 failed: {gone}" in r for r in reasons(cluster)))
                fs.write_bytes("/late", content_of(MIB), replication=2)
                cluster.minidfs("admin", "verify", code=None)  # finds what is missing
                until(lambda: all(f"datanode-1 failed: {gone}" in r for r in reasons(cluster)))
                check_all(fs, contents)
            assert list(gone.iterdir()) == []
            cluster.minidfs("stop", "datanode-1")
            cluster.minidfs("start", "datanode-1")  # an empty folder is a new disk
            until(lambda: reasons(cluster) == [])
        finally:
            cluster.minidfs("down", code=None)


def test_a_disk_that_breaks_is_a_failed_volume_and_not_a_failed_node(tmp_path: Path) -> None:
    cluster, disks = ClusterHere(tmp_path / "home"), tmp_path / "disks"
    bad, good = disks / "datanode-1-a", disks / "datanode-1-b"
    contents = {f"/f{n}": content_of(MIB + n) for n in range(16)}
    with real_disk(tmp_path, bad, 128) as disk, mounted((good, 80)):
        try:
            up(cluster, disks)
            with dfs.connect(cluster.home.config_file) as fs:
                for path, content in contents.items():
                    fs.write_bytes(path, content, replication=2)
                assert chunks_in(bad)
                before = cluster.pids()
                disk.break_down()
                late = {f"/late{n}": content_of(MIB + 99 + n) for n in range(2)}
                for path, content in late.items():
                    fs.write_bytes(path, content, replication=2)
                until(lambda: any(f"datanode-1 failed: {bad}" in r for r in reasons(cluster)))
                check_all(fs, contents | late)
                assert str(bad) in cluster.minidfs("admin", "report").stdout
                cluster.minidfs("admin", "verify", code=None)  # reads what is on the broken disk
                until(lambda: all(f"datanode-1 failed: {bad}" in r for r in reasons(cluster)))
                assert cluster.pids() == before
                check_all(fs, contents | late)

                cluster.minidfs("stop", "datanode-1")
                disk.unmount()
                assert disk.mount()
                cluster.minidfs("start", "datanode-1")
                until(lambda: reasons(cluster) == [])
                cluster.minidfs("admin", "verify")
                check_all(fs, contents | late)
        finally:
            cluster.minidfs("down", code=None)
