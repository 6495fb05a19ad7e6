"""``python -m benchmarks.scale [--write]``: much metadata, much data, and a node that is lost.

A namenode with a million files and ten million chunks: ``big_namespace`` makes its folder and three
``fake_datanode`` report every chunk. Measured: time from start to the first answer, after a clean
stop and after ``kill -9``; time of ``stat`` beside that with a thousand files; resident memory a
minute after all reports are in, when chunks were looked at. Then what ``recovery`` measures. It
needs 14 GB of disk and 12 GB of memory, these for the datanodes that make the reports.
``--latency`` measures what ``latency`` does instead, and needs as much.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.generate import make_inputs
from benchmarks.latency import ROUNDS, small_changes, stat_beside_small
from benchmarks.namenodes import BigNamenode
from benchmarks.recovery import huge_put, lost_node
from benchmarks.report import Row, render, write_page

COMMAND = "python -m benchmarks.scale"
LATENCY = f"{COMMAND} --latency"
HUGE_BYTES = 10_000_000_000
SWEEP_S = 60


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
        with big.reported() as seconds:
            time.sleep(SWEEP_S)
            memory = big.memory()
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
    parser.add_argument("--latency", action="store_true", help="only latencies, side by side")
    parser.add_argument("--write", action="store_true", help="update docs/benchmarks.md")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    folder: Path = options.folder
    if options.latency:
        found = []
        for part in (
            small_changes(folder),
            stat_beside_small(folder, options.files, options.chunks),
        ):
            for row in part:
                found.append(row)
                sys.stderr.write(f"{row.what}: {row.figure} {row.beside}\n")
        report(found, LATENCY, ROUNDS, write=options.write)
        return
    text = make_inputs(folder / "minidfs-inputs", ["text256.txt"])["text256.txt"]
    rows = [
        *measure(folder, options.files, options.chunks),
        *lost_node(folder, text),
        *huge_put(folder, HUGE_BYTES),
    ]
    report(rows, COMMAND, 1, write=options.write)


def report(rows: list[Row], command: str, runs: int, *, write: bool) -> None:
    """Print the table, and put it into its page."""
    table = render(rows, command, runs)
    sys.stdout.write(table + "\n")
    if write:
        write_page(table, command)


if __name__ == "__main__":
    main()
