"""Figures of a cluster that loses a node, and of a client that writes far more than its memory."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.cluster import SCRIPTS, Cluster, timed
from benchmarks.report import Row
from dfs import connect
from dfs.wire.namespace import GetStatus, Status

GB = 1_000_000_000
LIMIT_S = 600
LOOK_S = 0.1


def lost_node(folder: Path, text: Path) -> Iterator[Row]:
    """Time until all copies exist again after one node of four, with 1 GB on it, was killed."""
    with Cluster(4, folder) as cluster:
        for number in range(4 * GB // 3 // text.stat().st_size + 1):
            cluster.minidfs("put", text, f"/{number}.txt")
        home = Path(cluster.env["MINIDFS_HOME"])
        lost = max(_status(home).nodes, key=lambda node: node.used_bytes)
        cluster.minidfs("stop", lost.node, "--kill")
        began = time.perf_counter()
        _until(home, lambda s: any(n.node == lost.node and n.state == "dead" for n in s.nodes))
        dead = time.perf_counter() - began
        _until(home, lambda s: s.under_replicated > 0)
        noticed = time.perf_counter() - began
        _until(home, lambda s: s.under_replicated == 0)
        done = time.perf_counter() - began
    rate = lost.used_bytes / 1e6 / (done - noticed)
    yield Row(
        f"node of 4 lost with {lost.used_bytes / GB:.2f} GB: all copies there again",
        f"{done:.1f} s",
        f"dead after {dead:.1f} s, repair began after {noticed:.1f} s and copied {rate:.0f} MB/s",
    )


def huge_put(folder: Path, size_bytes: int) -> Iterator[Row]:
    """Peak memory of a client that puts more than it could ever hold."""
    source = folder / "zeros"
    with source.open("wb") as file:
        file.truncate(size_bytes)
    try:
        with Cluster(1, folder) as cluster:
            run = timed(SCRIPTS / "minidfs", "put", source, "/", env=cluster.env)
    finally:
        source.unlink()
    speed = size_bytes / 1e6 / run.seconds
    what = f"client's peak memory, put of {size_bytes / GB:.0f} GB"
    yield Row(what, f"{run.peak_mib:.0f} MiB", f"{speed:.0f} MB/s, 1 replica, synced")


def _status(home: Path) -> Status:
    with connect(home / "cluster.toml") as fs:
        status = fs.run(fs.namenode.ask(GetStatus()))
    assert isinstance(status, Status)
    return status


def _until(home: Path, is_true: Callable[[Status], bool]) -> None:
    deadline = time.perf_counter() + LIMIT_S
    while not is_true(_status(home)):
        if time.perf_counter() > deadline:
            sys.exit(f"after {LIMIT_S} s: {_status(home)}")
        time.sleep(LOOK_S)
