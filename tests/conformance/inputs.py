"""The files that the jobs read: small, the same at each run, with what trips up readers."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Iterable
from pathlib import Path

SPLIT_BYTES = 700
"""Splits end inside of lines; every runner makes the same ones."""
RECORD_BYTES = 8

TEXT = "the Lease the replica ends a chunk of Häuser 東京 lease expires then THE log grows"
ODD_LINES = b"1\r\n2\r2\n\xff\xfebad\n\n\x00zero\ntab\there\n\xe2\x82\xac\r\n" * 40 + b"last\r"
PAGES = {"a": "b c", "b": "c", "c": "a", "d": "a b c", "e": "nowhere"}


def write_inputs(folder: Path) -> None:
    """Make the files."""
    for name, content in contents(random.Random(7)).items():
        (folder / name).write_bytes(content)


def contents(dice: random.Random) -> dict[str, bytes]:
    """The files by name."""
    users = [f"{n}\tuser {n}\tcity {n % 3}" for n in range(40)]
    orders = [f"{dice.randrange(60)}\titem {n}\t{dice.randrange(99)}" for n in range(150)]
    clicks = [f"u{dice.randrange(7)}\t{dice.randrange(90_000)}" for _ in range(300)]
    trips = [f'"zone, {dice.randrange(5)}",{dice.randrange(4000) / 8}' for _ in range(200)]
    numbers = [f"{dice.randrange(-50, 50)}\t{dice.randrange(1000)}" for _ in range(400)]
    return {
        "words-1.txt": _text(" ".join(dice.choices(TEXT.split(), k=n % 9)) for n in range(120)),
        "words-2.txt": _text(" ".join(dice.choices(TEXT.split(), k=5)) for _ in range(60))[:-1],
        "empty.txt": b"",
        "odd.txt": ODD_LINES,
        "users.tsv": _text(users),
        "orders.tsv": _text(orders),
        "clicks.tsv": _text(clicks),
        "trips.csv": _text(["zone,fare", *trips, "short", "zone 1,no number"]),
        "numbers.tsv": _text(numbers),
        "links.tsv": _text(f"{page}\t{links}" for page, links in PAGES.items()),
        "throws.txt": _text(f"{seed} {50 + seed}" for seed in range(150)),
        "records.bin": b"".join(b"%07d\n" % dice.randrange(10**7) for _ in range(500)),
        "first.zip": _zip({"x": "in x", "y": "in y " * 300}),
        "second.zip": _zip({"z": "in z"}),
    }


def _text(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _zip(members: dict[str, str]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return data.getvalue()
