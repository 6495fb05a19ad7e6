"""The jobs of ``jobs.py``, each beside a plain program that gives the same answer."""

from __future__ import annotations

import collections
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.conformance.case import Case
from tests.conformance.example_cases import WORDS, lines, rows
from tests.conformance.inputs import ODD_LINES, RECORD_BYTES, SPLIT_BYTES
from tests.conformance.jobs import KEYS

ALL_LINES = (*WORDS, "orders.tsv")


def typed(name: str) -> Callable[[Path], list[str]]:
    """What a job makes of keys of one type; equal keys are one, and 0.0 stands for both zeros."""

    def expected(folder: Path) -> list[str]:
        keys = [0.0 if key == 0 and isinstance(key, float) else key for key in KEYS[name]]
        found = collections.defaultdict(list)
        for line in lines(folder, *ALL_LINES):
            found[repr(keys[len(line) % len(keys)])].append(len(line))
        return [f"{key}\t{lengths}" for key, lengths in found.items()]

    return expected


def nothing(_: Path) -> list[str]:
    return []


def hooks(folder: Path) -> list[str]:
    sizes = [(folder / name).stat().st_size for name in WORDS]
    maps = sum(max(1, math.ceil(size / SPLIT_BYTES)) for size in sizes)
    counted = [f"begun\t{maps}", f"lines\t{len(lines(folder, *WORDS))}"]
    return [*counted, *["first\t0", "last\t0"] * 2]


def odd_lines(_: Path) -> list[str]:
    found, at = [], 0
    for line in ODD_LINES.split(b"\n"):
        text = line.decode("utf-8", "replace")
        text = text if text.startswith("last") else text.removesuffix("\r")
        value = {"line": text, "length": len(text), "odd": [None, True, 1.5]}
        found.append(json.dumps([at, value], ensure_ascii=False))
        at += len(line) + 1
    return found


def numbers(folder: Path) -> list[tuple[int, int]]:
    """The table of numbers."""
    return [(int(key), int(value)) for key, value in rows(folder, "numbers.tsv")]


def groups(folder: Path) -> list[str]:
    found: dict[int, list[int]] = collections.defaultdict(list)
    for key, value in numbers(folder):
        found[key // 10].append(value)
    return [
        f"{key}\t{' '.join(map(str, sorted(found[key], reverse=True)))}"
        for key in sorted(found, reverse=True)
    ]


def by_hand(folder: Path) -> list[str]:
    found: dict[int, list[str]] = collections.defaultdict(list)
    for key, value in numbers(folder):
        found[key].append(str(value))
    return [f"{key}\t{','.join(found[key])}" for key in sorted(found, key=lambda k: (k % 4, k))]


def records(folder: Path) -> list[str]:
    data = (folder / "records.bin").read_bytes()
    pieces = [data[at : at + RECORD_BYTES] for at in range(0, len(data), RECORD_BYTES)]
    return [piece.decode().removesuffix("\n") for piece in sorted(pieces)]


def whole(folder: Path) -> list[str]:
    return [f"{name}\t{(folder / name).stat().st_size}" for name in (*WORDS, "records.bin")]


def members(_: Path) -> list[str]:
    return ["x\t4", "y\t1500", "z\t4"]


def chain(folder: Path) -> list[str]:
    by_length: dict[int, set[str]] = collections.defaultdict(set)
    for line in lines(folder, *ALL_LINES):
        by_length[len(line)].add(line)
    sizes: dict[int, list[int]] = collections.defaultdict(list)
    for length, found in by_length.items():
        sizes[length % 2].append(len(found))
    return [f"{odd}\t{sorted(found)}" for odd, found in sizes.items()]


def inputs(folder: Path) -> list[str]:
    found = collections.Counter(
        word for line in lines(folder, "words-1.txt") for word in line.split()
    )
    for key, value in numbers(folder):
        found[f"key {key}"] += value
    found["bytes"] = (folder / "words-2.txt").stat().st_size
    return [f"{key}\t{n}" for key, n in found.items()]


def sides(folder: Path) -> list[str]:
    found, sizes = [], collections.Counter[int]()
    for name in ALL_LINES:
        at = 0
        for line in (folder / name).read_text("utf-8").splitlines():
            if line:
                sizes[len(line)] += 1
            else:
                found.append(json.dumps([None, at]))
            at += len(line.encode()) + 1
    found += [json.dumps([size, None]) for size in sizes if size > 30]
    return [*found, *(json.dumps([size, count]) for size, count in sizes.items())]


def case(name: str, inputs: tuple[str, ...], expected: Any, **how: Any) -> Case:
    """A case of ``jobs.py``."""
    return Case(f"tests/conformance/jobs.py:{name}", inputs, expected, **how)


JOBS = (
    *(case(name, ALL_LINES, typed(name)) for name in KEYS),
    case("Nothing", WORDS, nothing),
    case("Hooks", WORDS, hooks),
    case("OddLines", ("odd.txt",), odd_lines, ordered=True),
    case("Groups", ("numbers.tsv",), groups, ordered=True, spill_bytes=1 << 10),
    case("ByHand", ("numbers.tsv",), by_hand, ordered=True, spill_bytes=1 << 10),
    case("Records", ("records.bin",), records, ordered=True),
    case("Whole", (*WORDS, "records.bin"), whole, ordered=True),
    case("Members", ("first.zip", "second.zip"), members),
    case("Chain", ALL_LINES, chain),
    case("Inputs", ("words-1.txt", "numbers.tsv", "words-2.txt"), inputs),
    case("Sides", ALL_LINES, sides),
)
