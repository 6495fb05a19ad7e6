"""Clusters that start, break, start again and end."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from dfs.endpoints import socket_folder
from tests.integration.cluster_here import ClusterHere, until

pytestmark = pytest.mark.cluster

CONTENT = bytes(range(256)) * 1000


def kill(pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def test_a_life(own_cluster: ClusterHere) -> None:
    """Start, kill one, kill all, start again, add a node, stop, start, delete."""
    cluster = own_cluster
    cluster.minidfs("up", "--nodes", "2", "--chunk-size", "64K")
    status = cluster.status()
    assert (status["v"], status["state"], status["reasons"]) == (1, "serving", [])
    first = cluster.pids()
    assert {"namenode", "datanode-1", "datanode-2"} <= set(first)
    cluster.minidfs("put", "-", "/kept", stdin=CONTENT)

    kill([first["datanode-1"]])
    assert cluster.minidfs("status", code=8).stdout.count("datanode-1 is dead") == 1
    assert cluster.cat("/kept") == CONTENT
    cluster.minidfs("up")
    second = cluster.pids()
    assert second["datanode-1"] != first["datanode-1"]
    assert {**second, "datanode-1": 0} == {**first, "datanode-1": 0}

    kill(cluster.all_pids())
    assert cluster.status()["state"] == "down"
    cluster.minidfs("ls", code=5)
    done = cluster.minidfs("up")
    assert done.stdout.startswith("started namenode, datanode-1, ")
    assert cluster.cat("/kept") == CONTENT
    assert cluster.status()["cluster"] == status["cluster"]

    assert "decommission" in cluster.minidfs("up", "--nodes", "1", code=2).stderr
    assert cluster.minidfs("up", "--nodes", "3").stdout.startswith("started datanode-3")
    assert cluster.minidfs("up").stdout.startswith("everything runs already")

    sockets = socket_folder(cluster.folder)
    cluster.minidfs("down")
    assert cluster.all_pids() == []
    assert os.listdir(cluster.home.run) == []
    assert not sockets.exists() or os.listdir(sockets) == []
    cluster.minidfs("up")
    assert cluster.cat("/kept") == CONTENT

    cluster.minidfs("down", "--wipe", stdin=b"another\n", code=2)
    assert cluster.cat("/kept") == CONTENT
    cluster.minidfs("down", "--wipe", stdin=status["cluster"].encode() + b"\n")
    assert not cluster.folder.exists()


def test_what_its_keeper_starts_again_serves_again(own_cluster: ClusterHere) -> None:
    own_cluster.minidfs("up", "--nodes", "1")
    before = own_cluster.pids()
    kill([before["datanode-1"]])
    until(lambda: own_cluster.status()["state"] == "serving")
    after = own_cluster.pids()
    assert after["datanode-1"] != before["datanode-1"]


def test_two_clusters_side_by_side(own_cluster: ClusterHere, tmp_path: Path) -> None:
    other = ClusterHere(tmp_path / ("a long name " * 9))
    try:
        for number, cluster in enumerate((own_cluster, other)):
            cluster.minidfs("up", "--nodes", "1")
            cluster.minidfs("put", "-", "/who", stdin=str(number).encode())
        assert [own_cluster.cat("/who"), other.cat("/who")] == [b"0", b"1"]
        file = other.home.config_file
        assert own_cluster.minidfs("cat", "--cluster", file, "/who").stdout == "1"
        own_cluster.minidfs("down")
        assert other.cat("/who") == b"1"
    finally:
        other.minidfs("down")
    assert not any(path.suffix == ".sock" for path in socket_folder(other.folder).glob("*"))


def test_pid_files_of_strangers_are_stale(own_cluster: ClusterHere) -> None:
    cluster = own_cluster
    cluster.home.make()
    stranger = subprocess.Popen(["sleep", "600"])
    try:
        for name in ("namenode", "datanode-1", "node-1"):
            cluster.home.pid_file(name).write_text(f"{stranger.pid} 1\n", encoding="ascii")
        cluster.minidfs("up", "--nodes", "1")
        assert stranger.pid not in cluster.pids().values()
        cluster.minidfs("down")
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_start_that_fails_names_the_process_and_its_last_words(
    own_cluster: ClusterHere,
) -> None:
    cluster = own_cluster
    cluster.minidfs("up", "--nodes", "1")
    cluster.minidfs("down")
    (cluster.folder / "namenode" / "VERSION").write_text("nonsense", encoding="ascii")
    done = cluster.minidfs("up", code=1)
    assert done.stderr.startswith("minidfs: namenode ended while it started")
    assert "VERSION is damaged" in done.stderr
    assert "VERSION is damaged" in cluster.minidfs("start", "namenode", code=1).stderr
    assert cluster.all_pids() == []


def test_the_cluster_of_another_folder_is_refused(own_cluster: ClusterHere) -> None:
    cluster = own_cluster
    cluster.minidfs("up", "--nodes", "1")
    cluster.minidfs("down")
    text = cluster.home.config_file.read_text(encoding="utf-8")
    lines = ['id = "other"' if line.startswith("id = ") else line for line in text.splitlines()]
    cluster.home.config_file.write_text("\n".join(lines), encoding="utf-8")
    done = cluster.minidfs("up", code=1)
    assert "other" in done.stderr
    assert cluster.all_pids() == []


def test_an_interrupted_command_ends_with_130(own_cluster: ClusterHere) -> None:
    own_cluster.minidfs("up", "--nodes", "1")
    child = own_cluster.begin("minidfs", "status", "-w")
    assert child.stdout is not None
    child.stdout.readline()
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=30)
    assert (child.returncode, err) == (130, b"")
