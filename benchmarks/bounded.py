"""``python -m benchmarks.bounded [--quick] [--write]``: jobs far larger than their memory.

A shuffle ten times larger than all the memory that its tasks may have, a key with a hundred million
values, a line of 50 MB, 10,000 small inputs, 1,000 partitions: each on a cluster of one node of its
own, so that the peaks of its daemons are those of this job. A task over its memory would be killed
and the job fail. ``--quick`` takes a tenth or less of everything. Needs 14 GB of disk.
"""

from __future__ import annotations

import argparse
import base64
import os
import random
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bounded_jobs import VALUES_PER_LINE
from benchmarks.cluster import Cluster, Timed
from benchmarks.memory import PROC, held_mib, parent_of
from benchmarks.report import Row, render, write_page

COMMAND = "python -m benchmarks.bounded"
JOBS = Path(__file__).parent / "bounded_jobs.py"
WORDCOUNT = Path(__file__).parents[1] / "examples" / "wordcount.py"
LOOK_EVERY_S = 0.2
TASK_MEMORY_MB = 160
SLOTS = os.cpu_count() or 1
LINE_BYTES = 77
LONG_LINE_BYTES = 50_000_000


@dataclass(frozen=True)
class Scale:
    """How much of everything."""

    times_the_memory: int
    values: int
    long_lines: int
    inputs: int
    partitions: int
    partitioned_bytes: int


FULL = Scale(10, 100_000_000, 1, 10_000, 1000, 250_000_000)
QUICK = Scale(1, 5_000_000, 1, 300, 100, 25_000_000)


class TaskPeak:
    """Looks, from a thread of its own, for the most memory (PSS) that one task's processes hold."""

    def __init__(self, worker: int) -> None:
        self._worker = worker
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.peak_mib = 0.0

    def __enter__(self) -> TaskPeak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(LOOK_EVERY_S):
            pids = [int(entry.name) for entry in PROC.glob("[0-9]*")]
            tasks = [pid for pid in pids if parent_of(pid) == self._worker]
            self.peak_mib = max([self.peak_mib, *(held_mib([task]) for task in tasks)])


def run(
    folder: Path, what: str, fill: Callable[[Path], str], job: tuple[str | Path, ...]
) -> Iterator[Row]:
    """Run one job on a new cluster. `fill` makes its inputs in a folder and says how many."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch, Cluster(1, folder) as cluster:
        inputs = Path(scratch) / "in"
        inputs.mkdir()
        size = fill(inputs)
        cluster.minidfs("put", "-r", inputs, "/in")
        pids = cluster.pids()
        before = sum(map(cpu_seconds, pids.values()))
        with TaskPeak(pids["worker-1"]) as tasks:
            done: Timed = cluster.minimr("run", *job, "/in", "-o", "/out")
        cpu = sum(map(cpu_seconds, pids.values())) - before
        peaks = cluster.peaks_mib()
    beside = (
        f"{size}; most memory of a task {tasks.peak_mib:.0f} MiB, worker"
        f" {peaks['worker-1']:.0f}, namenode {peaks['namenode']:.0f}"
    )
    yield Row(what, f"{done.seconds:.0f} s, {cpu:.0f} s of CPU", beside)


def cpu_seconds(pid: int) -> float:
    """What a process and those of its children that have ended used so far."""
    stat = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return sum(map(int, stat[11:15])) / os.sysconf("SC_CLK_TCK")


def random_lines(path: Path, size_bytes: int, seed: int) -> None:
    """Lines of text that does not compress."""
    source = random.Random(seed)
    with path.open("wb") as file:
        for _ in range(size_bytes // (LINE_BYTES * 10_000) + 1):
            file.write(base64.encodebytes(source.randbytes(57 * 10_000)))


def large_shuffle(folder: Path, scale: Scale) -> Iterator[Row]:
    """Every byte of the input is shuffled."""
    allowed = SLOTS * TASK_MEMORY_MB * 1_000_000
    size = scale.times_the_memory * allowed

    def fill(inputs: Path) -> str:
        for number in range(10):
            random_lines(inputs / f"{number}.txt", size // 10, number)
        return f"{size / 1e9:.1f} GB; {SLOTS} tasks at a time, {TASK_MEMORY_MB} MB each"

    what = f"shuffle of {scale.times_the_memory} × the memory of all tasks"
    memory = ("--task-memory", f"{TASK_MEMORY_MB}M", "-D", "spill_bytes=8M")
    yield from run(folder, what, fill, (f"{JOBS}:Scatter", *memory))


def one_key(folder: Path, scale: Scale) -> Iterator[Row]:
    """One reduce sees all values, in order."""

    def fill(inputs: Path) -> str:
        lines = scale.values // VALUES_PER_LINE
        for number in range(4):
            some = range(number * lines // 4, (number + 1) * lines // 4)
            (inputs / f"{number}.txt").write_text("".join(f"{n}\n" for n in some))
        return "4 maps, 1 reduce, 160 MB each"

    options = ("-n", "1", "--task-memory", "160M", "-D", "spill_bytes=8M")
    what = f"a key with {scale.values:,} values"
    yield from run(folder, what, fill, (f"{JOBS}:OneKey", *options))


def long_lines(folder: Path, scale: Scale) -> Iterator[Row]:
    """A line among short ones, through map, shuffle and reduce."""

    def fill(inputs: Path) -> str:
        with (inputs / "long.txt").open("wb") as file:
            file.write(b"short\n" + b"x" * LONG_LINE_BYTES + b"\nshort\n")
        return "between two short ones"

    yield from run(folder, "a line of 50 MB", fill, (f"{JOBS}:Lengths",))


def many_inputs(folder: Path, scale: Scale) -> Iterator[Row]:
    """A map for each."""

    def fill(inputs: Path) -> str:
        source = random.Random(1)
        words = ["".join(source.choices("abcdefgh", k=5)) for _ in range(5000)]
        for number in range(scale.inputs):
            text = "\n".join(" ".join(source.choices(words, k=10)) for _ in range(68))
            (inputs / f"{number:05d}.txt").write_text(text)
        return "4 KB each, word count, a map for each"

    yield from run(folder, f"{scale.inputs:,} inputs", fill, (WORDCOUNT,))


def many_partitions(folder: Path, scale: Scale) -> Iterator[Row]:
    """A reduce for each, and a part."""

    def fill(inputs: Path) -> str:
        random_lines(inputs / "in.txt", scale.partitioned_bytes, 1)
        return f"{scale.partitioned_bytes / 1e6:.0f} MB"

    what = f"{scale.partitions:,} partitions"
    yield from run(folder, what, fill, (f"{JOBS}:Scatter", "-n", str(scale.partitions)))


def main() -> None:
    """Parse the options, measure, report."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth or less of everything")
    parser.add_argument("--write", action="store_true", help="update docs/benchmarks.md")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    rows = []
    for part in (large_shuffle, one_key, long_lines, many_inputs, many_partitions):
        for row in part(options.folder, QUICK if options.quick else FULL):
            rows.append(row)
            sys.stderr.write(f"{row.what}: {row.figure}: {row.beside}\n")
    table = render(rows, COMMAND + (" --quick" if options.quick else ""), 1)
    sys.stdout.write(table + "\n")
    if options.write:
        write_page(table, COMMAND)


if __name__ == "__main__":
    main()
