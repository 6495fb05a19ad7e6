"""`TotalOrder`: partitions in the order of the keys, so that the parts together are sorted.

Partition 0 has the keys below the first cut point, partition 1 those below the second, and so
on. The cut points are canonical bytes (`mapreduce.shuffle.keys`) chosen from a sample of the keys
before the job begins (`mapreduce.runners.sampling`), the same for all its tasks. A cut is as
short as it can be: it need not be a key, only lie between two.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from dfs.errors import BadArgument
from mapreduce.limits import CUTS_MAX_BYTES
from mapreduce.shuffle.keys import encode


class TotalOrder:
    """As a job's `partition`: keys rise from each part to the next."""

    def __init__(self, cuts: Sequence[bytes] = ()) -> None:
        self._cuts = cuts

    def __call__(self, key: Any, partitions: int) -> int:
        """The partition of a canonical key."""
        return bisect_right(self._cuts, encode(key))


def is_total_order(partition: object) -> bool:
    """Is a step's `partition` this, as a class or an instance?"""
    return partition is TotalOrder or isinstance(partition, TotalOrder)


def cut_points(sample: list[bytes], partitions: int) -> tuple[bytes, ...]:
    """At most `partitions` - 1 rising cut points that divide the sample evenly.

    A key that would fill several partitions gets one, so there can be fewer. Raises BadArgument
    if they take too many bytes.
    """
    sample = sorted(sample)
    cuts: list[bytes] = []
    at = bisect_right(sample, sample[0]) if sample else 0
    for number in range(1, partitions):
        at = max(at, number * len(sample) // partitions)
        if at >= len(sample):
            break
        low = sample[bisect_left(sample, sample[at]) - 1]
        cuts.append(_between(low, sample[at]))
        at = bisect_right(sample, sample[at])
    if sum(map(len, cuts)) > CUTS_MAX_BYTES:
        raise BadArgument(
            f"TotalOrder: the cut points of {partitions} partitions take more than"
            f" {CUTS_MAX_BYTES >> 10}K: use fewer partitions"
        )
    return tuple(cuts)


def _between(low: bytes, high: bytes) -> bytes:
    """The shortest beginning of `high` that is above `low`."""
    equal = takewhile(lambda pair: pair[0] == pair[1], zip(low, high, strict=False))
    common = sum(1 for _ in equal)
    return high[: common + 1]
