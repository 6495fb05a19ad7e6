"""Put and get of a large file, and of many small ones.

Large files go through the command, process start included, beside a plain copy of
the same bytes: a synced one for put, a copy into a file for get. What earlier work left
to be written is synced before each, outside the time. Small files go
through the library, each create answered after its sync, with 1 and 8 client
processes that are connected before the clock starts.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from statistics import median

from benchmarks.cluster import Cluster
from benchmarks.report import Row

BLOCK_BYTES = 1 << 20
SMALL_BYTES = 4096


def copy_synced(source: Path, target: Path) -> float:
    """Seconds to copy a file and sync it."""
    began = time.perf_counter()
    with source.open("rb") as reader, target.open("wb") as writer:
        while block := reader.read(BLOCK_BYTES):
            writer.write(block)
        writer.flush()
        os.fdatasync(writer.fileno())
    seconds = time.perf_counter() - began
    target.unlink()
    return seconds


def copy_plain(source: Path, target: Path) -> float:
    """Seconds to copy a file."""
    began = time.perf_counter()
    with source.open("rb") as reader, target.open("wb") as writer:
        while block := reader.read(BLOCK_BYTES):
            writer.write(block)
    seconds = time.perf_counter() - began
    target.unlink()
    return seconds


def large(cluster: Cluster, source: Path, folder: Path, runs: int) -> Iterator[Row]:
    """Put and get at 1 and 3 replicas."""
    size = source.stat().st_size
    for replication in (1, 3):
        puts, gets, put_ratios, get_ratios, peaks = [], [], [], [], []
        for _ in range(runs):
            os.sync()
            local = copy_synced(source, folder / "copy")
            name = f"/large-{replication}"
            os.sync()
            put = cluster.minidfs("put", "-f", "--replication", str(replication), source, name)
            os.sync()
            plain = copy_plain(source, folder / "copy")
            target = folder / "got"
            os.sync()
            get = cluster.minidfs("get", "-f", name, target)
            target.unlink()
            puts.append(put.seconds)
            gets.append(get.seconds)
            put_ratios.append(local / put.seconds)
            get_ratios.append(plain / get.seconds)
            peaks.append(max(put.peak_mib, get.peak_mib))
        what = f"{size / 1e6:.0f} MB, {replication} replica{'s' if replication > 1 else ''}"
        rate = f"{size / median(puts) / 1e6:.0f} MB/s"
        yield Row(f"put {what}, synced", rate, f"{median(put_ratios):.2f} × a synced local copy")
        rate = f"{size / median(gets) / 1e6:.0f} MB/s"
        yield Row(f"get {what}", rate, f"{median(get_ratios):.2f} × a local copy")
        yield Row(f"client's peak memory, {what}", f"{max(peaks):.0f} MiB", "")
        cluster.minidfs("rm", name)


def _client(
    home: str, prefix: str, count: int, together: Barrier, results: Queue[list[float]]
) -> None:
    """One client: create ``count`` files, then read them; reports when each began and ended."""
    import dfs

    os.environ["MINIDFS_HOME"] = home
    content = os.urandom(SMALL_BYTES)
    with dfs.connect() as fs:
        fs.mkdir(prefix, parents=True)
        together.wait()
        times = [time.monotonic()]
        for at in range(count):
            fs.write_bytes(f"{prefix}/{at}", content)
        times.append(time.monotonic())
        together.wait()
        times.append(time.monotonic())
        for at in range(count):
            assert fs.read_bytes(f"{prefix}/{at}") == content
        times.append(time.monotonic())
    results.put(times)


def _run_clients(home: str, prefix: str, clients: int, each: int) -> tuple[float, float]:
    """Creates and reads a second, from the first client's start to the last one's end."""
    context = multiprocessing.get_context("spawn")
    together, results = context.Barrier(clients), context.Queue()
    processes = [
        context.Process(target=_client, args=(home, f"{prefix}/{client}", each, together, results))
        for client in range(clients)
    ]
    for process in processes:
        process.start()
    times = [results.get(timeout=600) for _ in processes]
    for process in processes:
        process.join()
    began, ended, began_reading, ended_reading = zip(*times, strict=True)
    files = each * clients
    return (
        files / (max(ended) - min(began)),
        files / (max(ended_reading) - min(began_reading)),
    )


def small(cluster: Cluster, count: int, runs: int) -> Iterator[Row]:
    """Creates and reads of 4 KB files a second, through the library."""
    home = cluster.env["MINIDFS_HOME"]
    for clients in (1, 8):
        rates = [
            _run_clients(home, f"/small/{clients}-{run}", clients, count // clients)
            for run in range(runs)
        ]
        who = "1 client" if clients == 1 else f"{clients} clients"
        for verb, found in zip(("create", "read"), zip(*rates, strict=True), strict=True):
            yield Row(f"{verb} 4 KB files, {who}", f"{median(found):.0f}/s", "")
    cluster.minidfs("rm", "-r", "/small")
