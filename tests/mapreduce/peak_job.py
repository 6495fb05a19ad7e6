"""Jobs whose tasks tell the most memory that they held."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mapreduce as mr

MAPS = "maps"


def peak_mib() -> int:
    """The most that this process ever had resident."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmHWM:"))
    return int(line.split()[1]) >> 10


class OneKey(mr.Job):
    """Each line, a number, makes a thousand values of one key, each of `value_bytes`."""

    partitions = 1
    value_bytes: int = mr.param(150)

    def mapper(self, key: Any, line: str) -> Iterator[tuple[str, str]]:
        """The values."""
        rest = "x" * (self.value_bytes - 7)
        for value in range(int(line) * 1000, int(line) * 1000 + 1000):
            yield "key", f"{value:07}{rest}"

    def mapper_final(self) -> Iterator[tuple[str, str]]:
        """What the map needed."""
        yield MAPS, f"{peak_mib():07}"

    def reducer(self, key: str, values: Iterator[str]) -> Iterator[tuple[str, int]]:
        """How many values there are, which are counted and not kept, and the last one."""
        count, value = 0, ""
        for count, value in enumerate(values, 1):  # noqa: B007
            pass
        yield (MAPS if key == MAPS else "count"), count
        yield (f"{MAPS} last" if key == MAPS else "last"), int(value[:7])

    def reducer_final(self) -> Iterator[tuple[str, int]]:
        """What the reduce needed."""
        yield "reduce", peak_mib()


class OneGroup(OneKey):
    """The same as one group of many keys, its values sorted downwards."""

    def group_key(self, key: str) -> str:
        """All but the number."""
        return key.partition(":")[0]

    def sort_values(self, value: str) -> int:
        """The largest first."""
        return -int(value[:7])

    def mapper(self, key: Any, line: str) -> Iterator[tuple[str, str]]:
        """The values under a key for each thousand."""
        return ((f"key:{line}", value) for _, value in super().mapper(key, line))
