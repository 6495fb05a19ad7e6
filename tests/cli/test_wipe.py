"""`down --wipe` deletes what the cluster made, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dfs.config import Config, render
from dfs.local.layout import Home, LocalCluster, write_file
from tests.cli.shell import Shell


def make_cluster(home: Home, config: Config) -> None:
    home.make()
    config = replace(config, cluster=replace(config.cluster, id="c"))
    write_file(home.config_file, render(config).encode())
    home.save_local(LocalCluster(2, 1, {}))
    for name in ("namenode", "datanode-1", "worker-1", "datanode-2", "worker-2"):
        (home.folder / name / "below").mkdir(parents=True)


def test_a_folder_that_holds_only_the_cluster_goes(shell: Shell) -> None:
    make_cluster(Home(shell.home), Config())
    assert shell.minidfs("down", "--wipe", "--yes").code == 0
    assert not shell.home.exists()


def test_what_else_lies_in_the_folder_stays(shell: Shell) -> None:
    make_cluster(Home(shell.home), Config())
    (shell.home / "notes.txt").write_text("mine", encoding="ascii")
    assert shell.minidfs("down", "--wipe", "--yes").code == 0
    assert [path.name for path in shell.home.iterdir()] == ["notes.txt"]


def test_data_folders_elsewhere_are_named_and_left_alone(shell: Shell, tmp_path: Path) -> None:
    elsewhere = tmp_path / "disk"
    (elsewhere / "photos").mkdir(parents=True)
    config = Config()
    config = replace(config, datanode=replace(config.datanode, dirs=(str(elsewhere),)))
    make_cluster(Home(shell.home), config)
    ended = shell.minidfs("down", "--wipe", "--yes")
    assert ended.code == 0
    assert str(elsewhere) in ended.out
    assert (elsewhere / "photos").is_dir()


def test_yes_without_wipe_is_a_mistake(shell: Shell) -> None:
    assert shell.minidfs("down", "--yes").code == 2
