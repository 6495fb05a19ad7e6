"""Inputs of the benchmarks, the same bytes on every machine (numpy's PCG64, fixed seeds).

Text is drawn from 200,000 made-up words with Zipf-Mandelbrot frequencies,
p(r) ~ 1 / (r + 2.7)^1.05, about 80 bytes a line; every hundredth word is not ASCII.

``index16`` is a folder of 16 such texts. ``sort100m.txt`` has lines of 100 bytes like those of
gensort -a: 10 random printable characters, the number of the row, filler. ``join1m`` is a folder
of two tables of a million lines of 33 bytes: ``a.tsv`` has every key once, ``b.tsv`` any key any
number of times.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

WORDS = 200_000
BATCH_WORDS = 4_000_000
LINE_BYTES = 80
VOWELS, VOWEL_WEIGHTS = "aeiou", [8.2, 12.7, 7.0, 7.5, 2.8]
CONSONANTS = "bcdfghjklmnpqrstvwxyz"
CONSONANT_WEIGHTS = [
    1.5, 2.8, 4.3, 2.2, 2, 6.1, 0.15, 0.77, 4, 2.4, 6.7,
    1.9, 0.1, 6, 6.3, 9.1, 0.98, 2.4, 0.15, 2, 0.07,
]  # fmt: skip
SEEDS = {"text32.txt": 4, "text256.txt": 2, "text1g.txt": 3}
SIZES = {"text32.txt": 32_000_000, "text256.txt": 256_000_000, "text1g.txt": 1_000_000_000}
DOCUMENTS = {"index4": 4, "index16": 16, "index64": 64}
DOCUMENT_BYTES = 4_000_000
SORT_ROWS = {"sort10m.txt": 100_000, "sort100m.txt": 1_000_000, "sort1g.txt": 10_000_000}
SORT_BATCH_ROWS = 1_000_000
JOIN_ROWS = {"join100k": 100_000, "join1m": 1_000_000, "join5m": 5_000_000}


def vocabulary(seed: int = 1) -> list[str]:
    """200,000 distinct words; frequent ones are short."""
    import numpy as np

    rng = np.random.default_rng(seed)
    vowel_p = np.array(VOWEL_WEIGHTS) / sum(VOWEL_WEIGHTS)
    consonant_p = np.array(CONSONANT_WEIGHTS) / np.array(CONSONANT_WEIGHTS).sum()
    seen: set[str] = set()
    words: list[str] = []
    for rank in range(WORDS):
        length = 1 + int(rng.poisson(1.2 + 1.3 * np.log10(rank + 1)))
        while True:
            turn = int(rng.integers(2))
            vowels = rng.choice(len(VOWELS), length, p=vowel_p)
            consonants = rng.choice(len(CONSONANTS), length, p=consonant_p)
            word = "".join(
                VOWELS[vowels[i]] if (i + turn) & 1 else CONSONANTS[consonants[i]]
                for i in range(length)
            )
            if rank % 100 == 99:
                word = word.replace("e", "é").replace("u", "ü")
            if word not in seen:
                break
            length += 1
        seen.add(word)
        words.append(word)
    return words


def write_text(path: Path, size: int, words: list[str], seed: int) -> None:
    """A text of at most ``size`` bytes."""
    import numpy as np
    import pyarrow as pa

    weights = 1 / (np.arange(WORDS) + 2.7) ** 1.05
    cumulative = np.cumsum(weights)
    cumulative /= cumulative[-1]
    endings = pa.array([w + " " for w in words] + [w + "\n" for w in words], pa.large_string())
    lengths = np.array([len(w.encode()) + 1 for w in words])
    rng = np.random.default_rng(seed)
    done, last = 0, False
    with path.open("wb") as file:
        while not last:
            ids = np.searchsorted(cumulative, rng.random(BATCH_WORDS))
            ends = np.cumsum(lengths[ids]) + done
            line = ends // LINE_BYTES
            breaks = np.empty(BATCH_WORDS, bool)
            breaks[0] = False
            breaks[1:] = line[1:] != line[:-1]
            keep = int(np.searchsorted(ends, size, "right"))
            last = keep < BATCH_WORDS
            breaks, ids = breaks[:keep], ids[:keep]
            if last:
                breaks[-1] = True
            taken = endings.take(pa.array(ids + WORDS * breaks))
            file.write(memoryview(taken.buffers()[2])[: int(ends[keep - 1] - done)])
            done = int(ends[keep - 1])


def write_documents(folder: Path, count: int, words: list[str]) -> None:
    """So many texts."""
    folder.mkdir()
    for number in range(count):
        write_text(folder / f"doc{number:02d}.txt", DOCUMENT_BYTES, words, 100 + number)


def write_rows(path: Path, count: int) -> None:
    """Lines to sort."""
    import numpy as np

    rng = np.random.default_rng(7)
    digits = np.frombuffer(b"0123456789ABCDEF", np.uint8)
    with path.open("wb") as file:
        for first in range(0, count, SORT_BATCH_ROWS):
            size = min(SORT_BATCH_ROWS, count - first)
            rows = np.full((size, 100), ord(" "), np.uint8)
            rows[:, :10] = rng.integers(0x21, 0x7F, (size, 10), np.uint8)
            number = np.arange(first, first + size)
            for place in range(32):
                shifted = number >> (4 * place) if place < 16 else 0 * number
                rows[:, 43 - place] = digits[shifted & 15]
            rows[:, 46:99] = (ord("A") + number % 26)[:, None]
            rows[:, 99] = ord("\n")
            file.write(rows.tobytes())


def write_tables(folder: Path, count: int) -> None:
    """Two tables to join."""
    import numpy as np

    folder.mkdir()
    rng = np.random.default_rng(11)
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    for name, keys in (("a.tsv", rng.permutation(count)), ("b.tsv", rng.integers(0, count, count))):
        rows = np.empty((count, 33), np.uint8)
        rows[:, 0] = ord("k")
        for place in range(10):
            rows[:, 10 - place] = ord("0") + (keys // 10**place) % 10
        rows[:, 11] = ord("\t")
        rows[:, 12:32] = digits[rng.integers(0, 16, (count, 20))]
        rows[:, 32] = ord("\n")
        rows.tofile(folder / name)


def make_inputs(folder: Path, names: list[str]) -> dict[str, Path]:
    """The inputs of these names, made once and kept in ``folder``.

    Another process makes them: what it needs in memory would otherwise be counted as the
    peak of every command that is started from here later.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not all((folder / name).exists() for name in names):
        subprocess.run([sys.executable, "-m", "benchmarks.generate", folder, *names], check=True)
    return {name: folder / name for name in names}


def main(folder: Path, *names: str) -> None:
    """Make the inputs of these names that are missing."""
    words = vocabulary()
    for name in names:
        if (folder / name).exists():
            continue
        part = folder / f".{name}.{os.getpid()}"
        if name in DOCUMENTS:
            write_documents(part, DOCUMENTS[name], words)
        elif name in SORT_ROWS:
            write_rows(part, SORT_ROWS[name])
        elif name in JOIN_ROWS:
            write_tables(part, JOIN_ROWS[name])
        else:
            write_text(part, SIZES[name], words, SEEDS[name])
        part.rename(folder / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
