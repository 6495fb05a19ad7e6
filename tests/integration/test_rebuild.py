"""A namenode whose folder is gone is made again from what the datanodes hold."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cluster_here import ClusterHere, until
from tests.integration.machines import Machines, needs_root

pytestmark = pytest.mark.cluster

FILES = {f"/d{n % 3}/file-{n}": bytes([n]) * size for n, size in enumerate((0, 9, 9000, 200_000))}


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    made = Machines(tmp_path)
    yield made
    made.kill()


def content(machines: Machines) -> dict[str, bytes]:
    found = {}
    for path in FILES:
        found[path] = machines.alpha.cat(path)
    return found


@pytest.mark.root
@needs_root
def test_from_the_log_kept_on_other_machines(machines: Machines) -> None:
    machines.start()
    alpha = machines.alpha
    for path, data in FILES.items():
        alpha.minidfs("put", "-", f"{path}.first", stdin=data)
        alpha.minidfs("mv", f"{path}.first", path)
    done = alpha.minidfs("put", "-v", "-", "/last", stdin=b"last")
    assert "2 copies on disk, on 2 hosts" in done.stderr
    machines.kill()
    shutil.rmtree(alpha.folder / "namenode")
    machines.start_datanodes()
    done = alpha.minidfs("admin", "rebuild", "--nodes", "3")
    assert done.stdout.startswith("rebuilt from datanode-")
    assert f"{len(FILES) + 1} files" in done.stdout
    alpha.start("namenode")
    until(alpha.serves)
    assert alpha.cat("/last") == b"last"
    assert content(machines) == FILES
    assert "rows, sound" in alpha.minidfs("admin", "fsck").stdout
    alpha.minidfs("put", "-", "/after", stdin=b"after")
    assert alpha.cat("/after") == b"after"


@pytest.mark.root
@needs_root
def test_from_a_snapshot_when_the_log_lacks_its_front(machines: Machines, tmp_path: Path) -> None:
    """Behind a restored backup the log begins late: the keepers need a snapshot, and get one."""
    machines.start()
    alpha, backup = machines.alpha, tmp_path / "backup"
    for path, data in FILES.items():
        alpha.minidfs("put", "-", path, stdin=data)
    alpha.minidfs("admin", "backup", backup)
    alpha.end("namenode")
    alpha.minidfs("admin", "restore", backup)
    alpha.start("namenode")
    until(alpha.serves)
    alpha.minidfs("put", "-", "/last", stdin=b"last")
    machines.kill()
    shutil.rmtree(alpha.folder / "namenode")
    machines.start_datanodes()
    done = alpha.minidfs("admin", "rebuild", "--nodes", "3")
    assert ": the snapshot of record " in done.stdout
    assert f" records, {len(FILES) + 1} files" in done.stdout
    alpha.start("namenode")
    until(alpha.serves)
    assert alpha.cat("/last") == b"last"
    assert content(machines) == FILES
    alpha.minidfs("put", "-", "/after", stdin=b"after")


@pytest.mark.root
@needs_root
@pytest.mark.parametrize("made_since", ["/small", "/large"])
def test_an_older_folder_that_somebody_put_back_gives_way_to_what_was_kept(
    machines: Machines, tmp_path: Path, made_since: str
) -> None:
    machines.start()
    alpha, older = machines.alpha, tmp_path / "older"
    folder = alpha.folder / "namenode"
    alpha.minidfs("put", "-", "/first", stdin=b"first")
    alpha.end("namenode")
    shutil.copytree(folder, older)
    alpha.start("namenode")
    until(alpha.serves)
    data = bytes(100_000) if made_since == "/large" else b"small"
    alpha.minidfs("put", "-", made_since, stdin=data)
    alpha.end("namenode")
    shutil.rmtree(folder)
    shutil.copytree(older, folder)
    alpha.start("namenode")
    assert alpha.running.pop("namenode").wait(60) == 7
    last = alpha.logged("namenode").splitlines()[-1]
    assert "an older copy of the namenode's folder was put back" in last
    assert "move the folder away and run 'minidfs admin rebuild'" in last

    folder.rename(tmp_path / "away")
    alpha.minidfs("admin", "rebuild", "--nodes", "3")
    alpha.start("namenode")
    until(alpha.serves)
    assert alpha.names("/") == sorted(["first", made_since[1:]])
    assert alpha.cat(made_since) == data


@pytest.mark.root
@needs_root
def test_what_stands_in_the_way_is_not_touched(machines: Machines) -> None:
    machines.start()
    done = machines.alpha.minidfs("admin", "rebuild", code=2)
    assert done.stderr.count("\n") == 1
    assert "is not empty" in done.stderr
    assert machines.alpha.serves()


def test_from_chunks_on_one_machine(own_cluster: ClusterHere) -> None:
    cluster = own_cluster
    cluster.minidfs("up", "--chunk-size", "64K")
    large = {path: data for path, data in FILES.items() if len(data) > 8192}
    for path, data in FILES.items():
        cluster.minidfs("put", "-", path, stdin=data)
    cluster.minidfs("stop", "namenode", "--kill")
    shutil.rmtree(cluster.folder / "namenode")
    refused = cluster.minidfs("admin", "rebuild", "--nodes", "3", code=3)
    assert refused.stderr.splitlines()[-1].count("--from-chunks") == 1
    assert not (cluster.folder / "namenode").exists()
    done = cluster.minidfs("admin", "rebuild", "--nodes", "3", "--from-chunks")
    assert f": {len(large)} files;" in done.stdout
    cluster.minidfs("start", "namenode")
    assert {path: cluster.cat(path) for path in large} == large
    assert cluster.names("/") == ["d0", "d2"]
    cluster.minidfs("put", "-", "/after", stdin=large["/d2/file-2"])
    assert cluster.cat("/after") == large["/d2/file-2"]
