"""Keys with real processes: another machine that has only the configuration and a key."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dfs.events import Peer, Role
from dfs.net.sockets import make_key_pair
from dfs.security.key_folder import KeyFolder
from tests.integration.cluster_here import ClusterHere

DATA = os.urandom(3_000_000)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterHere]:
    here = ClusterHere(tmp_path_factory.mktemp("keys") / "home")
    try:
        here.minidfs("up", "--nodes", "2")
        yield here
        here.check_metadata()
    finally:
        here.minidfs("down", "--wipe", "--yes")


@pytest.fixture
def far(cluster: ClusterHere, tmp_path: Path) -> ClusterHere:
    """A home without socket files: everything goes over TCP."""
    there = ClusterHere(tmp_path / "far")
    (there.folder / "keys").mkdir(mode=0o700, parents=True)
    shutil.copy(cluster.home.config_file, there.home.config_file)
    shutil.copy(cluster.folder / "keys" / "user.key", there.folder / "keys")
    return there


def refusal(there: ClusterHere, code: int) -> str:
    done = there.minidfs("ls", "--timeout", "5s", code=code)
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_with_a_members_key_files_come_and_go_over_tcp(far: ClusterHere, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(DATA)
    far.minidfs("put", "-f", source, "/a")
    far.minidfs("get", "/a", target)
    assert target.read_bytes() == DATA


def test_a_job_runs_for_a_far_user(far: ClusterHere, tmp_path: Path) -> None:
    far.minidfs("put", "-f", "-", "/words", stdin=b"a b\na\n")
    job = tmp_path / "job.py"
    job.write_text(
        "def mapper(key, line):\n    for word in line.split():\n        yield word, 1\n"
        "def reducer(word, ones):\n    yield word, sum(ones)\n"
    )
    done = far.minimr("run", job, "/words", "-n", "1")
    assert done.stdout == "a\t2\nb\t1\n"


def test_without_a_key_nothing_is_sent(far: ClusterHere) -> None:
    (far.folder / "keys" / "user.key").unlink()
    assert "there are none here: 'minidfs join'" in refusal(far, 6)


def test_a_strangers_key_is_refused(far: ClusterHere) -> None:
    (far.folder / "keys" / "user.key").unlink()
    KeyFolder(far.folder).make(Peer(Role.CLIENT, "mallory"), make_key_pair)
    assert "does not know our key" in refusal(far, 6)


def test_a_key_that_others_can_read_is_not_used(far: ClusterHere) -> None:
    (far.folder / "keys" / "user.key").chmod(0o644)
    assert "can be read by others" in refusal(far, 2)


def test_the_right_key_in_the_wrong_role_is_refused(far: ClusterHere, cluster: ClusterHere) -> None:
    shutil.copy(cluster.folder / "keys" / "datanode-1.key", far.folder / "keys" / "user.key")
    assert "came with the key of datanode-1 (datanode)" in refusal(far, 6)


def test_a_namenode_that_has_another_key_is_not_talked_to(far: ClusterHere) -> None:
    text = far.home.config_file.read_text()
    at = text.index('key = "') + len('key = "')
    other = "B" if text[at] == "A" else "A"
    far.home.config_file.write_text(text[:at] + other + text[at + 1 :])
    assert "does not prove the key that it is known by" in refusal(far, 5)


def test_nodes_that_are_added_later_are_enrolled(cluster: ClusterHere, far: ClusterHere) -> None:
    cluster.minidfs("up", "--nodes", "3")
    far.minidfs("put", "-f", "--replication", "3", "-", "/three", stdin=DATA)
    chunks = cluster.minidfs("admin", "chunks", "/three").stdout
    assert all(f"datanode-{number}" in chunks for number in (1, 2, 3))
    assert far.minidfs("cat", "/three").stdout.encode("utf-8", "surrogateescape") == DATA
