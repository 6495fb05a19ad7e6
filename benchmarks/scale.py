"""``python -m benchmarks.scale [--write]``: much metadata, much data, and a node that is lost.

A namenode with a million files and ten million chunks: ``big_namespace`` makes its folder and three
``fake_datanode`` report every chunk. Measured: time from start to the first answer, after a clean
stop and after ``kill -9``; time of ``stat`` beside that with a thousand files; resident memory a
minute after all reports are in, when chunks were looked at. Then what ``recovery`` measures. It
needs 14 GB of disk and 12 GB of memory, these for the datanodes that make the reports.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.big_namespace import CLUSTER, NODES, make, path_of
from benchmarks.cluster import SCRIPTS
from benchmarks.generate import make_inputs
from benchmarks.recovery import huge_put, lost_node
from benchmarks.report import Row, render, write_page
from dfs import connect
from dfs.errors import Unavailable
from dfs.wire.namespace import GetStatus, Status

COMMAND = "python -m benchmarks.scale"
HUGE_BYTES = 10_000_000_000
STATS = 2000
PATIENCE_S = 900
LOOK_S = 0.1
SWEEP_S = 60
CONFIG = """[cluster]
id = "{cluster}"
[namenode]
address = "127.0.0.1:{port}"
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
        rng = random.Random(7)
        times = []
        with connect(self.home / "cluster.toml") as fs:
            for _ in range(STATS):
                path = path_of(rng.randrange(self.files))
                began = time.perf_counter()
                fs.stat(path)
                times.append(time.perf_counter() - began)
        return 1000 * statistics.median(times)

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


def report_all(namenode: BigNamenode) -> tuple[float, str]:
    """Let three datanodes report all chunks; seconds until they have, and memory after a minute."""
    chunks = namenode.files * namenode.chunks
    command = [sys.executable, "-m", "benchmarks.fake_datanode", str(namenode.home)]
    fakes = [
        subprocess.Popen([*command, node, str(chunks)], stdout=subprocess.PIPE) for node in NODES
    ]
    try:
        for fake in fakes:
            assert fake.stdout is not None
            assert fake.stdout.readline() == b"ready\n"
        began = time.perf_counter()
        while sum(node.replicas for node in namenode.status().nodes) < len(NODES) * chunks:
            assert time.perf_counter() - began < PATIENCE_S, namenode.status()
            time.sleep(LOOK_S)
        seconds = time.perf_counter() - began
        time.sleep(SWEEP_S)
        return seconds, namenode.memory()
    finally:
        for fake in fakes:
            fake.kill()
            fake.wait()


def measure(folder: Path, files: int, chunks: int) -> list[Row]:
    """All figures."""
    rows = []
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        small = BigNamenode(Path(scratch) / "small", 1000, chunks, 19861)
        small.make()
        small.start()
        small_ms = small.stat_ms()
        small.stop(signal.SIGTERM)
        big = BigNamenode(Path(scratch) / "big", files, chunks, 19862)
        big.make()
        what = f"{files:,} files, {files * chunks:,} chunks"
        rows.append(Row(f"start to first answer, {what}", f"{big.start():.1f} s", "clean stop"))
        seconds, memory = report_all(big)
        rows.append(Row("reports of 3 nodes with all of them", f"{seconds:.1f} s", ""))
        rows.append(Row("resident memory of that namenode", memory, "a minute later"))
        ms = big.stat_ms()
        rows.append(Row("stat", f"{ms:.3f} ms", f"{ms / small_ms:.2f} × with 1,000 files"))
        big.stop(signal.SIGKILL)
        rows.append(Row("start to first answer", f"{big.start():.1f} s", "after kill -9"))
        big.stop(signal.SIGTERM)
    return rows


def main() -> None:
    """Parse the options, measure, report."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--chunks", type=int, default=10, help="chunks of each file")
    parser.add_argument("--write", action="store_true", help="update docs/benchmarks.md")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    folder: Path = options.folder
    text = make_inputs(folder / "minidfs-inputs", ["text256.txt"])["text256.txt"]
    rows = [
        *measure(folder, options.files, options.chunks),
        *lost_node(folder, text),
        *huge_put(folder, HUGE_BYTES),
    ]
    table = render(rows, COMMAND, 1)
    sys.stdout.write(table + "\n")
    if options.write:
        write_page(table, COMMAND)


if __name__ == "__main__":
    main()
