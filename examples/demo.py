"""A cluster of three nodes, real text, a word count, the top 20: all of it in a minute.

    make demo        (or: python examples/demo.py)

The text is what every machine has, the sources of Python's own standard library. The cluster
lives in a temporary folder; nothing is left of it, also when this is interrupted.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

NODES = 3
TOP = 20
JOB = Path(__file__).with_name("wordcount.py")
CHUNK_SIZE = "4M"
FILE_BYTES = 8 << 20
"""The sources are thousands of small files; they are joined into books of this size."""


def main() -> int:
    """Run the demonstration; returns the exit code."""
    signal.signal(signal.SIGTERM, _interrupted)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="minidfs-demo-") as folder:
        books = write_books(Path(folder) / "books")
        size = sum(book.stat().st_size for book in books)
        with cluster(Path(folder) / "home"):
            with timed(f"put {size / 1e6:.0f} MB in {len(books)} files, 3 copies of each chunk"):
                call("minidfs", "put", "--chunk-size", CHUNK_SIZE, *map(str, books), "/books/")
            with timed("count the words on the nodes that hold them"):
                call("minimr", "run", str(JOB), "/books", "-o", "/counts")
            show_locality()
            show_top()
        print(f"All of it took {time.monotonic() - started:.1f} s, and nothing is left of it.")
    return 0


def write_books(folder: Path) -> list[Path]:
    """The standard library's sources, without what is installed beside it, as a few big files."""
    folder.mkdir()
    top = Path(sysconfig.get_path("stdlib"))
    sources = sorted(path for path in top.rglob("*.py") if "site-packages" not in path.parts)
    books: list[Path] = []
    for source in sources:
        if not books or books[-1].stat().st_size >= FILE_BYTES:
            books.append(folder / f"python-{len(books) + 1}.txt")
        with books[-1].open("ab") as book:
            book.write(source.read_bytes())
    return books


@contextmanager
def cluster(home: Path) -> Iterator[None]:
    """A cluster that is stopped and deleted at the end, whatever happens."""
    os.environ["MINIDFS_HOME"] = str(home)
    os.environ.pop("MINIDFS_CLUSTER", None)
    try:
        with timed(f"start a namenode and {NODES} nodes, each a datanode and a worker"):
            call("minidfs", "up", "--nodes", str(NODES))
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        call("minidfs", "down", "--wipe", "--yes")
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Say what is done and how long it took."""
    print(f"\n== {what}", flush=True)
    started = time.monotonic()
    yield
    print(f"   {time.monotonic() - started:.1f} s", flush=True)


def call(program: str, *arguments: str) -> str:
    """Run a command of this installation; returns what it printed."""
    shown = [f"{a[:40]}…" if len(a) > 41 else a for a in arguments[:6]]
    print(f"   $ {program} {' '.join(shown)}{' …' if len(arguments) > 6 else ''}", flush=True)
    command = [sys.executable, "-m", f"cli.{program}", *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def show_locality() -> None:
    """How many maps ran where their input lies."""
    job = json.loads(call("minimr", "status", "@last", "--json"))
    near, total = job["locality"]["node"], sum(job["locality"].values())
    print(f"   {near} of {total} maps ran on a node that holds their input")


def show_top() -> None:
    """The words that occur most often."""
    with timed(f"the {TOP} most frequent of all words"):
        counts = [line.rsplit("\t", 1) for line in call("minidfs", "cat", "/counts/*").splitlines()]
        counts.sort(key=lambda pair: -int(pair[1]))
        width = min(shutil.get_terminal_size().columns - 12, 20)
        for word, count in counts[:TOP]:
            print(f"   {word:<{width}} {int(count):>8,}")


def _interrupted(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
