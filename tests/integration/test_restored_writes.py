"""What was acknowledged after a backup is on the datanodes when the backup is put back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.integration.cluster_here import ClusterHere, until
from tests.integration.test_storage_faults import MIB, content_of, files_below, up

pytestmark = pytest.mark.cluster


def files_in(cluster: ClusterHere, folder: str) -> dict[str, bytes]:
    """The chunk files in a folder of the only datanode."""
    return {path.name: path.read_bytes() for path in files_below(cluster, "datanode-1", folder)}


def test_a_file_that_was_closed_after_the_backup_is_set_aside_when_its_lease_ends(
    own_cluster: ClusterHere, tmp_path: Path
) -> None:
    cluster, backup = own_cluster, tmp_path / "backup"
    up(cluster, 1, "1M")
    content = content_of(6 * MIB)
    writer = cluster.begin("minidfs", "put", "-", "/f")
    assert writer.stdin is not None
    writer.stdin.write(content[: 4 * MIB])
    writer.stdin.flush()
    until(lambda: len(list((cluster.folder / "datanode-1").rglob("*.chunk"))) >= 2)
    cluster.minidfs("admin", "backup", backup)
    _, err = writer.communicate(content[4 * MIB :], timeout=60)
    assert (writer.returncode, err) == (0, b"")
    acknowledged = files_in(cluster, "chunks")
    assert len(acknowledged) == 6

    cluster.minidfs("stop", "namenode", "--kill")
    shutil.rmtree(cluster.folder / "namenode")
    cluster.minidfs("admin", "restore", backup)
    cluster.minidfs("start", "namenode")
    assert cluster.names("/") == []
    until(lambda: not files_below(cluster, "datanode-1", "chunks"))
    assert files_in(cluster, "trash") == {}
    assert files_in(cluster, "quarantine") == acknowledged
