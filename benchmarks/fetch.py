"""``python -m benchmarks.fetch [--quick] [--write]``: how a reduce gets its segments, and no more.

A master that only says where the runs lie, and two workers that run no task: core, loop, sockets
and disk are the real ones. One worker holds the runs, the other fetches a segment of each, as it
would for a reduce; or the one that holds them fetches for itself. ``--quick`` takes a tenth.
``--cpu`` prints how the CPU time of both workers is spent by function instead.
"""

from __future__ import annotations

import argparse
import cProfile
import multiprocessing
import pstats
import random
import shutil
import signal
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.bounded import cpu_seconds
from benchmarks.report import Row, render, write_page
from dfs.events import NAMENODE, Action, Event, Now, Peer, Received, Reply, Role, Send
from dfs.limits import SECOND_NS
from dfs.net.loop import Loop, read_clock
from dfs.net.pool import Pool
from dfs.net.step import PlainStep
from dfs.net.transport import ZmqTransport
from dfs.wire.common import Ok
from mapreduce.job import JobSpec, ReduceTask, StepSpec
from mapreduce.limits import FETCH_READ_NS
from mapreduce.shuffle.run_index import PartitionEntry, encode_index
from mapreduce.wire import (
    ROWS_PER_PAGE,
    AttemptId,
    AttemptSucceeded,
    FindRuns,
    ForgetJob,
    JobOptions,
    LaunchReduce,
    RegisterWorker,
    RunLocation,
    RunLocations,
    TaskKind,
    WorkerAddress,
    WorkerRegistered,
)
from mapreduce.worker.core import WorkerCore
from mapreduce.worker.master_link import WorkerSettings
from mapreduce.worker.runs import RunStore
from mapreduce.worker.segments import Segments
from mapreduce.worker.work import (
    FindHeldRuns,
    ReadRuns,
    RunAttempt,
    SampleAttempts,
    StoreSegments,
    WorkerTask,
)

COMMAND = "python -m benchmarks.fetch"
CLUSTER, JOB = "benchmark", "j-20261121-0001"
HOLDER, REDUCER = "worker-1", "worker-2"
STEP = StepSpec(1, False, True)
SPEC = JobSpec("fetch", "0" * 64, "job.py", "", {}, (STEP,))
THREADS = 6


@dataclass
class Edge:
    """The work of a worker that runs no task: a reduce ends when its segments are there."""

    folder: Path
    runs: RunStore = field(init=False)
    segments: Segments = field(init=False)

    def __post_init__(self) -> None:
        self.runs = RunStore(self.folder / "runs")

    def execute(self, work: WorkerTask) -> Any:
        """Do it and return its result."""
        match work:
            case RunAttempt(task=ReduceTask() as task):
                return self._reduce(task)
            case StoreSegments():
                return self.segments.store(work)
            case ReadRuns():
                return self.runs.read(work, read_clock().mono_ns + FETCH_READ_NS)
            case FindHeldRuns():
                return self.runs.find()
            case SampleAttempts():
                return ()
        return None

    def _reduce(self, task: ReduceTask) -> AttemptSucceeded:
        folder = self.folder / "attempt"
        folder.mkdir()
        self.segments = Segments(folder)
        for index in range(task.map_count):
            self.segments.wait(index)
        shutil.rmtree(folder)
        return AttemptSucceeded(AttemptId.of(task), {}, 0, 0, 0)


def be_worker(name: str, folder: Path, master: tuple[str, ...], profiled: bool) -> None:
    """A worker in a process of its own, until SIGTERM."""
    transport = ZmqTransport(Peer(Role.WORKER, name), CLUSTER, ("tcp://127.0.0.1:0",))
    pool = Pool(Edge(folder).execute, THREADS, transport.wake, "work")
    settings = WorkerSettings(name, transport.endpoints, name, "", 1, master)
    loop = Loop(PlainStep(WorkerCore(settings)), transport, pool, print)
    signal.signal(signal.SIGTERM, lambda *_: loop.stop())
    if profiled:
        profile = cProfile.Profile()
        profile.runcall(loop.run)
        pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(15)
    else:
        loop.run()


@dataclass
class Master:
    """A core that welcomes workers and says where the runs lie: all at ``HOLDER``."""

    maps: int
    ready: dict[str, RegisterWorker] = field(default_factory=dict)
    ended: AttemptSucceeded | None = None

    def handle(self, event: Event, now: Now) -> list[Action]:
        """Answer a word of a worker."""
        if not isinstance(event, Received):
            return []
        match event.message:
            case RegisterWorker() as word:
                self.ready[event.origin.peer.name] = word
                return [Reply(event.origin, WorkerRegistered(1, SECOND_NS))]
            case FindRuns() as word:
                return [Reply(event.origin, self._found(word.first))]
            case AttemptSucceeded() as word:
                self.ended = word
        return [Reply(event.origin, Ok())]

    def on_deadline(self, now: Now) -> list[Action]:
        """Nothing is ever due."""
        return []

    def next_deadline(self) -> int | None:
        """Never."""
        return None

    def _found(self, first: int) -> RunLocations:
        page = range(first, min(first + ROWS_PER_PAGE, self.maps))
        word = self.ready[HOLDER]
        address = WorkerAddress(HOLDER, word.endpoints, word.host)
        return RunLocations(tuple(RunLocation(i, 1, 0) for i in page), (address,), page.stop)


def make_runs(folder: Path, maps: int, segment_bytes: int) -> None:
    """A run of one partition for each map, of bytes that nobody looks into."""
    store = RunStore(folder / "runs")
    data = random.Random(1).randbytes(segment_bytes)
    new = folder / "new"
    for index in range(maps):
        footer = encode_index(index, [PartitionEntry(0, segment_bytes, 1)])
        new.write_bytes(data + footer)
        store.add(AttemptId(JOB, 0, TaskKind.MAP, index, 1), new)


@contextmanager
def workers(folder: Path, master: tuple[str, ...], profiled: bool) -> Iterator[dict[str, int]]:
    """Two workers; their processes by name."""
    context = multiprocessing.get_context("spawn")
    processes = {
        name: context.Process(target=be_worker, args=(name, folder / name, master, profiled))
        for name in (HOLDER, REDUCER)
    }
    for process in processes.values():
        process.start()
    try:
        yield {name: process.pid or 0 for name, process in processes.items()}
    finally:
        for process in processes.values():
            process.terminate()
            process.join()


def fetch(
    folder: Path, maps: int, segment_bytes: int, to: str, profiled: bool
) -> tuple[float, ...]:
    """One fetch: wall seconds, CPU seconds of the worker that fetches and of the holder."""
    with tempfile.TemporaryDirectory(dir=folder) as made:
        home = Path(made)
        for name in (HOLDER, REDUCER):
            (home / name).mkdir()
        make_runs(home / HOLDER, maps, segment_bytes)
        transport = ZmqTransport(NAMENODE, CLUSTER, ("tcp://127.0.0.1:0",))
        core = Master(maps)
        loop = Loop(PlainStep(core), transport, None, print)
        with workers(home, transport.endpoints, profiled) as pids:
            while len(core.ready) < len(pids):
                loop.turn()
            before = {name: cpu_seconds(pid) for name, pid in pids.items()}
            began_ns = read_clock().mono_ns
            task = ReduceTask(JOB, 0, 0, 1, maps, STEP)
            launch = LaunchReduce(1, task, SPEC, JobOptions(), "/nowhere")
            transport.send(Send(Peer(Role.WORKER, to), launch))
            while core.ended is None:
                loop.turn()
            wall = (read_clock().mono_ns - began_ns) / SECOND_NS
            cpu = {name: cpu_seconds(pid) - before[name] for name, pid in pids.items()}
            transport.send(Send(Peer(Role.WORKER, HOLDER), ForgetJob(1, JOB)))
        transport.close()
    return wall, cpu[to], cpu[HOLDER]


def measure(folder: Path, quick: bool, runs: int, profiled: bool) -> Iterator[Row]:
    """Many small segments, and few large ones."""
    share = 10 if quick else 1
    for maps, segment_bytes in ((10_000 // share, 600), (60 // share, 16 << 20)):
        for to in (REDUCER, HOLDER):
            times = [fetch(folder, maps, segment_bytes, to, profiled) for _ in range(runs)]
            wall, cpu, serving = (statistics.median(column) for column in zip(*times, strict=True))
            size = f"{segment_bytes >> 20} MiB" if segment_bytes >> 20 else f"{segment_bytes} bytes"
            where = "of another worker" if to == REDUCER else "held by the worker itself"
            beside = f"{cpu:.2f} s of CPU" + (
                f"; {serving:.2f} of the holder" if to == REDUCER else ""
            )
            yield Row(f"{maps:,} segments of {size} {where}", f"{wall:.2f} s", beside)


def main() -> None:
    """Parse the options, measure, report."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    parser.add_argument("--write", action="store_true", help="update docs/benchmarks.md")
    parser.add_argument("--cpu", action="store_true", help="print where the CPU time goes")
    parser.add_argument("--runs", type=int, default=3, help="runs of each figure (default 3)")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    rows = []
    for row in measure(options.folder, options.quick, options.runs, options.cpu):
        rows.append(row)
        sys.stderr.write(f"{row.what}: {row.figure}: {row.beside}\n")
    table = render(rows, COMMAND + (" --quick" if options.quick else ""), options.runs)
    sys.stdout.write(table + "\n")
    if options.write:
        write_page(table, COMMAND)


if __name__ == "__main__":
    main()
