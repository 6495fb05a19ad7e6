"""Processes killed and files damaged under real traffic; what was acknowledged stays."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from dfs.datanode.chunkfile import HEADER_BYTES, length_of
from tests.integration.cluster_here import ClusterHere, until

LARGE_BYTES = 96 << 20


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that takes about a second to put."""
    path = tmp_path_factory.mktemp("large") / "large"
    path.write_bytes(os.urandom(LARGE_BYTES))
    return path


def chunk_files(cluster: ClusterHere, node: str) -> list[Path]:
    return sorted((cluster.folder / node / "chunks").rglob("*.chunk"))


def data_of(chunk_file: Path) -> bytes:
    """The data in a chunk file, without its header and footer."""
    data, length = chunk_file.read_bytes(), length_of(chunk_file.stat().st_size)
    return data[HEADER_BYTES : HEADER_BYTES + (length or 0)]


def test_a_put_goes_on_when_a_datanode_is_killed(own_cluster: ClusterHere, large: Path) -> None:
    own_cluster.minidfs("up")
    put = own_cluster.begin("minidfs", "put", "--chunk-size", "8M", large, "/large")
    until(lambda: bool(chunk_files(own_cluster, "datanode-2")))
    os.kill(own_cluster.pids()["datanode-2"], signal.SIGKILL)
    _, err = put.communicate(timeout=120)
    assert (put.returncode, err) == (0, b"")
    local = large.with_name("back")
    own_cluster.minidfs("get", "-f", "/large", local)
    assert local.read_bytes() == large.read_bytes()


def test_put_and_get_wait_for_a_namenode_that_is_killed(
    own_cluster: ClusterHere, large: Path
) -> None:
    own_cluster.minidfs("up")
    put = own_cluster.begin("minidfs", "put", "--chunk-size", "8M", large, "/large")
    until(lambda: bool(chunk_files(own_cluster, "datanode-1")))
    os.kill(own_cluster.pids()["namenode"], signal.SIGKILL)
    own_cluster.minidfs("up")
    assert put.wait(120) == 0
    local = large.with_name("back")
    get = own_cluster.begin("minidfs", "get", "-f", "/large", local)
    os.kill(own_cluster.pids()["namenode"], signal.SIGKILL)
    own_cluster.minidfs("up")
    assert get.wait(120) == 0
    assert local.read_bytes() == large.read_bytes()


def test_a_damaged_replica_is_never_served_and_is_made_anew(
    own_cluster: ClusterHere, tmp_path: Path
) -> None:
    content = os.urandom(300_000)
    local = tmp_path / "file"
    local.write_bytes(content)
    own_cluster.minidfs("up", "--nodes", "2")
    own_cluster.minidfs("put", local, "/file")
    (bad,) = chunk_files(own_cluster, "datanode-1")
    whole = bad.read_bytes()
    at = HEADER_BYTES + 7
    bad.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    keeper = int((own_cluster.home.run / "node-2.pid").read_text().split()[0])
    for pid in (keeper, own_cluster.pids()["datanode-2"], own_cluster.pids()["worker-2"]):
        os.kill(pid, signal.SIGKILL)
    failed = own_cluster.minidfs("cat", "--timeout", "2s", "/file", code=5)
    assert "cannot be read now" in failed.stderr
    assert failed.stdout == ""
    own_cluster.minidfs("up")
    assert own_cluster.minidfs("get", "/file", tmp_path / "back").returncode == 0
    assert (tmp_path / "back").read_bytes() == content
    until(lambda: [data_of(f) for f in chunk_files(own_cluster, "datanode-1")] == [content])
    quarantined = list((own_cluster.folder / "datanode-1" / "quarantine").iterdir())
    assert len(quarantined) == 1


def test_all_is_there_after_everything_was_killed_at_once(
    own_cluster: ClusterHere, large: Path, tmp_path: Path
) -> None:
    own_cluster.minidfs("up")
    small = tmp_path / "small"
    acknowledged = []
    put = own_cluster.begin("minidfs", "put", "--chunk-size", "4M", large, "/large")
    for number in range(10):
        small.write_text(f"content {number}\n")
        own_cluster.minidfs("put", small, f"/small/{number}")
        acknowledged.append(number)
    for pid in own_cluster.all_pids():
        os.kill(pid, signal.SIGKILL)
    put.kill()
    put.wait(10)
    time.sleep(0.1)
    own_cluster.minidfs("up")
    for number in acknowledged:
        assert own_cluster.cat(f"/small/{number}") == f"content {number}\n".encode()
    assert own_cluster.names("/small") == [str(n) for n in acknowledged]
