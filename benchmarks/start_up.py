"""How long one waits for a cluster, and for the smallest command."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from statistics import median

from benchmarks.cluster import Cluster, timed
from benchmarks.report import Row


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
