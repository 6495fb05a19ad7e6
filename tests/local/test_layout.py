"""The folder of a cluster on one machine."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from dfs.errors import BadArgument, ConfigError, Unavailable
from dfs.events import Role
from dfs.local.layout import Home, LocalCluster, process_id


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


@pytest.mark.parametrize("text", ["", "[]", '{"nodes": "2"}', '{"nodes":1,"slots":1}'])
def test_a_damaged_memory_is_named(home: Home, text: str) -> None:
    home.local_file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"local\.json is damaged"):
        home.load_local()


def test_no_damaged_byte_of_it_is_more_than_one_line(home: Home) -> None:
    home.save_local(LocalCluster(2, 1, {"datanode-1": "127.0.0.1:20001"}))
    good = home.local_file.read_bytes()
    told: list[str] = []
    for at in range(len(good)):
        for bits in (0x01, 0x80, 0xFF):
            home.local_file.write_bytes(good[:at] + bytes([good[at] ^ bits]) + good[at + 1 :])
            try:
                home.load_local()
            except ConfigError as error:
                told.append(str(error))
        home.local_file.write_bytes(good[:at])
        if at < len(good) - 1:
            with pytest.raises(ConfigError, match=r"local\.json is damaged"):
                home.load_local()
    assert len(told) > len(good)
    assert not any("\n" in line for line in told)


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
