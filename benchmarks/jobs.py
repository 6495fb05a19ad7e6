"""Word count beside a process pool that does the same by hand, and the time of a tiny job."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.cluster import Cluster, timed
from benchmarks.report import Row

WORDCOUNT = Path(__file__).parents[1] / "examples" / "wordcount.py"


def wordcount(cluster: Cluster, source: Path, folder: Path, runs: int) -> Iterator[Row]:
    """A generator per line and a combiner, input and output in the DFS, in turn with the pool."""
    size = source.stat().st_size
    cluster.minidfs("put", "-f", source, "/text")
    ours, ratios = [], []
    for _ in range(runs):
        pool = timed(
            sys.executable, "-m", "benchmarks.peers.pool", "wcfn", folder / "counts", source
        )
        job = cluster.minimr(
            "run", WORDCOUNT, "/text", "-o", "/counts", "--overwrite", "-n", "4", "--no-fold"
        )
        ours.append(job.seconds)
        ratios.append(job.seconds / pool.seconds)
    (folder / "counts").unlink()
    rate = f"{median(ours):.1f} s, {size / median(ours) / 1e6:.1f} MB/s"
    yield Row(
        f"word count of {size / 1e6:.0f} MB",
        rate,
        f"{median(ratios):.2f} × the time of a pool of 2 processes, nothing spilled",
    )
    cluster.minidfs("rm", "-r", "/counts", "/text")


def tiny(cluster: Cluster, folder: Path, runs: int) -> Iterator[Row]:
    """Three files of a hundred bytes on a running cluster, command included."""
    names = []
    for at in range(3):
        path = folder / f"tiny{at}.txt"
        path.write_text("the quick brown fox\n" * 5)
        names.append(path)
    cluster.minidfs("put", *names, "/tiny/")
    times = [
        cluster.minimr("run", WORDCOUNT, "/tiny", "-o", "/tiny-out", "--overwrite").seconds
        for _ in range(runs)
    ]
    yield Row("a tiny job, command included", f"{median(times):.2f} s", "")
    for path in names:
        path.unlink()
    cluster.minidfs("rm", "-r", "/tiny", "/tiny-out")


def start_up(cluster: Cluster, runs: int) -> Iterator[Row]:
    """``up`` as it was at the start, and ``ls`` beside a bare interpreter."""
    yield Row("minidfs up, 3 nodes, new home", f"{cluster.up_seconds:.2f} s", "")
    pairs = [
        (cluster.minidfs("ls", "/").seconds, timed(sys.executable, "-c", "pass").seconds)
        for _ in range(runs)
    ]
    times = median(ours for ours, _ in pairs)
    ratio = median(ours / bare for ours, bare in pairs)
    yield Row("minidfs ls", f"{times:.3f} s", f"{ratio:.1f} × a bare interpreter's start")
