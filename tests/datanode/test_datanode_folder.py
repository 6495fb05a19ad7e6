"""Whose folder: what is accepted, and what is refused with one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfs.config import Cluster, Config, Datanode
from dfs.data_folder import DataFolder, Owner, claim
from dfs.datanode.server import DatanodeOptions, serve
from dfs.disk import LocalDisk
from dfs.errors import ConfigError, StorageFault
from dfs.label import Kind, render
from dfs.testing.disk import MemoryDisk
from tests.damage import every_damage, put

OWNER = Owner("datanode", "datanode-1", "c-1", ("chunks",))
WALL_NS = 1_763_703_780 * 10**9


def test_an_empty_folder_is_claimed_once_and_known_again() -> None:
    disk = MemoryDisk()
    claim(disk, "d", OWNER, WALL_NS)
    disk.crash()
    assert disk.content("VERSION").decode() == (
        "minidfs datanode\nformat 1\ncluster c-1\nnode datanode-1\ncreated 2025-11-21T05:43:00Z\n"
        "check 9596ab5d8006c118\n"
    )
    claim(disk, "d", OWNER, WALL_NS + 1)


@pytest.mark.parametrize(
    ("title", "format_", "cluster", "node", "says"),
    [
        ("minidfs datanode", 1, "c-2", "datanode-1", "d belongs to cluster c-2 and not to c-1"),
        ("minidfs datanode", 1, "c-1", "datanode-2", "d belongs to datanode-2 and not to"),
        ("minidfs datanode", 2, "c-1", "datanode-1", "d/VERSION has format 2 .* upgrade"),
        ("minidfs namenode", 1, "c-1", "datanode-1", "d is the folder of something else"),
    ],
)
def test_other_folders_are_refused_and_left_alone(
    title: str, format_: int, cluster: str, node: str, says: str
) -> None:
    disk = MemoryDisk()
    content = render(Kind(title, format_, ""), {"cluster": cluster, "node": node})
    disk.create("VERSION").write_at(0, content)
    with pytest.raises(ConfigError, match=says) as caught:
        claim(disk, "d", OWNER, WALL_NS)
    assert "\n" not in str(caught.value)
    assert disk.content("VERSION") == content


def test_no_damage_lets_a_folder_pass_for_another() -> None:
    disk = MemoryDisk()
    claim(disk, "d", OWNER, WALL_NS)
    for damaged in every_damage(disk.content("VERSION")):
        put(disk, "VERSION", damaged)
        with pytest.raises(StorageFault, match=r"^d/VERSION is damaged: have one made in an empty"):
            claim(disk, "d", OWNER, WALL_NS)
        assert disk.content("VERSION") == damaged


def test_a_folder_with_things_in_it_is_never_formatted(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear ann")
    with pytest.raises(ConfigError, match="not empty"):
        claim(LocalDisk(tmp_path), "d", OWNER, WALL_NS)
    disk = MemoryDisk()
    disk.make_folder("chunks/ab")
    with pytest.raises(ConfigError, match="not empty"):
        claim(disk, "d", OWNER, WALL_NS)


@pytest.mark.parametrize("call", ["create", "write_at", "sync", "rename"])
def test_a_folder_whose_first_claim_failed_can_be_claimed(call: str) -> None:
    disk = MemoryDisk()
    disk.fail(call)
    with pytest.raises(OSError, match="error"):
        claim(disk, "d", OWNER, WALL_NS)
    claim(disk, "d", OWNER, WALL_NS)


def test_a_folder_serves_one_process_at_a_time(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    with pytest.raises(ConfigError, match="in use"):
        DataFolder(tmp_path)
    folder.close()
    DataFolder(tmp_path).close()


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (Config(), "minidfs init"),
        (Config(Cluster("c-1"), datanode=Datanode(dirs=("a", "a/../a"))), "in use by another"),
        (Config(Cluster("c-1"), datanode=Datanode(dirs=tuple(map(str, range(65))))), "64 work"),
    ],
)
def test_a_datanode_that_cannot_start_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], config: Config, says: str
) -> None:
    assert serve(DatanodeOptions(config, tmp_path, "datanode-1")) == ConfigError.exit_code
    line = capsys.readouterr().err
    assert says in line
    assert line.count("\n") == 1


def test_a_data_folder_that_cannot_be_made_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "datanode-1").write_text("a file")
    assert serve(DatanodeOptions(Config(Cluster("c-1")), tmp_path, "datanode-1")) == 1
    line = capsys.readouterr().err
    assert f"{tmp_path}/datanode-1 cannot be used" in line
    assert line.count("\n") == 1
