"""How safe a file is, said by ``put`` when it is asked."""

from __future__ import annotations

import json
from pathlib import Path

from tests.integration.cluster_here import ClusterHere


def test_put_says_on_how_many_disks_and_hosts_a_file_is(
    cluster: ClusterHere, tmp_path: Path
) -> None:
    large, small = tmp_path / "large", tmp_path / "small"
    large.write_bytes(b"x" * 100_000)
    small.write_bytes(b"x")
    done = cluster.minidfs("put", "-v", "--replication", "2", large, small, "/reports/")
    said = sorted(done.stderr.splitlines())
    assert said == [
        "/reports/large: 2 copies on disk, on 1 host",
        "/reports/small: 1 copy on disk, on 1 host",
    ]
    assert done.stdout == ""
    done = cluster.minidfs("put", "--json", large, "/reports/json")
    assert json.loads(done.stdout) == {
        "v": 1,
        "path": "/reports/json",
        "size": 100_000,
        "durable": 3,
        "hosts": 1,
    }


def test_a_small_file_that_must_have_two_copies_has_them(
    cluster: ClusterHere, tmp_path: Path
) -> None:
    small = tmp_path / "small"
    small.write_bytes(b"x")
    done = cluster.minidfs("put", "-v", "--min-durable", "2", small, "/reports/two")
    assert "3 copies on disk" in done.stderr
    assert cluster.cat("/reports/two") == b"x"


def test_more_copies_than_can_be_durable_are_refused(cluster: ClusterHere, tmp_path: Path) -> None:
    local = tmp_path / "local"
    local.write_bytes(b"x" * 100_000)
    options = ("--replication", "4", "--min-durable", "4")
    done = cluster.minidfs("put", *options, local, "/reports/four", code=5)
    assert done.stderr.count("\n") == 1
    assert "3 of 3" in done.stderr
    assert "/reports/four" not in cluster.names("/reports")
