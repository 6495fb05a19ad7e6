"""`logs` and `config`: what they show, and how they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dfs.local.layout import Home
from tests.cli.shell import Shell


@pytest.fixture
def logs(shell: Shell) -> Shell:
    home = Home(shell.home)
    home.make()
    for second, name in enumerate(("keeper", "namenode", "node-1", "datanode-1", "worker-1")):
        text = f"2026-11-21T10:00:{second:02}.000Z {name} serves\n"
        home.log_file(name).write_text(text, encoding="ascii")
    return shell


def shown(shell: Shell, *arguments: str) -> list[str]:
    done = shell.minidfs("logs", *arguments)
    assert (done.code, done.err) == (0, "")
    return [line.split(" ")[1] for line in done.out.splitlines()]


def test_all_logs_or_one_or_those_of_a_node(logs: Shell) -> None:
    assert shown(logs) == ["keeper", "namenode", "node-1", "datanode-1", "worker-1"]
    assert shown(logs, "namenode") == ["namenode"]
    assert shown(logs, "node-1") == ["node-1", "datanode-1", "worker-1"]
    assert shown(logs, "-n", "2") == ["datanode-1", "worker-1"]


def test_log_lines_as_json(logs: Shell) -> None:
    assert json.loads(logs.minidfs("logs", "--json", "namenode").out) == {
        "v": 1,
        "id": "namenode",
        "time": "2026-11-21T10:00:01.000Z",
        "text": "2026-11-21T10:00:01.000Z namenode serves",
    }


def test_a_log_that_is_not_there(logs: Shell) -> None:
    done = logs.minidfs("logs", "datanode-2")
    assert done.code == 3
    assert done.err == (
        "minidfs: there is no log of 'datanode-2':"
        " it can be datanode-1, keeper, namenode, node-1, worker-1\n"
    )


def test_no_log_at_all(shell: Shell) -> None:
    done = shell.minidfs("logs")
    assert done.code == 3
    assert "'minidfs up'" in done.err


def test_a_configuration_that_is_right(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "cluster.toml"
    file.write_text('[cluster]\nid = "c"\n', encoding="ascii")
    assert shell.minidfs("config", "check", str(file)) == (0, f"{file}: ok\n", "")
    assert shell.minidfs("config", "check", "--cluster", str(file)).code == 0
    done = shell.minidfs("config", "check", "--json", str(file))
    assert json.loads(done.out) == {"v": 1, "file": str(file), "ok": True}


def test_a_configuration_that_is_wrong(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "cluster.toml"
    file.write_text("[files]\n\nreplication = 99\n", encoding="ascii")
    done = shell.minidfs("config", "check", str(file))
    assert done == (2, "", f"minidfs: {file}:3: files.replication: 99 is not from 1 to 16\n")
    assert shell.minidfs("config", "check", str(tmp_path / "none")).code == 2
    assert shell.minidfs("config", "show", "--cluster", str(file)).code == 2
    assert shell.minidfs("config", "show").code == 5


def test_every_setting_is_shown_with_where_it_comes_from(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "cluster.toml"
    file.write_text('[files]\nreplication = 2\n[datanode]\ndirs = ["/a"]\n', encoding="ascii")
    done = shell.minidfs("config", "show", "--cluster", str(file))
    lines = {line.partition(" = ")[0]: line.split() for line in done.out.splitlines()}
    assert lines["files.replication"] == ["files.replication", "=", "2", "#", "file"]
    assert lines["times.heartbeat"][2:] == ['"1s"', "#", "default"]
    assert lines["namenode.dir"][2:] == [f'"{shell.home}/namenode"', "#", "default"]
    assert lines["datanode.dirs"][2:] == ['["/a"]', "#", "file"]
    objects = shell.minidfs("config", "show", "--json", "--cluster", str(file)).out.splitlines()
    assert json.loads(objects[0]) == {
        "v": 1, "section": "cluster", "key": "id", "value": '""', "source": "default",
    }  # fmt: skip
    assert len(objects) == len(lines) - 1
