"""Namenodes with generated metadata, and the datanodes without a disk that report to them."""

from __future__ import annotations

import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.big_namespace import CLUSTER, NODES, make, path_of
from benchmarks.cluster import SCRIPTS
from dfs import connect
from dfs.errors import Unavailable
from dfs.wire.admin import SetSafeMode
from dfs.wire.namespace import GetStatus, Status

STATS = 2000
PATIENCE_S = 900
WALK_PATIENCE_S = 7200
LOOK_S = 0.1
CONFIG = """[cluster]
id = "{cluster}"
[namenode]
address = "127.0.0.1:{port}"
[security]
mode = "none"
"""


@dataclass
class BigNamenode:
    """A namenode process in a folder of its own."""

    home: Path
    files: int
    chunks: int
    port: int
    process: subprocess.Popen[bytes] | None = None

    def make(self) -> None:
        """Write its metadata and its configuration."""
        make(self.home / "namenode", self.files, self.chunks)
        text = CONFIG.format(cluster=CLUSTER, port=self.port)
        (self.home / "cluster.toml").write_text(text, encoding="utf-8")

    def start(self) -> float:
        """Start the process; seconds until it has answered a question."""
        environment = {**os.environ, "MINIDFS_HOME": str(self.home)}
        log = (self.home / "namenode.log").open("ab")
        began = time.perf_counter()
        self.process = subprocess.Popen(
            [SCRIPTS / "minidfs", "namenode"], env=environment, stdout=log, stderr=log
        )
        while True:
            try:
                with connect(self.home / "cluster.toml", timeout=PATIENCE_S) as fs:
                    fs.stat(path_of(0))
                    return time.perf_counter() - began
            except Unavailable:
                assert self.process.poll() is None, (self.home / "namenode.log").read_text()
                assert time.perf_counter() - began < PATIENCE_S, "the namenode does not answer"

    def stop(self, number: signal.Signals) -> None:
        """End the process by this signal."""
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait()

    def stat_ms(self) -> float:
        """Median milliseconds of a stat, over files drawn with a fixed seed."""
        return statistics.median(self.stat_times(STATS, seed=7))

    def stat_times(self, stats: int, seed: int) -> list[float]:
        """Milliseconds of each of so many stats, one after the other."""
        rng = random.Random(seed)
        times = []
        with connect(self.home / "cluster.toml") as fs:
            for _ in range(stats):
                path = path_of(rng.randrange(self.files))
                began = time.perf_counter()
                fs.stat(path)
                times.append(1000 * (time.perf_counter() - began))
        return times

    def memory(self) -> str:
        """Resident MiB, and how much of it is the process's own (not pages of a file)."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        fields = dict(line.split(":", 1) for line in status.splitlines())
        own, mapped = (int(fields[name].split()[0]) // 1024 for name in ("RssAnon", "RssFile"))
        return f"{own + mapped} MiB, {own} of them its own"

    def status(self) -> Status:
        """What the namenode says of the cluster."""
        with connect(self.home / "cluster.toml", timeout=PATIENCE_S) as fs:
            status = fs.run(fs.namenode.ask(GetStatus()))
        assert isinstance(status, Status)
        return status

    @contextmanager
    def reported(self) -> Iterator[float]:
        """Three datanodes have reported all chunks, and live: the seconds that the reports took."""
        chunks = self.files * self.chunks
        command = [sys.executable, "-m", "benchmarks.fake_datanode", str(self.home)]
        fakes = [
            subprocess.Popen([*command, node, str(chunks)], stdout=subprocess.PIPE)
            for node in NODES
        ]
        try:
            for fake in fakes:
                assert fake.stdout is not None
                assert fake.stdout.readline() == b"ready\n"
            began = time.perf_counter()
            while sum(node.replicas for node in self.status().nodes) < len(NODES) * chunks:
                assert time.perf_counter() - began < PATIENCE_S, self.status()
                time.sleep(LOOK_S)
            yield time.perf_counter() - began
        finally:
            for fake in fakes:
                fake.kill()
                fake.wait()

    def end_safe_mode(self) -> None:
        """Do not wait for datanodes any longer."""
        with connect(self.home / "cluster.toml", timeout=PATIENCE_S) as fs:
            fs.run(fs.namenode.ask(SetSafeMode("off")))

    def wait_for_walk(self) -> None:
        """Wait until there is no chunk to look at, and none is thought to lack anything."""
        began = time.perf_counter()
        while (status := self.status()).walking:
            assert time.perf_counter() - began < WALK_PATIENCE_S, status
            time.sleep(LOOK_S)
        assert status.chunks == self.files * self.chunks, status
        assert not status.missing, status
        assert not status.under_replicated, status
