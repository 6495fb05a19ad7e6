"""Processes that are stopped, started, paused, resumed and killed, and what `up` and `down` do."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from dfs.endpoints import socket_folder
from dfs.local.layout import Home
from dfs.local.ports import choose_address
from dfs.local.processes import is_paused, read_pid_file
from tests.integration.cluster_here import ClusterHere, until
from tests.integration.test_storage_faults import files_below

pytestmark = pytest.mark.cluster

CONTENT = bytes(range(256)) * 1000
ROLES = ["namenode", "datanode-1", "worker-1", "datanode-2", "worker-2"]


@pytest.fixture
def two(own_cluster: ClusterHere) -> ClusterHere:
    """A cluster of two nodes with a file in it."""
    own_cluster.minidfs("up", "--nodes", "2", "--chunk-size", "64K")
    own_cluster.minidfs("put", "-", "/kept", stdin=CONTENT)
    return own_cluster


def states(cluster: ClusterHere) -> dict[str, str]:
    return {role["id"]: role["state"] for role in cluster.status()["roles"]}


def is_clean(home: Home) -> bool:
    sockets = socket_folder(home.folder)
    return os.listdir(home.run) == [] and (not sockets.exists() or os.listdir(sockets) == [])


def test_every_process_stops_and_starts(two: ClusterHere) -> None:
    for name in ROLES:
        before = two.pids()
        assert two.minidfs("stop", name).stdout == f"stopped {name}\n"
        assert two.minidfs("stop", name).stdout == f"{name} is stopped already\n"
        assert states(two)[name] == "stopped"
        assert read_pid_file(two.home.pid_file(name)) is None
        assert two.minidfs("start", name).stdout == f"started {name}\n"
        assert two.minidfs("start", name).stdout == f"{name} runs already\n"
        after = two.pids()
        assert after.pop(name) != before.pop(name)
        assert after == before
        assert two.cat("/kept") == CONTENT


def test_every_process_is_paused_and_resumed(two: ClusterHere) -> None:
    before = two.pids()
    for name in ROLES:
        process = read_pid_file(two.home.pid_file(name))
        assert process is not None
        assert two.minidfs("pause", name).stdout == f"paused {name}\n"
        assert two.minidfs("pause", name).stdout == f"{name} is paused already\n"
        assert is_paused(process)
        assert states(two)[name] == "paused"
        assert two.minidfs("resume", name).stdout == f"resumed {name}\n"
        assert two.minidfs("resume", name).stdout == f"{name} is not paused\n"
        assert not is_paused(process)
    until(lambda: two.status()["state"] == "serving")
    assert two.pids() == before
    assert two.cat("/kept") == CONTENT


def test_what_was_stopped_stays_stopped_and_up_starts_it(two: ClusterHere) -> None:
    done = two.minidfs("stop", "node-1", "worker-2", "--kill")
    assert done.stdout.splitlines() == [
        "killed datanode-1",
        "killed worker-1",
        "killed worker-2",
    ]
    # A keeper that is asked to hurry, and one that is new, both heed the mark.
    keeper = read_pid_file(two.home.pid_file("node-1"))
    assert keeper is not None
    os.kill(keeper.pid, signal.SIGUSR1)
    two.minidfs("stop", "datanode-2")
    two.minidfs("start", "datanode-2")
    assert {name for name, state in states(two).items() if state == "stopped"} == {
        "datanode-1",
        "worker-1",
        "worker-2",
    }
    assert two.minidfs("up").stdout.startswith("started datanode-1, worker-1, worker-2\n")
    assert set(states(two).values()) == {"live"}


def test_a_namenode_that_is_killed_comes_back_by_itself(two: ClusterHere) -> None:
    before = two.pids()
    os.kill(before["namenode"], signal.SIGKILL)
    until(lambda: two.pids().get("namenode") not in (None, before["namenode"]))
    until(lambda: two.status()["state"] == "serving")
    assert two.cat("/kept") == CONTENT
    after = two.pids()
    assert after.pop("namenode") != before.pop("namenode")
    assert after == before


def test_a_namenode_that_cannot_start_says_why_in_status(two: ClusterHere) -> None:
    version = two.folder / "namenode" / "VERSION"
    good = version.read_bytes()
    version.write_text("nonsense", encoding="ascii")
    os.kill(two.pids()["namenode"], signal.SIGKILL)
    until(lambda: any("VERSION is damaged" in reason for reason in two.status()["reasons"]))
    keeping = two.home.log_file("keeper").read_text(encoding="utf-8")
    assert keeping.count("namenode starts as process") < 5
    assert "VERSION is damaged" in two.minidfs("start", "namenode", code=1).stderr
    version.write_bytes(good)
    two.minidfs("start", "namenode")
    assert two.cat("/kept") == CONTENT


@pytest.mark.parametrize("seed", range(3))
def test_up_and_down_in_any_state(two: ClusterHere, seed: int) -> None:
    """Killed, stopped, paused and healthy processes and keepers, mixed."""
    draw = random.Random(seed)
    for end in ("up", "down"):
        for path in sorted(two.home.run.glob("*.pid")):
            process = read_pid_file(path)
            number = draw.choice([0, signal.SIGKILL, signal.SIGSTOP])
            if process is not None and number:
                os.kill(process.pid, number)
        two.minidfs("stop", draw.choice(ROLES))
        two.minidfs(end)
        if end == "up":
            assert set(states(two).values()) == {"live"}
            assert two.cat("/kept") == CONTENT
    assert two.all_pids() == []
    assert is_clean(two.home)
    assert _of_cluster(two.folder) == []
    two.minidfs("up")
    assert two.cat("/kept") == CONTENT


def test_up_after_everything_was_killed_at_once(two: ClusterHere) -> None:
    for pid in two.all_pids():
        os.kill(pid, signal.SIGKILL)
    assert set(states(two).values()) == {"dead"}
    assert two.minidfs("up").stdout.startswith(f"started {', '.join(ROLES)}\n")
    assert two.cat("/kept") == CONTENT


def test_restarts_under_load_lose_nothing(two: ClusterHere) -> None:
    draw = random.Random(7)
    for number in range(8):
        content = draw.randbytes(draw.choice([10, 70_000, 300_000]))
        writer = two.begin("minidfs", "put", "-", f"/load/{number}")
        name = draw.choice([*ROLES, "node-1", "node-2"])
        two.minidfs("stop", name, *draw.choice([[], ["--kill"]]))
        two.minidfs("start", name)
        _, err = writer.communicate(content, timeout=100)
        assert writer.returncode == 0, err
        assert two.cat(f"/load/{number}") == content
    two.minidfs("down")
    two.minidfs("up")
    assert two.names("/load") == [str(number) for number in range(8)]


def test_logs_are_followed_through_a_restart(two: ClusterHere) -> None:
    following = two.begin("minidfs", "logs", "-f", "-n", "1", "datanode-1")
    assert following.stdout is not None
    assert following.stdout.readline()  # from here on it follows
    two.minidfs("stop", "datanode-1")
    assert b"datanode-1 stopped" in following.stdout.readline()
    two.minidfs("start", "datanode-1")
    assert b"datanode-1 " in following.stdout.readline()
    following.send_signal(signal.SIGINT)
    _, err = following.communicate(timeout=30)
    assert (following.returncode, err) == (130, b"")


def test_what_does_not_exist_or_does_not_run_is_one_line(two: ClusterHere, tmp_path: Path) -> None:
    done = two.minidfs("stop", "datanode-7", code=3)
    assert done.stderr == (
        "minidfs: there is no process 'datanode-7': it can be"
        " namenode, datanode-1, worker-1, datanode-2, worker-2\n"
    )
    two.minidfs("stop", "worker-1")
    assert "'minidfs start worker-1'" in two.minidfs("pause", "worker-1", code=5).stderr
    elsewhere = ClusterHere(tmp_path / "nothing")
    for verb in ("stop", "start", "pause", "resume"):
        assert "minidfs up" in elsewhere.minidfs(verb, "namenode", code=5).stderr
    file = two.home.config_file
    assert "made by 'up'" in elsewhere.minidfs("stop", "--cluster", file, "x", code=2).stderr


def _of_cluster(folder: Path) -> list[str]:
    """The command lines of the processes of this machine that belong to a cluster."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            environment = (path / "environ").read_bytes()
            command = (path / "cmdline").read_bytes()
        except OSError:
            continue
        if os.fsencode(folder) in environment + command and path.name != str(os.getpid()):
            found.append(command.decode("utf-8", "replace"))
    return found


def test_a_worker_that_is_stopped_says_goodbye_and_its_work_goes_on_elsewhere(
    two: ClusterHere,
) -> None:
    job = Path(__file__).parents[2] / "examples" / "wordcount.py"
    two.minidfs("put", "-", "/words", stdin=b"a b c\n" * 50_000)
    run = two.begin("minimr", "run", job, "/words", "-n", "1", "--pause", "1")
    until(lambda: any(worker["running"] for worker in workers(two).values()))
    busy = next(name for name, worker in workers(two).items() if worker["running"])
    two.minidfs("stop", busy)
    assert workers(two)[busy]["state"] == "left"
    out, err = run.communicate(timeout=120)
    assert (run.returncode, out) == (0, b"a\t50000\nb\t50000\nc\t50000\n"), err
    two.minidfs("start", busy)
    until(lambda: workers(two)[busy]["state"] == "live")


SLEEPY = """
[cluster]
id = "sleepy"
[namenode]
address = "{address}"
[times]
dead = "8s"
repair_after = "1s"
lease = "8s"
"""
SLEEP_S = 12


def test_a_namenode_that_was_stopped_holds_it_against_nobody(own_cluster: ClusterHere) -> None:
    """For longer than a lease lasts and than a node may be silent; a writer goes on and closes."""
    cluster = own_cluster
    cluster.home.make()
    text = SLEEPY.format(address=choose_address(set()))
    cluster.home.config_file.write_text(text, encoding="ascii")
    cluster.minidfs("up", "--nodes", "2", "--chunk-size", "1M")
    content = CONTENT * 20
    writer = cluster.begin("minidfs", "put", "-", "/f")
    assert writer.stdin is not None
    writer.stdin.write(content)
    writer.stdin.flush()
    until(lambda: len(files_below(cluster, "datanode-1", "chunks")) > 1)
    cluster.minidfs("pause", "namenode")
    time.sleep(SLEEP_S)
    cluster.minidfs("resume", "namenode")
    _, err = writer.communicate(content, timeout=100)
    assert writer.returncode == 0, err
    assert cluster.cat("/f") == content * 2
    told = cluster.minidfs("events").stdout
    assert "registered" in told
    assert "is dead" not in told
    assert "was silent" not in told


def workers(cluster: ClusterHere) -> dict[str, dict[str, Any]]:
    lines = cluster.minimr("workers", "--json").stdout.splitlines()
    return {worker["worker"]: worker for worker in map(json.loads, lines)}
