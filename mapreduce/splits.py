"""Splits: the plan of a job's maps.

A pure function of the inputs' order and sizes and of `split_bytes`, never of nodes or of where
replicas lie, so that every runner makes the same maps. A split is a chunk of a DFS file, so
that a map reads one replica; of a local file it is 64 MiB. An empty file is one empty split:
every input has a map, and a job has at least one. Formats that want whole files get them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from mapreduce.job import FileSplit

LOCAL_SPLIT_BYTES = 64 << 20


class InputFile(msgspec.Struct, frozen=True):
    """A file to read; `chunk_bytes` is its chunk size, or LOCAL_SPLIT_BYTES."""

    path: str
    size_bytes: int
    chunk_bytes: int = LOCAL_SPLIT_BYTES


def plan_splits(
    files: Iterable[InputFile], split_bytes: int = 0, *, whole_files: bool = False, number: int = 0
) -> Iterator[FileSplit]:
    """The splits of files in order; `split_bytes` 0 stands for each file's chunk size. They
    belong to the job's input of this number."""
    for file in files:
        step = max(file.size_bytes, 1) if whole_files else split_bytes or file.chunk_bytes
        for start in range(0, file.size_bytes or 1, step):
            length = min(step, file.size_bytes - start)
            yield FileSplit(file.path, start, length, file.size_bytes, number)
