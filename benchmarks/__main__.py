"""``python -m benchmarks [--quick] [--write]``: storage, start-up, and what the daemons hold.

``--quick`` takes inputs of 32 MB and ends within two minutes. ``--write`` puts the
table into docs/benchmarks.md. ``--folder`` names where inputs are kept and clusters
live (default: the system's folder for temporary files); it needs 12 GB.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.cluster import Cluster
from benchmarks.generate import make_inputs
from benchmarks.report import Row, render, write_page
from benchmarks.start_up import start_up
from benchmarks.storage import large, small


def measure(folder: Path, quick: bool, runs: int) -> list[Row]:
    """All figures, in the order of the page."""
    name = "text32.txt" if quick else "text1g.txt"
    inputs = make_inputs(folder / "minidfs-inputs", [name])
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(dir=folder) as scratch, Cluster(3, folder) as cluster:
        work = Path(scratch)
        for part in (
            start_up(cluster, runs),
            large(cluster, inputs[name], work, runs),
            small(cluster, 400 if quick else 4000, runs),
        ):
            for row in part:
                rows.append(row)
                sys.stderr.write(f"{row.what}: {row.figure} {row.beside}\n")
        for role, peak in sorted(cluster.peaks_mib().items()):
            rows.append(Row(f"peak memory of {role}", f"{peak:.0f} MiB", "after all of the above"))
    return rows


def main() -> None:
    """Parse the options, measure, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="32 MB inputs, under two minutes")
    parser.add_argument("--write", action="store_true", help="update docs/benchmarks.md")
    parser.add_argument("--runs", type=int, default=3, help="runs of each figure (default 3)")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    rows = measure(options.folder, options.quick, options.runs)
    command = "python -m benchmarks" + (" --quick" if options.quick else "")
    table = render(rows, command, options.runs)
    sys.stdout.write(table + "\n")
    if options.write:
        write_page(table, "python -m benchmarks")


if __name__ == "__main__":
    main()
