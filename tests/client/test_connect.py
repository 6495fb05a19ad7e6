"""Finding a cluster, and what it costs to have the library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import dfs
from dfs.client.connect import connect, user_name


def test_without_a_configuration_it_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MINIDFS_CLUSTER", raising=False)
    monkeypatch.setenv("MINIDFS_HOME", str(tmp_path))
    for target in (None, "minidfs://", tmp_path / "other.toml"):
        with pytest.raises(dfs.ConfigError, match="minidfs up"):
            connect(target)


def test_a_cluster_that_is_down_is_unavailable_and_says_how_to_start_it(tmp_path: Path) -> None:
    config = tmp_path / "cluster.toml"
    config.write_text('[cluster]\nid = "down"\n[namenode]\naddress = "127.0.0.1:1"\n')
    with connect(config) as fs, pytest.raises(ConnectionError, match="'minidfs up'"):
        fs.list("/")
    with pytest.raises(dfs.Unavailable, match=r"127\.0\.0\.1:1 .*'minidfs namenode'"):
        connect("minidfs://127.0.0.1:1")


@pytest.mark.parametrize(
    ("target", "timeout", "text"),
    [
        ("minidfs://127.0.0.1:1/a/b", 60, "path"),
        ("minidfs://example.org:9860", 60, "other machines"),
        ("minidfs://127.0.0.1", 60, "HOST:PORT"),
        (None, 0, "timeout"),
    ],
)
def test_unusable_targets_are_refused(target: str | None, timeout: float, text: str) -> None:
    with pytest.raises(dfs.BadArgument, match=text):
        connect(target, timeout)


def test_importing_the_library_loads_nothing_that_needs_the_network() -> None:
    code = (
        "import sys, dfs; "
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'zmq', 'msgspec', 'lmdb'}), "
        "'socket' in sys.modules, callable(dfs.connect), 'zmq' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "False", "True", "True"]


def test_the_public_names_are_there() -> None:
    for name in dfs.__all__:
        assert getattr(dfs, name).__name__ == name
    with pytest.raises(AttributeError, match="nonsense"):
        _ = dfs.nonsense  # type: ignore[attr-defined]


def test_a_user_without_a_name_is_called_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getuid", lambda: 987_654_321)
    assert user_name() == "987654321"
