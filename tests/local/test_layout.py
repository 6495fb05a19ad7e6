"""The folder of a cluster on one machine."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from dfs.errors import BadArgument, ConfigError, Unavailable
from dfs.events import Role
from dfs.label import Kind, render
from dfs.local.layout import Home, LocalCluster, process_id
from tests.damage import every_damage


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path / "home")
    found.make()
    return found


def test_nobody_else_may_enter(home: Home) -> None:
    home.folder.chmod(0o755)
    home.make()
    for folder in (home.folder, home.run, home.logs):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_what_up_remembers_comes_back(home: Home) -> None:
    assert home.load_local() is None
    local = LocalCluster(2, 1, {"datanode-1": "127.0.0.1:20001"})
    home.save_local(local)
    assert home.load_local() == local


def test_no_damage_of_it_passes_and_each_is_one_line(home: Home) -> None:
    home.save_local(LocalCluster(2, 1, {"datanode-1": "127.0.0.1:20001"}))
    line = rf"^{home.folder}/local is damaged: remove it, 'minidfs up' makes a new one$"
    for damaged in every_damage(home.local_file.read_bytes()):
        home.local_file.write_bytes(damaged)
        with pytest.raises(ConfigError, match=line):
            home.load_local()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (render(Kind("minidfs local", 1, ""), {"nodes": 1}), "is damaged"),
        (render(Kind("minidfs local", 2, ""), {}), "has format 2"),
        (render(Kind("minidfs else", 1, ""), {}), "is another file"),
    ],
)
def test_a_memory_that_is_none_of_ours_is_refused(home: Home, content: bytes, says: str) -> None:
    home.local_file.write_bytes(content)
    with pytest.raises(ConfigError, match=says):
        home.load_local()


def test_two_starts_at_a_time_are_refused(home: Home) -> None:
    with home.locked(), pytest.raises(Unavailable, match="another 'up', 'down'"):
        home.locked().__enter__()
    with home.locked():
        pass


@pytest.mark.parametrize(("given", "meant"), [("2", "datanode-2"), ("datanode-07", "datanode-7")])
def test_ids_may_be_shortened(given: str, meant: str) -> None:
    assert process_id(Role.DATANODE, given) == meant


@pytest.mark.parametrize("given", ["", "0", "x", "worker-1", "-1", "1e3", "٣", "1" * 10])
def test_wrong_ids_are_refused(given: str) -> None:
    with pytest.raises(BadArgument, match="datanode-1 or 1"):
        process_id(Role.DATANODE, given)
