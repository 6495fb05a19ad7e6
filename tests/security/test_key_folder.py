"""Key files: made once, for us alone, and refused when they are not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dfs.config import Config, parse
from dfs.endpoints import namenode_endpoint
from dfs.errors import ConfigError
from dfs.events import NAMENODE, Peer, Role
from dfs.net.sockets import make_key_pair
from dfs.security.key_folder import (
    ADMIN,
    KeyFolder,
    daemon_credentials,
    namenode_key,
    user_credentials,
)
from dfs.security.keys import key_text, with_key

ANNA = Peer(Role.CLIENT, "anna")
NODE = Peer(Role.DATANODE, "datanode-1")


@pytest.fixture
def folder(tmp_path: Path) -> KeyFolder:
    made = KeyFolder(tmp_path)
    for peer in (NAMENODE, NODE, ADMIN, ANNA):
        made.make(peer, make_key_pair)
    return made


def test_keys_are_made_once_and_for_us_alone(folder: KeyFolder) -> None:
    assert folder.path.stat().st_mode & 0o777 == 0o700
    files = sorted(folder.path.iterdir())
    assert [f.name for f in files] == [
        "admin.key",
        "datanode-1.key",
        "namenode.key",
        "user.key",
    ]
    assert {f.stat().st_mode & 0o777 for f in files} == {0o600}
    before = folder.load(NODE)
    assert folder.make(NODE, make_key_pair) == before


def test_whose_keys_are_here_is_told_without_secrets(folder: KeyFolder) -> None:
    found = dict(folder.public())
    assert set(found) == {NAMENODE, NODE, ADMIN, ANNA}
    assert found[ANNA] == folder.load(ANNA).public
    assert KeyFolder(folder.path / "none").public() == []


def open_file(folder: KeyFolder) -> None:
    (folder.path / "user.key").chmod(0o640)


def open_folder(folder: KeyFolder) -> None:
    folder.path.chmod(0o750)


def others(folder: KeyFolder) -> None:
    os.chown(folder.path / "user.key", 12345, -1)


def damaged(folder: KeyFolder) -> None:
    file = folder.path / "user.key"
    file.write_bytes(file.read_bytes().replace(b"name anna", b"name anne"))


def no_role(folder: KeyFolder) -> None:
    rewrite(folder, role="king", public=key_text(bytes(32)))


def no_key(folder: KeyFolder) -> None:
    rewrite(folder, role="client", public="x")


def rewrite(folder: KeyFolder, role: str, public: str) -> None:
    from dfs.label import Kind, render

    fields = {"role": role, "name": "anna", "public": public, "secret": key_text(bytes(32))}
    (folder.path / "user.key").write_bytes(render(Kind("minidfs key", 1, ""), fields))


def gone(folder: KeyFolder) -> None:
    (folder.path / "user.key").unlink()


def no_file(folder: KeyFolder) -> None:
    gone(folder)
    (folder.path / "user.key").mkdir(mode=0o700)


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (open_file, r"user.key can be read by others.*chmod 600"),
        (open_folder, r"keys can be read by others.*chmod 700"),
        (others, "can be read by others"),
        (damaged, "user.key.* is damaged"),
        (no_role, "'king' is not a valid Role.*minidfs join"),
        (no_key, "'x' is not a key"),
        (gone, "no such file: 'minidfs up' and 'minidfs init' make the keys"),
        (no_file, "cannot be read: Is a directory"),
    ],
)
def test_a_file_that_cannot_be_trusted_is_refused_in_one_line(
    folder: KeyFolder, spoil: Callable[[KeyFolder], None], text: str
) -> None:
    spoil(folder)
    with pytest.raises(ConfigError, match=text) as caught:
        folder.load(ANNA)
    assert "\n" not in caught.value.message


def test_the_key_of_another_process_is_refused(folder: KeyFolder) -> None:
    (folder.path / "datanode-1.key").rename(folder.path / "datanode-2.key")
    with pytest.raises(ConfigError, match=r"has the key of datanode-1 .* and not of datanode-2"):
        folder.load(Peer(Role.DATANODE, "datanode-2"))


def test_a_daemon_begins_by_knowing_the_namenode(folder: KeyFolder, tmp_path: Path) -> None:
    key = folder.load(NAMENODE).public
    config = parse(f'[namenode]\nkey = "{key_text(key)}"\n')
    found = daemon_credentials(config, tmp_path, NODE)
    assert found is not None
    assert dict(found.members) == {key: NAMENODE}
    (folder.path / "namenode.key").unlink()
    without = daemon_credentials(Config(), tmp_path, NODE)
    assert without is not None
    assert dict(without.members) == {}


def test_on_its_own_machine_the_namenodes_key_need_not_be_configured(
    folder: KeyFolder, tmp_path: Path
) -> None:
    key = folder.load(NAMENODE).public
    assert namenode_key(Config(), tmp_path) == key
    assert namenode_endpoint(Config(), tmp_path) == with_key("tcp://127.0.0.1:9860", key)
    far = parse('[namenode]\naddress = "10.0.0.1:9860"\n')
    with pytest.raises(ConfigError, match=r"is on another machine and namenode\.key is empty"):
        namenode_endpoint(far, tmp_path / "none")


def test_without_keys_nothing_is_read(tmp_path: Path) -> None:
    config = parse('[security]\nmode = "none"\n')
    assert daemon_credentials(config, tmp_path, NODE) is None
    assert user_credentials(config, tmp_path, ANNA) is None
    assert user_credentials(Config(), tmp_path, ANNA) is None


def test_a_user_is_known_by_his_key_whatever_he_is_called_here(
    folder: KeyFolder, tmp_path: Path
) -> None:
    found = user_credentials(Config(), tmp_path, Peer(Role.CLIENT, "root"))
    assert found is not None
    assert found.pair == folder.load(ANNA)
