"""A backup of a cluster that serves, and the metadata put back after they were lost."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from dfs.epoch_file import parse_epoch
from dfs.manifest import parse, render
from tests.integration.cluster_here import ClusterHere

pytestmark = pytest.mark.cluster


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def refused(cluster: ClusterHere, code: int, *arguments: str | Path) -> str:
    ended = cluster.minidfs("admin", *arguments, code=code)
    assert ended.stderr.count("\n") == 1
    return ended.stderr


def epoch_obeyed(cluster: ClusterHere) -> int:
    """The epoch of the namenode that the datanode obeys."""
    return parse_epoch((cluster.folder / "datanode-1" / "EPOCH").read_bytes(), "EPOCH")


def test_metadata_come_back_from_a_backup(own_cluster: ClusterHere, tmp_path: Path) -> None:
    cluster, backup = own_cluster, tmp_path / "backup"
    cluster.minidfs("up", "--nodes", "1")
    content = os.urandom(100_000)
    cluster.minidfs("put", "-", "/big", stdin=content)
    cluster.minidfs("put", "-", "/small", stdin=b"inline")
    assert "checked" in cluster.minidfs("admin", "backup", backup).stdout
    assert "is not an empty folder" in refused(cluster, 4, "backup", backup)
    cluster.minidfs("put", "-", "/later", stdin=b"lost")
    assert "is in use by another process" in refused(cluster, 2, "restore", backup)
    cluster.minidfs("down")

    assert "has no MANIFEST" in refused(cluster, 3, "restore", tmp_path / "nothing")
    flip(backup / "data.mdb", 5000)
    assert "its hash is not that of its manifest" in refused(cluster, 7, "restore", backup)
    flip(backup / "data.mdb", 5000)
    strange = tmp_path / "strange"
    shutil.copytree(backup, strange)
    theirs = replace(parse((backup / "MANIFEST").read_bytes(), "MANIFEST"), cluster="x")
    (strange / "MANIFEST").write_bytes(render(theirs))
    assert "is a backup of cluster 'x" in refused(cluster, 6, "restore", strange)

    assert "before-restore-" in cluster.minidfs("admin", "restore", backup).stdout
    cluster.minidfs("up")
    first_epoch = epoch_obeyed(cluster)
    assert first_epoch > 1  # whatever was kept of the old history is told from the new one
    second = tmp_path / "second"  # of a namenode that has written no record yet
    assert "checked" in cluster.minidfs("admin", "backup", second).stdout
    assert cluster.names("/") == ["big", "small"]
    assert cluster.cat("/small") == b"inline"
    assert cluster.run("minidfs", "get", "/big", tmp_path / "big").returncode == 0
    assert (tmp_path / "big").read_bytes() == content
    os.kill(cluster.pids()["namenode"], signal.SIGTERM)
    cluster.minidfs("down")
    shutil.rmtree(cluster.folder / "namenode")
    assert "is empty" in cluster.minidfs("up", code=1).stderr
    cluster.minidfs("down")
    assert "restored record" in cluster.minidfs("admin", "restore", second).stdout
    cluster.minidfs("up")
    assert cluster.names("/") == ["big", "small"]
    assert epoch_obeyed(cluster) > first_epoch
