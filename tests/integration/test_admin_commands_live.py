"""The commands of whoever looks after a cluster, on a real one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cluster_here import ClusterHere, until

pytestmark = pytest.mark.cluster


def answered(cluster: ClusterHere, *arguments: str, code: int | None = 0) -> dict[str, Any]:
    """The one object that a command writes."""
    found: dict[str, Any] = json.loads(cluster.minidfs(*arguments, "--json", code=code).stdout)
    assert found["v"] == 1
    return found


def put(cluster: ClusterHere, path: str, size: int = 200_000) -> bytes:
    content = os.urandom(size)
    cluster.minidfs("put", "--chunk-size", "64K", "-", path, stdin=content)
    return content


def replicas_of(cluster: ClusterHere, chunk: int) -> list[Path]:
    return sorted(cluster.folder.glob(f"datanode-*/chunks/*/{chunk:016x}-*.chunk"))


def damage(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.seek(4096 + 100)
        byte = stream.read(1)
        stream.seek(4096 + 100)
        stream.write(bytes([byte[0] ^ 1]))


def test_room_and_usage(cluster: ClusterHere) -> None:
    put(cluster, "/usage/a/one", 100_000)
    put(cluster, "/usage/two", 50_000)
    assert cluster.minidfs("du", "/usage").stdout.splitlines() == [
        "100000  300000  /usage/a",
        "150000  450000  /usage",
    ]
    assert cluster.minidfs("du", "-s", "/usage").stdout == "150000  /usage\n"
    assert cluster.minidfs("du", "-s", "-h", "/usage/t*").stdout == "49K  /usage/two\n"
    cluster.minidfs("du", "/usage/none", code=3)
    room = answered(cluster, "df")
    assert room["size"] == room["used"] + room["available"]
    assert room["room"] == room["available"] // 3
    assert len(room["nodes"]) == 3
    assert room["available"] == min(node["available"] for node in room["nodes"]), "one disk"
    lines = cluster.minidfs("df", "-h", "-v").stdout.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == [
        "NODE",
        "datanode-1",
        "datanode-2",
        "datanode-3",
        "all",
    ]
    assert "3 copies" in lines[-1]


def test_a_sound_cluster(cluster: ClusterHere) -> None:
    put(cluster, "/sound/f")
    found = answered(cluster, "admin", "fsck", "/sound", "--chunks")
    assert (found["healthy"], found["rows"], found["files"], found["chunks"]) == (True, None, 1, 4)
    assert [c["offset"] for c in found["found"]] == [0, 65536, 131072, 196608]
    whole = answered(cluster, "admin", "fsck")
    assert whole["rows"] > 20
    assert whole["problems"] == []
    lines = cluster.minidfs("admin", "chunks", "/sound/f", "--json").stdout.splitlines()
    first = json.loads(lines[0])
    assert set(first) == {"v", "path", "offset", "chunk", "generation", "size", "replicas"}
    assert [r["state"] for r in first["replicas"]] == ["good"] * 3
    assert cluster.minidfs("admin", "chunks", "/sound/f").stdout.count("/sound/f") == 4
    cluster.minidfs("admin", "chunks", "/sound/none", code=3)
    report = answered(cluster, "admin", "report")
    assert [node["state"] for node in report["nodes"]] == ["live"] * 3
    assert report["chunks"] >= 4
    assert "safe mode: off" in cluster.minidfs("status", "-v").stdout


def test_what_is_bad_is_found_and_healed(own_cluster: ClusterHere) -> None:
    own_cluster.minidfs("up")
    content = put(own_cluster, "/f")
    for chunk, file in zip((1, 2), (0, 1), strict=True):
        damage(replicas_of(own_cluster, chunk)[file])
    verified = answered(own_cluster, "admin", "verify")
    assert (verified["read"], verified["bad"], verified["healthy"]) == (12, 2, True)
    assert "12 replicas on 3 nodes: 0 bad" in own_cluster.minidfs("admin", "verify").stdout
    assert own_cluster.cat("/f") == content
    told = own_cluster.minidfs("events").stdout
    assert "is corrupt on datanode-" in told
    for file in replicas_of(own_cluster, 3):
        damage(file)
    lost = own_cluster.minidfs("admin", "verify", code=7).stdout
    assert "/f: chunk 3 has no good copy" in lost
    found = answered(own_cluster, "admin", "fsck", code=7)
    assert (found["healthy"], found["missing"], found["problems"]) == (False, 1, [])
    assert {r["state"] for r in found["found"][0]["replicas"]} == {"corrupt"}
    assert (
        "/f: chunk 3 at 131072: 0 of 3 copies"
        in own_cluster.minidfs("admin", "fsck", "--repair", code=7).stdout
    )


def test_safe_mode_and_events_through_a_restart(own_cluster: ClusterHere, tmp_path: Path) -> None:
    own_cluster.minidfs("up", "--nodes", "1")
    following = own_cluster.begin("minidfs", "events", "-f", "--json")
    assert own_cluster.minidfs("admin", "safemode", "get").stdout == "off\n"
    assert own_cluster.minidfs("admin", "safemode", "enter").stdout == "on\n"
    refused = own_cluster.minidfs("mkdir", "/d", "--timeout", "1s", code=5)
    assert "safemode leave" in refused.stderr
    own_cluster.minidfs("admin", "safemode", "wait", "--timeout", "1s", code=5)
    assert answered(own_cluster, "admin", "safemode", "get")["safe_mode"] == "on"
    os.kill(own_cluster.pids()["namenode"], signal.SIGKILL)
    own_cluster.minidfs("up")
    assert own_cluster.minidfs("admin", "safemode", "wait").stdout == "off\n"
    own_cluster.minidfs("mkdir", "/d")
    own_cluster.minidfs("admin", "safemode", "enter")
    own_cluster.minidfs("admin", "safemode", "leave")
    time.sleep(2.5)
    following.send_signal(signal.SIGINT)
    out, _ = following.communicate(timeout=30)
    assert following.returncode == 130
    events = [json.loads(line) for line in out.decode().splitlines()]
    assert sum(e["event"].startswith("the namenode started") for e in events) == 2
    assert [e["event"] for e in events].count("safe mode was switched on") == 2
    assert all(e["time"].endswith("Z") for e in events)


def test_status_goes_on_until_it_is_interrupted(cluster: ClusterHere) -> None:
    watching: subprocess.Popen[bytes] = cluster.begin("minidfs", "status", "-w", "--json")
    assert watching.stdout is not None
    states = [json.loads(watching.stdout.readline())["state"] for _ in range(2)]
    watching.send_signal(signal.SIGINT)
    watching.communicate(timeout=30)
    assert (states, watching.returncode) == (["serving"] * 2, 130)


def test_a_node_that_is_away_is_seen(own_cluster: ClusterHere) -> None:
    own_cluster.minidfs("up", "--nodes", "2")
    put(own_cluster, "/f", 1000_000)
    os.kill(own_cluster.pids()["datanode-2"], signal.SIGSTOP)
    try:
        until(lambda: "datanode-2 is stale" in own_cluster.minidfs("events").stdout)
        nodes = answered(own_cluster, "admin", "report")["nodes"]
        assert [n["state"] for n in nodes] == ["live", "stale"]
    finally:
        os.kill(own_cluster.pids()["datanode-2"], signal.SIGCONT)
    until(lambda: "datanode-2 is live again" in own_cluster.minidfs("events").stdout)
