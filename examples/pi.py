"""Estimate pi by throwing points at a square: a job that computes more than it reads.

for seed in $(seq 100); do echo "$seed 1000000"; done > throws
minimr run examples/pi.py throws -D split_bytes=64

A quarter of a circle fills pi/4 of the square around it. Each line is work for one call of the
mapper; `split_bytes` cuts the little file into maps of a few lines, so that all cores have some.
The seed stands in the line: a task that runs again throws the same points.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import mapreduce as mr


class Pi(mr.Job):
    """Four times the share of points that lie in the circle."""

    partitions = 1

    def mapper(self, key: tuple[str, int], line: str) -> Iterator[tuple[None, tuple[int, int]]]:
        """Throw as many points as the line says; how many hit, and how many there were."""
        seed, points = map(int, line.split())
        throw = random.Random(seed).random
        hits = sum(throw() ** 2 + throw() ** 2 < 1 for _ in range(points))
        yield None, (hits, points)

    def reducer(self, _: None, throws: Iterator[tuple[int, int]]) -> Iterator[tuple[str, float]]:
        """One key, one call: the sum of all."""
        hits = total = 0
        for some_hits, points in throws:
            hits += some_hits
            total += points
        yield "pi", 4 * hits / total


if __name__ == "__main__":
    Pi.main()
