"""What commands say when they are used wrongly, or when there is no cluster."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli.minidfs import MinidfsGroup, minidfs
from cli.minimr import MinimrGroup, minimr
from tests.cli.shell import Shell


@pytest.mark.parametrize("verb", MinidfsGroup.verbs)
def test_each_verb_of_minidfs_has_help(shell: Shell, verb: str) -> None:
    ended = shell.minidfs(verb, "--help")
    assert ended.code == 0
    assert f"Usage: minidfs {verb}" in ended.out
    assert "--cluster FILE" in ended.out


@pytest.mark.parametrize("verb", MinimrGroup.verbs)
def test_each_verb_of_minimr_has_help(shell: Shell, verb: str) -> None:
    ended = shell.minimr(verb, "--help")
    assert ended.code == 0
    assert f"Usage: minimr {verb}" in ended.out


def test_help_of_the_groups_names_each_verb(shell: Shell) -> None:
    assert all(f"\n  {verb} " in shell.minidfs("--help").out for verb in minidfs.verbs)
    assert all(f"\n  {verb} " in shell.minimr("--help").out for verb in minimr.verbs)


def test_an_unknown_verb_is_answered_with_the_nearest(shell: Shell) -> None:
    ended = shell.minidfs("satus")
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert "did you mean 'status'" in ended.err


def test_an_unknown_option_is_one_line(shell: Shell) -> None:
    ended = shell.minidfs("ls", "--frob")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "minidfs ls" in ended.err


@pytest.mark.parametrize(("size", "reason"), [("1MB", "write 1M"), ("many", "whole number")])
def test_a_wrong_size_says_why(shell: Shell, size: str, reason: str) -> None:
    ended = shell.minidfs("put", "--chunk-size", size, "a", "/a")
    assert ended.code == 2
    assert reason in ended.err


def test_usage_errors_are_json_where_json_was_asked_for(shell: Shell) -> None:
    ended = shell.minidfs("put", "--json", "--replication", "0", "a", "/a")
    assert ended.code == 2
    assert ended.error["code"] == "usage"


@pytest.mark.parametrize("command", [("ls",), ("put", __file__, "/a"), ("status",)])
def test_without_any_cluster_commands_say_how_to_start_one(
    shell: Shell, command: tuple[str, ...]
) -> None:
    ended = shell.minidfs(*command)
    assert ended.code == 5
    assert ended.err.count("\n") == 1
    assert "minidfs up" in ended.err


def test_a_cluster_file_that_was_named_must_exist(shell: Shell, tmp_path: Path) -> None:
    ended = shell.minidfs("ls", "--cluster", str(tmp_path / "none.toml"), "--json")
    assert ended.code == 2
    assert ended.error["path"] == str(tmp_path / "none.toml")


def test_a_cluster_that_is_down_is_told_within_seconds(shell: Shell) -> None:
    assert shell.minidfs("init", "--listen", "127.0.0.1:9").code == 0
    started = time.monotonic()
    ended = shell.minidfs("ls")
    assert ended.code == 5
    assert "minidfs up" in ended.err
    assert time.monotonic() - started < 10
    status = shell.minidfs("status", "--json")
    assert status.code == 5
    assert '"state": "down"' in status.out


def test_init_makes_a_cluster_once(shell: Shell) -> None:
    assert shell.minidfs("init").code == 0
    again = shell.minidfs("init")
    assert again.code == 4
    assert str(shell.home / "cluster.toml") in again.err


def test_init_makes_the_namespace_of_a_cluster_that_was_configured_by_hand(shell: Shell) -> None:
    shell.home.mkdir()
    file = shell.home / "cluster.toml"
    file.write_text('[cluster]\nid = "mine"\n', encoding="utf-8")
    assert shell.minidfs("init", "--listen", "127.0.0.1:9").code == 4
    assert shell.minidfs("init").code == 0
    assert file.read_text("utf-8") == '[cluster]\nid = "mine"\n'
    assert (shell.home / "namenode" / "log" / "00000001.log").exists()
    file.write_text("", encoding="utf-8")
    without_id = shell.minidfs("init")
    assert (without_id.code, without_id.err.count("\n")) == (4, 1)
    assert "[cluster] id" in without_id.err


@pytest.mark.parametrize("lost", ["namenode", "namenode/log"])
def test_a_namenode_never_begins_a_namespace_by_itself(shell: Shell, lost: str) -> None:
    assert shell.minidfs("init").code == 0
    shutil.rmtree(shell.home / lost)
    ended = shell.minidfs("namenode")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert f"{shell.home / 'namenode'} is empty: if this cluster is new, run 'minidfs init'" in (
        ended.err
    )
    assert "'minidfs admin restore DIR'" in ended.err
    assert not (shell.home / "namenode" / "view").exists()


def test_a_log_that_was_lost_is_not_begun_anew(shell: Shell) -> None:
    assert shell.minidfs("init").code == 0
    shutil.rmtree(shell.home / "namenode" / "log")
    (shell.home / "namenode" / "view").mkdir()
    for command in ("namenode", "init"):
        ended = shell.minidfs(command)
        assert (ended.code, ended.err.count("\n")) == (2, 1)
        assert "has a view or snapshots and no log" in ended.err


def test_addresses_that_others_can_reach_are_refused(shell: Shell) -> None:
    ended = shell.minidfs("init", "--listen", "0.0.0.0:9860")
    assert ended.code == 2
    assert "127.0.0.1" in ended.err
    assert not shell.home.exists()


@pytest.mark.parametrize(
    ("command", "hint"),
    [
        ("ls", "is on another machine and namenode.key is empty: 'minidfs join LINE'"),
        ("namenode", "is empty: if this cluster is new, run 'minidfs init'"),
        ("datanode", "has no key for datanode-1: ask for an invitation"),
        ("node", "has no key for datanode-1: ask for an invitation"),
    ],
)
def test_where_keys_are_missing_it_is_said_who_makes_them(
    shell: Shell, command: str, hint: str
) -> None:
    shell.home.mkdir()
    text = '[cluster]\nid = "c"\n[namenode]\naddress = "10.0.0.1:9860"\n'
    (shell.home / "cluster.toml").write_text(text, encoding="utf-8")
    ended = shell.minidfs(command)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert hint in ended.err


@pytest.mark.parametrize(
    ("text", "line", "hint"),
    [
        ('[cluster]\nid = "c"\n[files]\nreplicaton = 2\n', 4, "'replication'"),
        ('[cluster]\nid = "c"\n[files]\nmin_durable = 4\n', 4, "can never be met"),
        (
            '[cluster]\nid = "c"\n[namenode]\naddress = "10.0.0.1:1"\n[security]\nmode = "none"\n',
            4,
            "other machines",
        ),
        ('[cluster]\nid = "c"\n[namenode]\naddress = "0.0.0.0:9860"\n', 4, "others find it"),
    ],
)
@pytest.mark.parametrize("command", ["ls", "status", "namenode", "datanode", "node"])
def test_a_bad_configuration_is_named_with_its_line(
    shell: Shell, text: str, line: int, hint: str, command: str
) -> None:
    shell.home.mkdir()
    file = shell.home / "cluster.toml"
    file.write_text(text, encoding="utf-8")
    ended = shell.minidfs(command)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert f"{file}:{line}:" in ended.err
    assert hint in ended.err


def test_a_role_without_a_cluster_id_does_not_start(shell: Shell) -> None:
    shell.home.mkdir()
    (shell.home / "cluster.toml").write_text("", encoding="utf-8")
    ended = shell.minidfs("datanode", "--id", "2")
    assert ended.code == 2
    assert "minidfs init" in ended.err


@pytest.mark.parametrize("given", ["x", "worker-1", "0", "-3", "1.5"])
def test_a_role_needs_a_number(shell: Shell, given: str) -> None:
    assert shell.minidfs("init").code == 0
    ended = shell.minidfs("datanode", "--id", given)
    assert ended.code == 2
    assert "datanode-1" in ended.err


def test_up_uses_the_home_and_no_other_configuration(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINIDFS_CLUSTER", str(tmp_path / "other.toml"))
    ended = shell.minidfs("up")
    assert ended.code == 2
    assert "MINIDFS_CLUSTER" in ended.err
    assert not shell.home.exists()


def test_down_without_a_cluster_is_no_error(shell: Shell) -> None:
    assert shell.minidfs("down").code == 0
    assert not shell.home.exists()


def test_a_traceback_is_shown_only_with_v(shell: Shell) -> None:
    assert "Traceback" not in shell.minidfs("ls").err
    assert "Traceback" in shell.minidfs("ls", "-v").err


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def test_version_is_answered_without_network_and_database() -> None:
    script = (
        "import sys; from cli.errors import run; from cli.minidfs import minidfs;"
        "run(minidfs, ['version'], 'minidfs');"
        "print([n for n in ('zmq', 'lmdb', 'polars', 'mapreduce') if n in sys.modules])"
    )
    first, second = python("-c", script).stdout.splitlines()
    assert first.startswith("minidfs ")
    assert second == "[]"


def test_a_reader_that_goes_away_is_no_error() -> None:
    script = (
        "import sys; from cli.errors import run; from cli.minidfs import minidfs;"
        "sys.stdin.readline(); sys.exit(run(minidfs, ['--help'], 'minidfs'))"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stdout is not None
    child.stdout.close()
    _, err = child.communicate(b"\n", timeout=60)
    assert (child.returncode, err) == (0, b"")


def test_an_interrupt_ends_with_130() -> None:
    script = (
        "import os, signal, click; from cli.errors import run\n"
        "@click.command()\n"
        "def stuck():\n"
        f"    os.kill(os.getpid(), {int(signal.SIGINT)}); signal.pause()\n"
        "group = click.Group(commands={'stuck': stuck})\n"
        "raise SystemExit(run(group, ['stuck'], 'x'))"
    )
    done = python("-c", script)
    assert (done.returncode, done.stderr) == (130, "")
