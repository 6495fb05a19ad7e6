"""``python -m benchmarks.jobs [--quick|--full] [--write]``: jobs beside a process pool.

Word count, grep, inverted index, join and sort, each with a Python function for each line, on a
cluster of three nodes here, in turn with ``benchmarks.peers.pool``, which does the same by hand
with two processes. Inputs lie in the DFS beforehand; times are of the whole command, its output
written three times and synced, that of the pool once and not. Both results are compared, once.
Memory is the most that all processes held together: of ours with client and daemons.
``--quick`` takes inputs of 7 to 32 MB, ``--full`` those of up to 1 GB.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.cluster import Cluster, Timed, timed
from benchmarks.generate import make_inputs
from benchmarks.memory import held_mib
from benchmarks.peers.pool import PATTERN
from benchmarks.report import Row, render, write_page

COMMAND = "python -m benchmarks.jobs"
HERE = Path(__file__).parent
EXAMPLES = HERE.parent / "examples"
SAME_WORK = HERE / "same_work.py"
TINY_RUNS = 5


@dataclass(frozen=True)
class Work:
    """One kind of work: the job and its options, the pool's name of it, its inputs by size.

    ``is_ordered``: the results are equal line by line, else as sets of lines. ``strips``: our lines
    begin with a column that the pool's lack.
    """

    name: str
    job: tuple[str | Path, ...]
    pool: str
    inputs: dict[str, str]
    is_ordered: bool = False
    strips: bool = False


WORKS = (
    Work(
        "word count",
        (f"{SAME_WORK}:WordCount",),
        "wcfn",
        {"quick": "text32.txt", "usual": "text256.txt", "full": "text256.txt"},
    ),
    Work(
        "grep",
        (EXAMPLES / "grep.py", "--pattern", PATTERN),
        "grep",
        {"quick": "text32.txt", "usual": "text256.txt", "full": "text256.txt"},
        strips=True,
    ),
    Work(
        "inverted index",
        (f"{SAME_WORK}:Index",),
        "index",
        {"quick": "index4", "usual": "index16", "full": "index64"},
    ),
    Work(
        "join",
        (EXAMPLES / "join.py",),
        "join",
        {"quick": "join100k", "usual": "join1m", "full": "join5m"},
    ),
    Work(
        "sort",
        (EXAMPLES / "sort.py",),
        "sort",
        {"quick": "sort10m.txt", "usual": "sort100m.txt", "full": "sort1g.txt"},
        is_ordered=True,
    ),
)


def compared(cluster: Cluster, work: Work, source: Path, folder: Path, runs: int) -> Iterator[Row]:
    """A job in turn with the pool."""
    files = sorted(source.iterdir()) if source.is_dir() else [source]
    size = sum(file.stat().st_size for file in files)
    cluster.minidfs("put", *files, "/in/")
    idle_mib = held_mib(cluster.trees())
    pools, ours = [], []
    for _ in range(runs):
        os.sync()
        pools.append(
            timed(*_pool(work.pool, folder / "pool", files), beside=())  # its own tree alone
        )
        os.sync()
        inputs = [f"/in/{file.name}" for file in files]
        options = ("-o", "/out", "--overwrite", "--progress", "none")
        ours.append(cluster.minimr("run", *work.job, *inputs, *options, beside=cluster.trees()))
    _check(cluster, work, folder)
    seconds = median(run.seconds for run in ours)
    yield Row(
        f"{work.name} of {size / 1e6:.0f} MB",
        f"{seconds:.1f} s, {size / seconds / 1e6:.1f} MB/s",
        _ratios(ours, pools),
    )
    yield Row(
        "… memory",
        f"{max(run.held_mib for run in ours):.0f} MiB",
        f"{idle_mib:.0f} of them before the job; pool {max(r.held_mib for r in pools):.0f} MiB",
    )
    yield Row("… moved", *_moved(cluster))
    cluster.minidfs("rm", "-r", "/in", "/out")


def _pool(job: str, out: Path, files: Iterable[Path]) -> list[str | Path]:
    return [sys.executable, "-m", "benchmarks.peers.pool", job, out, *files]


def _ratios(ours: list[Timed], pools: list[Timed]) -> str:
    ratios = [own.seconds / other.seconds for own, other in zip(ours, pools, strict=True)]
    took = median(run.seconds for run in pools)
    rounds = f"rounds {min(ratios):.2f} to {max(ratios):.2f}"
    return f"{median(ratios):.2f} × a pool of 2 processes ({took:.1f} s); {rounds}"


def _moved(cluster: Cluster) -> tuple[str, str]:
    """What the last job moved, and where it ran."""
    report: dict[str, Any] = json.loads(cluster.minimr("status", "@last", "--json").output)
    sizes = report["counters"]["bytes"]
    shuffled = sizes["map_output"] if report["reduces"]["total"] else 0
    maps, near = report["maps"]["total"], report["locality"]["node"]
    return (
        f"{shuffled / 1e6:.1f} MB shuffled, {sizes.get('spilled', 0) / 1e6:.1f} spilled",
        f"{near} of {maps} maps on a node that holds their input",
    )


def _check(cluster: Cluster, work: Work, folder: Path) -> None:
    """Compare the results, and remove the pool's; a difference ends the benchmark."""
    theirs = sorted(folder.glob("pool*"))
    cluster.minidfs("get", "/out/part-*", f"{folder}/")
    parts = sorted(folder.glob("part-*"))
    own_lines = _lines(parts, cut=work.strips)
    if work.is_ordered:
        same = all(a == b for a, b in zip_longest(own_lines, _lines(theirs)))
    else:
        same = Counter(map(hash, own_lines)) == Counter(map(hash, _lines(theirs)))
    if not same:
        sys.exit(f"{work.name}: the job and the pool disagree")
    for file in (*theirs, *parts):
        file.unlink()


def _lines(files: Iterable[Path], *, cut: bool = False) -> Iterator[bytes]:
    for path in files:
        with path.open("rb") as file:
            for line in file:
                yield line.partition(b"\t")[2] if cut else line


def tiny(cluster: Cluster, folder: Path, runs: int) -> Iterator[Row]:
    """Three files of a hundred bytes on a running cluster, command included."""
    names = []
    for at in range(3):
        path = folder / f"tiny{at}.txt"
        path.write_text("the quick brown fox\n" * 5)
        names.append(path)
    cluster.minidfs("put", *names, "/in/")
    options = ("-o", "/out", "--overwrite")
    times, bare = [], []
    for _ in range(runs):
        times.append(cluster.minimr("run", f"{SAME_WORK}:WordCount", "/in", *options).seconds)
        bare.append(timed(*_pool("wcfn", folder / "pool", names)).seconds)
    yield Row(
        "a tiny job, command included",
        f"{median(times):.2f} s",
        f"{min(times):.2f} to {max(times):.2f} s; the pool {median(bare):.2f} s",
    )
    cluster.minidfs("rm", "-r", "/in", "/out")


def measure(folder: Path, size: str, runs: int) -> Iterator[Row]:
    """All figures, in the order of the page."""
    names = [work.inputs[size] for work in WORKS]
    inputs = make_inputs(folder / "minidfs-inputs", names)
    with tempfile.TemporaryDirectory(dir=folder) as scratch, Cluster(3, folder) as cluster:
        for work in WORKS:
            yield from compared(cluster, work, inputs[work.inputs[size]], Path(scratch), runs)
        yield from tiny(cluster, Path(scratch), TINY_RUNS)


def main() -> None:
    """Parse the options, measure, report."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    sizes = parser.add_mutually_exclusive_group()
    for size in ("quick", "full"):
        sizes.add_argument(f"--{size}", dest="size", action="store_const", const=size)
    parser.add_argument("--write", action="store_true", help="update docs/benchmarks.md")
    parser.add_argument("--runs", type=int, default=3, help="runs of each figure (default 3)")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    rows = []
    for row in measure(options.folder, options.size or "usual", options.runs):
        rows.append(row)
        sys.stderr.write(f"{row.what}: {row.figure} {row.beside}\n")
    command = COMMAND + (f" --{options.size}" if options.size else "")
    table = render(rows, command, options.runs)
    sys.stdout.write(table + "\n")
    if options.write:
        write_page(table, COMMAND)


if __name__ == "__main__":
    main()
