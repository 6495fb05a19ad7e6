"""The examples, each beside a plain program that gives the same answer."""

from __future__ import annotations

import collections
import csv
import heapq
import random
import re
from collections.abc import Iterator
from pathlib import Path

from tests.conformance.case import Case

WORDS = ("words-1.txt", "words-2.txt", "empty.txt")


def lines(folder: Path, *names: str) -> list[str]:
    """The lines of these files."""
    return [line for name in names for line in (folder / name).read_text("utf-8").splitlines()]


def rows(folder: Path, name: str) -> list[list[str]]:
    """The lines of a table, cut at their tabs."""
    return [line.split("\t") for line in lines(folder, name)]


def counts(words: Iterator[str]) -> list[str]:
    """How often each occurs."""
    return [f"{word}\t{n}" for word, n in collections.Counter(words).items()]


def word_count(folder: Path) -> list[str]:
    return counts(word for line in lines(folder, *WORDS) for word in line.lower().split())


def grep(folder: Path) -> list[str]:
    found = []
    for name in WORDS:
        at = 0
        for line in (folder / name).read_bytes().splitlines():
            if re.search(rb"lease .*log", line, re.IGNORECASE):
                found.append(f"{folder / name}:{at}\t{line.decode()}")
            at += len(line) + 1
    return found


def inverted_index(folder: Path) -> list[str]:
    index = collections.defaultdict(set)
    for name in WORDS:
        for word in re.findall(r"\w{3,}", (folder / name).read_text("utf-8").lower()):
            index[word].add(name)
    return [f"{word}\t{' '.join(sorted(names))}" for word, names in index.items()]


def sort(folder: Path) -> list[str]:
    return sorted(lines(folder, *WORDS, "users.tsv"))


def join(folder: Path) -> list[str]:
    users = {number: columns for number, *columns in rows(folder, "users.tsv")}
    orders = [order for order in rows(folder, "orders.tsv") if order[0] in users]
    assert 0 < len(orders) < len(rows(folder, "orders.tsv")), "some orders have no user"
    return ["\t".join([number, *users[number], *columns]) for number, *columns in orders]


def sessions(folder: Path) -> list[str]:
    clicks = collections.defaultdict(list)
    for user, seconds in rows(folder, "clicks.tsv"):
        clicks[user].append(int(seconds))
    found = []
    for user, times in clicks.items():
        groups: list[list[int]] = []
        for now in sorted(times):
            if not groups or now - groups[-1][-1] > 3_000:
                groups.append([])
            groups[-1].append(now)
        found += [f"{user}\t{g[0]}\t{g[-1] - g[0]}\t{len(g)}" for g in groups]
    return found


def average(folder: Path) -> list[str]:
    fares = collections.defaultdict(list)
    for row in list(csv.reader(lines(folder, "trips.csv")))[1:-2]:
        fares[row[0]].append(float(row[1]))
    return [f"{zone}\t{sum(numbers) / len(numbers)}" for zone, numbers in fares.items()]


def top(folder: Path) -> list[str]:
    pairs = [(-int(count), name) for name, count in rows(folder, "numbers.tsv")]
    return [f"{name}\t{-count}" for count, name in heapq.nsmallest(9, pairs)]


def grep_sort(folder: Path) -> list[str]:
    found = collections.Counter(
        word for line in lines(folder, *WORDS) for word in re.findall(r"[a-z]+e\b", line)
    )
    return [f"{word}\t{n}" for word, n in sorted(found.items(), key=lambda p: (-p[1], p[0]))]


def pi(folder: Path) -> list[str]:
    hits = total = 0
    for line in lines(folder, "throws.txt"):
        seed, points = map(int, line.split())
        throw = random.Random(seed).random
        hits += sum(throw() ** 2 + throw() ** 2 < 1 for _ in range(points))
        total += points
    return [f"pi\t{4 * hits / total}"]


def page_rank(folder: Path) -> list[str]:
    links = {page: targets.split() for page, targets in rows(folder, "links.tsv")}
    pages = {target for targets in links.values() for target in targets} | set(links)
    ranks = dict.fromkeys(pages, 1.0)
    for _ in range(2):
        given = dict.fromkeys(pages, 0.0)
        for page, targets in links.items():
            for target in targets:
                given[target] += ranks[page] / len(targets)
        ranks = {page: 0.15 + 0.85 * rank for page, rank in given.items()}
    return [f"{page}\t{rank:.6f}" for page, rank in ranks.items()]


EXAMPLES = (
    Case("examples/wordcount.py", WORDS, word_count),
    Case("examples/grep.py", WORDS, grep, {"pattern": "lease .*log", "ignore_case": True}),
    Case("examples/inverted_index.py", WORDS, inverted_index, {"min_length": 3}),
    Case("examples/sort.py", (*WORDS, "users.tsv"), sort, partitions=3, ordered=True),
    Case("examples/join.py", ("users.tsv", "orders.tsv"), join),
    Case("examples/sessions.py", ("clicks.tsv",), sessions, {"gap": 3_000}),
    Case("examples/average.py", ("trips.csv",), average),
    Case("examples/top.py", ("numbers.tsv",), top, {"k": 9}, ordered=True),
    Case("examples/grep_sort.py", WORDS, grep_sort, {"pattern": r"[a-z]+e\b"}, ordered=True),
    Case("examples/pi.py", ("throws.txt",), pi),
    Case("examples/pagerank.py", ("links.tsv",), page_rank, {"rounds": 2}),
)
