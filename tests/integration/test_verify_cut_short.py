"""``minidfs admin verify`` is killed midway, or a datanode that reads: nothing is left of it."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

import dfs
from dfs.client.client import Client
from dfs.errors import Unavailable
from dfs.limits import KIB
from dfs.wire.admin import Verifying, VerifyReplicas
from tests.integration.cluster_here import ClusterHere, until
from tests.integration.hanging_disk import HangingDisk
from tests.integration.test_storage_faults import content_of

pytestmark = pytest.mark.cluster

CHUNKS = 24
NODE = "datanode-2"


def under_way(fs: Client) -> int:
    """How many replicas the node has to read; no more are ordered."""
    answer = fs.run(fs.namenode.ask(VerifyReplicas(NODE, -1)))
    assert isinstance(answer, Verifying)
    return answer.under_way


def begin(cluster: ClusterHere, fs: Client) -> subprocess.Popen[bytes]:
    """A verification that has begun, on disks that hang."""
    command = cluster.begin("minidfs", "admin", "verify")
    until(lambda: under_way(fs) > 0)
    return command


def check_all_is_read(cluster: ClusterHere) -> None:
    done = cluster.minidfs("admin", "verify")
    assert f"read {2 * CHUNKS} replicas on 2 nodes: 0 bad" in done.stdout


def filled(cluster: ClusterHere, tmp_path: Path) -> HangingDisk:
    """Start a cluster with a file on two nodes; their disks."""
    disk = HangingDisk(cluster, tmp_path / "disk", "pread")
    cluster.minidfs("up", "--nodes", "2")
    content = content_of(CHUNKS * 64 * KIB)
    cluster.minidfs("put", "--chunk-size", "64K", "-", "/f", stdin=content)
    return disk


def test_a_verification_that_is_killed_leaves_nothing(
    own_cluster: ClusterHere, tmp_path: Path
) -> None:
    disk = filled(own_cluster, tmp_path)
    with dfs.connect(own_cluster.home.config_file) as fs:
        for end, code in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
            disk.hang()
            command = begin(own_cluster, fs)
            command.send_signal(end)
            out, err = command.communicate(timeout=60)
            assert (out, err, command.returncode) == (b"", b"", code)
            disk.go_on()
            until(lambda: under_way(fs) == 0)
            check_all_is_read(own_cluster)


def test_a_datanode_that_is_killed_while_it_reads_is_named_and_read_the_next_time(
    own_cluster: ClusterHere, tmp_path: Path
) -> None:
    disk = filled(own_cluster, tmp_path)
    with dfs.connect(own_cluster.home.config_file) as fs:
        disk.hang()
        command = begin(own_cluster, fs)
        os.kill(own_cluster.pids()[NODE], signal.SIGKILL)  # its keeper starts another
        disk.go_on()
        out, err = command.communicate(timeout=90)
        assert command.returncode == Unavailable.exit_code, (out, err)
        assert NODE.encode() in out
        until(lambda: own_cluster.status()["state"] == "serving")
        check_all_is_read(own_cluster)
