"""Word count with a process pool, written by hand: no spill, no shuffle, no recovery.

``python -m benchmarks.peers.pool {wc|wcfn} OUT INPUT...``

``wc`` counts each line with ``Counter.update``; ``wcfn`` calls a generator per line and
adds up what it yields, as a framework must. Prints distinct words and their total.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

PROCESSES = 2
BLOCK_BYTES = 4 << 20

Split = tuple[str, int, int]


def splits(path: str, count: int) -> list[Split]:
    """A file cut at line ends into ``count`` pieces."""
    size = os.path.getsize(path)
    cuts = [0]
    with open(path, "rb") as file:
        for part in range(1, count):
            file.seek(size * part // count)
            file.readline()
            cuts.append(file.tell())
    cuts.append(size)
    return [(path, start, end) for start, end in itertools.pairwise(cuts)]


def lines(split: Split) -> Iterator[str]:
    """The lines of a piece."""
    path, at, end = split
    with open(path, "rb") as file:
        file.seek(at)
        while at < end:
            block = file.read(min(BLOCK_BYTES, end - at))
            if at + len(block) < end:
                block += file.readline()
            at += len(block)
            yield from block.decode().splitlines()


def count_lines(split: Split) -> dict[str, int]:
    """Counts of a piece, a line at a time."""
    counts: Counter[str] = Counter()
    for line in lines(split):
        counts.update(line.split())
    return counts


def pairs(line: str) -> Iterator[tuple[str, int]]:
    """What a mapper yields."""
    for word in line.split():
        yield word, 1


def count_pairs(split: Split) -> dict[str, int]:
    """Counts of a piece, a function call per line."""
    counts: dict[str, int] = {}
    get = counts.get
    for line in lines(split):
        for word, n in pairs(line):
            counts[word] = get(word, 0) + n
    return counts


TASKS: dict[str, Callable[[Split], dict[str, int]]] = {"wc": count_lines, "wcfn": count_pairs}


def main(job: str, out: str, *inputs: str) -> None:
    """Count the words of all inputs into ``out``."""
    total: dict[str, int] = {}
    with multiprocessing.Pool(PROCESSES) as pool:
        for path in inputs:
            for counts in pool.imap_unordered(TASKS[job], splits(path, PROCESSES)):
                for word, n in counts.items():
                    total[word] = total.get(word, 0) + n
    with Path(out).open("w") as file:
        file.writelines(f"{word}\t{n}\n" for word, n in total.items())
    sys.stdout.write(f"{len(total)} {sum(total.values())}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
