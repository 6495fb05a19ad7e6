"""Latencies beside each other: a small change with a log keeper, ``stat`` with much metadata.

What is compared runs at the same time and is asked in turn, a round here and a round there, so
that whatever else the machine does falls on both. Told are the medians of the rounds, their ratio,
and what 99 of 100 requests of all rounds stay below.
The log keeper is a datanode on a machine of another name (a UTS namespace, which needs root) on
the same disk and processors: a network would come on top.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from benchmarks.namenodes import BigNamenode
from benchmarks.report import Row
from dfs import Client, connect
from dfs.errors import DfsError
from dfs.namenode.folder import make_namenode_folder

ROUNDS = 9
CHANGES = 200
STATS = 500
SMALL = b"x" * 4096
PATIENCE_S = 60
LOOK_S = 0.1
CONFIG = """[cluster]
id = "{cluster}"
[namenode]
address = "127.0.0.1:{namenode}"
[datanode]
listen = "127.0.0.1:{datanode}"
[security]
mode = "none"
"""
Measure = Callable[[int], list[float]]
"""The milliseconds of each request of one round, by its number."""
Rounds = list[list[float]]


def in_turn(one: Measure, other: Measure) -> tuple[Rounds, Rounds]:
    """The rounds of both."""
    pairs = [(one(number), other(number)) for number in range(ROUNDS)]
    return [a for a, _ in pairs], [b for _, b in pairs]


def load() -> str:
    """How busy the machine is, for whoever judges a figure."""
    return f"load {os.getloadavg()[0]:.1f}"


def describe(what: str, both: tuple[Rounds, Rounds], beside: str) -> Row:
    """The row of one comparison."""
    medians, others = ([statistics.median(times) for times in rounds] for rounds in both)
    ms, other_ms = statistics.median(medians), statistics.median(others)
    ratios = [a / b for a, b in zip(medians, others, strict=True)]
    p99_ms, other_p99_ms = (_p99([ms for times in rounds for ms in times]) for rounds in both)
    text = f"{ms / other_ms:.2f} × {beside} ({other_ms:.3f} ms, p99 {other_p99_ms:.1f} ms)"
    spread = f"rounds {min(ratios):.2f} to {max(ratios):.2f}"
    return Row(what, f"{ms:.3f} ms, p99 {p99_ms:.1f} ms", f"{text}; {spread}; {load()}")


def _p99(times: list[float]) -> float:
    return sorted(times)[len(times) * 99 // 100]


# -- a log keeper


def small_changes(folder: Path) -> Iterator[Row]:
    """A small change whose log is kept on another machine, beside one whose log is not."""
    with (
        tempfile.TemporaryDirectory(dir=folder) as scratch,
        _cluster(Path(scratch) / "alone", ("alpha", "alpha")) as alone,
        _cluster(Path(scratch) / "kept", ("alpha", "beta")) as kept,
    ):
        for what, change in (("mkdir", _mkdir), ("create of 4 KB", _create)):
            both = in_turn(_changes(kept, change), _changes(alone, change))
            yield describe(f"{what}, log on 2 machines", both, "on one")


def _mkdir(fs: Client, name: str) -> None:
    fs.mkdir(f"/d{name}")


def _create(fs: Client, name: str) -> None:
    fs.write_bytes(f"/f{name}", SMALL)


def _changes(fs: Client, change: Callable[[Client, str], None]) -> Measure:
    def measure(number: int) -> list[float]:
        times = []
        for count in range(CHANGES):
            began = time.perf_counter()
            change(fs, f"{number}-{count}")
            times.append(1000 * (time.perf_counter() - began))
        return times

    return measure


@contextmanager
def _cluster(folder: Path, hosts: tuple[str, str]) -> Iterator[Client]:
    """A namenode on the first host, and a datanode on each of the two."""
    cluster = secrets.token_hex(4)
    namenode, *ports = _free_ports(1 + len(hosts))
    homes = [folder / str(number) for number in range(len(hosts))]
    with ExitStack() as running:
        for home, port in zip(homes, ports, strict=True):
            home.mkdir(parents=True)
            text = CONFIG.format(cluster=cluster, namenode=namenode, datanode=port)
            (home / "cluster.toml").write_text(text, encoding="utf-8")
        make_namenode_folder(homes[0] / "namenode", cluster, time.time_ns())
        running.enter_context(_process(homes[0], hosts[0], "namenode"))
        for number, (home, host) in enumerate(zip(homes, hosts, strict=True), start=1):
            running.enter_context(_process(home, host, "datanode", "--id", str(number)))
        fs = running.enter_context(connect(homes[0] / "cluster.toml", timeout=PATIENCE_S))
        _await_copies(fs, len(set(hosts)))
        yield fs


def _await_copies(fs: Client, wanted: int) -> None:
    """Wait until a small file is as safe as it shall be here."""
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s:
        try:
            if fs.write_bytes("/first", SMALL).hosts == wanted:
                return
        except DfsError:  # nothing is up yet
            time.sleep(LOOK_S)
        time.sleep(LOOK_S)
    sys.exit(f"no log on {wanted} machines within {PATIENCE_S} s")


@contextmanager
def _process(home: Path, host: str, *arguments: str) -> Iterator[None]:
    """A daemon whose machine has this name."""
    program = [sys.executable, "-P", "-m", "cli.minidfs", *arguments]
    script = f'hostname {host} && exec "$@"'
    with (home / f"{arguments[0]}.log").open("ab") as log:
        process = subprocess.Popen(
            ["unshare", "--uts", "sh", "-c", script, "sh", *program],
            env={**os.environ, "MINIDFS_HOME": str(home)},
            stdout=log,
            stderr=log,
        )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _free_ports(count: int) -> list[int]:
    with ExitStack() as open_ones:
        listeners = [
            open_ones.enter_context(closing(socket.create_server(("127.0.0.1", 0))))
            for _ in range(count)
        ]
        return [listener.getsockname()[1] for listener in listeners]


# -- much metadata


def stat_beside_small(folder: Path, files: int, chunks: int) -> Iterator[Row]:
    """``stat`` with much metadata beside a namenode with 1,000 files.

    While all chunks are looked at and when they were, after datanodes that registered in safe mode
    and after some that came later.
    """
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        small = BigNamenode(Path(scratch) / "small", 1000, chunks, 19863)
        big = BigNamenode(Path(scratch) / "big", files, chunks, 19864)
        for namenode in (big, small):
            namenode.make()
        for is_late in (False, True):
            yield from _stat_after_start(big, small, is_late=is_late)


def _stat_after_start(big: BigNamenode, small: BigNamenode, *, is_late: bool) -> Iterator[Row]:
    """``is_late``: safe mode is over when the datanodes register."""
    came = "datanodes came after safe mode" if is_late else "datanodes came in safe mode"
    what, beside = f"stat, {big.files:,} files, {came}", "with 1,000 files"
    with ExitStack() as stack:
        for namenode in (big, small):
            namenode.start()
            stack.callback(namenode.stop, signal.SIGTERM)
            if is_late:
                namenode.end_safe_mode()
            assert namenode.status().safe_mode != is_late
            stack.enter_context(namenode.reported())
        began_s = time.monotonic()
        during = in_turn(_stats(big), _stats(small))
        until = "" if big.status().walking else " for a part of the time"
        yield describe(f"{what}: while all chunks are looked at{until}", during, beside)
        for namenode in (big, small):
            namenode.wait_for_walk()
        took_s = time.monotonic() - began_s
        after = in_turn(_stats(big), _stats(small))
        yield describe(f"{what}: when they were, {took_s:.0f} s later", after, beside)


def _stats(namenode: BigNamenode) -> Measure:
    return lambda number: namenode.stat_times(STATS, seed=number)
