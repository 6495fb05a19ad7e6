"""A disk that fails under a running datanode: its volume is given up, the node goes on."""

from __future__ import annotations

import resource
import subprocess
from pathlib import Path

import pytest

import dfs
from dfs.client.client import Client
from dfs.limits import KIB, MIB
from dfs.local.ports import choose_address
from tests.integration.cluster_here import ClusterHere, until
from tests.integration.test_storage_faults import IMPATIENT, content_of, mounted

pytestmark = pytest.mark.cluster

FILE_LIMIT_BYTES = 128 * KIB


def remount(place: Path, mode: str) -> bool:
    """Make a file system read-only, ``ro``, or writable again, ``rw``."""
    command = ["mount", "-o", f"remount,{mode}", str(place)]
    return subprocess.run(command, check=False).returncode == 0


def configuration() -> str:
    return IMPATIENT.format(address=choose_address(set())).replace('"64M"', '"8M"')


def up(cluster: ClusterHere, disks: Path) -> None:
    """Two nodes with two folders each on ``disks``."""
    cluster.home.make()
    text = configuration()
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


@pytest.mark.root
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


@pytest.mark.root
def test_a_disk_that_turns_read_only_is_a_failed_volume_and_not_a_failed_node(
    tmp_path: Path,
) -> None:
    cluster, disks = ClusterHere(tmp_path / "home"), tmp_path / "disks"
    bad, good = disks / "datanode-1-a", disks / "datanode-1-b"
    contents = {f"/f{n}": content_of(MIB + n) for n in range(16)}
    late = {f"/late{n}": content_of(MIB + 99 + n) for n in range(2)}
    with mounted((bad, 128), (good, 80)):
        try:
            up(cluster, disks)
            with dfs.connect(cluster.home.config_file) as fs:
                for path, content in contents.items():
                    fs.write_bytes(path, content, replication=2)
                assert chunks_in(bad)
                before = cluster.pids()
                until(lambda: remount(bad, "ro"))  # once no file of it is being written
                for path, content in late.items():
                    fs.write_bytes(path, content, replication=2)
                until(lambda: any(f"datanode-1 failed: {bad}" in r for r in reasons(cluster)))
                assert str(bad) in cluster.minidfs("admin", "report").stdout
                cluster.minidfs("status", code=8)
                until(lambda: all(f"datanode-1 failed: {bad}" in r for r in reasons(cluster)))
                cluster.minidfs("admin", "verify")
                check_all(fs, contents | late)
                assert cluster.pids() == before

                cluster.minidfs("stop", "datanode-1")
                assert remount(bad, "rw")
                cluster.minidfs("start", "datanode-1")
                until(lambda: reasons(cluster) == [])
                cluster.minidfs("admin", "verify")
                check_all(fs, contents | late)
        finally:
            cluster.minidfs("down", code=None)


def test_a_namenode_that_cannot_write_ends_and_has_lost_nothing_it_confirmed(
    own_cluster: ClusterHere,
) -> None:
    """Its log and view are larger than what it may still write; what it prints is not."""
    cluster = own_cluster
    cluster.minidfs("up", "--nodes", "1", "--chunk-size", "1M")
    contents = {f"/small{n}": content_of(8 * KIB - n) for n in range(24)}
    contents["/big"] = content_of(3 * MIB)
    with dfs.connect(cluster.home.config_file) as fs:
        for path, content in contents.items():
            fs.write_bytes(path, content)
        process = cluster.pids()["namenode"]
        limits = (FILE_LIMIT_BYTES, FILE_LIMIT_BYTES)
        resource.prlimit(process, resource.RLIMIT_FSIZE, limits)
        fs.write_bytes("/late", b"waits for the next namenode")  # which its keeper starts
        contents["/late"] = b"waits for the next namenode"
        assert cluster.pids()["namenode"] != process
        check_all(fs, contents)
        assert len(fs.list("/")) == len(contents)
    said = cluster.home.log_file("namenode").read_text(encoding="utf-8")
    (last_words,) = [line for line in said.splitlines() if "stopped: " in line]
    assert "File too large" in last_words
    assert "Traceback" not in said
    kept = cluster.home.log_file("keeper").read_text(encoding="utf-8")
    assert "namenode has ended (exit code 1: stopped: " in kept
    assert "sound" in cluster.minidfs("admin", "fsck").stdout
