"""The work of jobs with a process pool, written by hand: no spill, no recovery, one machine.

``python -m benchmarks.peers.pool {wc|wcfn|grep|index|join|sort} OUT INPUT...``

``wc`` counts the words of each line with ``Counter.update``; ``wcfn`` calls a generator per line
and adds up what it yields, as a framework must. ``grep`` writes the lines that match, ``index``
each word with the files it is in, ``join`` the pairs of lines of two files with the same first
column (one side in memory), ``sort`` the lines in order (four sorted files, then a merge).
"""

from __future__ import annotations

import heapq
import itertools
import multiprocessing
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from multiprocessing.pool import Pool
from pathlib import Path

PROCESSES = 2
BLOCK_BYTES = 4 << 20
GREP_PIECES = 16
SORTED_PIECES = 4
PATTERN = r"\b[zq]\w+(?:ed|or)\b"

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


def matching(split: Split) -> list[str]:
    """The lines of a piece that match."""
    search = re.compile(PATTERN).search
    return [line for line in lines(split) if search(line)]


def words(path: str) -> tuple[str, set[str]]:
    """The different words of a file."""
    found: set[str] = set()
    for line in lines((path, 0, os.path.getsize(path))):
        found.update(line.split())
    return os.path.basename(path), found


def join_part(order: tuple[int, str, str, str]) -> None:
    """The pairs of one half of the keys, into a file."""
    part, left, right, out = order
    rows = {}
    with open(left) as table:
        for line in table:
            key, _, value = line.rstrip("\n").partition("\t")
            if hash(key) % PROCESSES == part:
                rows[key] = value
    with open(right) as table, open(out, "w") as file:
        for line in table:
            key, _, value = line.rstrip("\n").partition("\t")
            if hash(key) % PROCESSES == part and key in rows:
                file.write(f"{key}\t{rows[key]}\t{value}\n")


def sort_piece(order: tuple[Split, str]) -> None:
    """The lines of a piece in order, into a file."""
    (path, start, end), out = order
    with open(path, "rb") as file:
        file.seek(start)
        found = file.read(end - start).splitlines(keepends=True)
    found.sort()
    with open(out, "wb") as file:
        file.writelines(found)


def _counted(
    pool: Pool, count: Callable[[Split], dict[str, int]], inputs: Iterable[str]
) -> Iterator[str]:
    total: dict[str, int] = {}
    for path in inputs:
        for counts in pool.imap_unordered(count, splits(path, PROCESSES)):
            for word, n in counts.items():
                total[word] = total.get(word, 0) + n
    return (f"{word}\t{n}\n" for word, n in total.items())


def _indexed(pool: Pool, inputs: Iterable[str]) -> Iterator[str]:
    index: dict[str, list[str]] = {}
    for name, found in pool.imap_unordered(words, inputs):
        for word in found:
            index.setdefault(word, []).append(name)
    return (f"{word}\t{','.join(sorted(names))}\n" for word, names in index.items())


def _found(pool: Pool, inputs: Iterable[str]) -> Iterator[str]:
    pieces = [split for path in inputs for split in splits(path, GREP_PIECES)]
    for matches in pool.imap_unordered(matching, pieces):
        yield from (f"{line}\n" for line in matches)


def _join(pool: Pool, out: str, left: str, right: str) -> None:
    outs = [f"{out}.{part}" for part in range(PROCESSES)]
    pool.map(join_part, [(part, left, right, name) for part, name in enumerate(outs)])


def _sort(pool: Pool, out: str, path: str) -> None:
    pieces = [(split, f"{out}.{at}") for at, split in enumerate(splits(path, SORTED_PIECES))]
    pool.map(sort_piece, pieces, 1)
    with open(out, "wb") as file, ExitStack() as stack:
        file.writelines(heapq.merge(*(stack.enter_context(open(run, "rb")) for _, run in pieces)))
    for _, run in pieces:
        os.unlink(run)


def main(job: str, out: str, *inputs: str) -> None:
    """Do a job's work into ``out``; ``join`` leaves a file for each process beside it."""
    # A fork, so that all processes hash strings alike.
    with multiprocessing.get_context("fork").Pool(PROCESSES) as pool:
        if job == "join":
            _join(pool, out, *inputs)
            return
        if job == "sort":
            _sort(pool, out, *inputs)
            return
        match job:
            case "wc":
                found = _counted(pool, count_lines, inputs)
            case "wcfn":
                found = _counted(pool, count_pairs, inputs)
            case "grep":
                found = _found(pool, inputs)
            case "index":
                found = _indexed(pool, inputs)
            case _:
                sys.exit(f"no work is called {job!r}")
        with Path(out).open("w") as file:
            file.writelines(found)


if __name__ == "__main__":
    main(*sys.argv[1:])
