"""One job on a simulated cluster under random faults, judged by the inline runner.

Faults keep within what the cluster promises to survive: one node (datanode, worker, or both, as
one machine) down at a time and the namenode at any time, with or without power; or one process
that stands still for a while; or a worker that is told to end and leaves; over a network that
loses, doubles and delays. They stop after a drawn time; then the job must succeed, and its
parts must be those of the inline runner, byte by byte.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

from dfs.client.client import Client
from dfs.errors import DfsError, Unavailable
from dfs.limits import MS_NS, SECOND_NS
from dfs.testing.network import Faults
from dfs.testing.node import Node
from mapreduce.job import Settings
from mapreduce.job_class import Job
from mapreduce.runners import cluster as cluster_runner
from mapreduce.runners import inline
from mapreduce.runners.submission import Submission
from mapreduce.testing.cluster import JobCluster
from mapreduce.wire import JobNews, JobState

INPUT = "/in"
OUTPUT = "/out"
CHUNK_BYTES = 16 << 10
FAULTS_LAST_NS = 60 * SECOND_NS
JOB_MAX_NS = 600 * SECOND_NS
EXIT_TEMPORARY = Unavailable.exit_code

T = TypeVar("T")


class JobWorkload:
    """Runs one job; the same seed runs it in the same way."""

    def __init__(self, cluster: JobCluster, job: Job, files: Mapping[str, bytes]) -> None:
        self._cluster = cluster
        self._world = cluster.world
        self._job = job
        self._files = files
        self._rng = self._world.rng("faults")
        self._client = cluster.client()
        self._is_calm = False

    def run(self, *, faults: bool = True) -> None:
        """Do it all; raises ``SimulationError`` when a promise is broken."""
        self._cluster.settle()
        for name, content in self._files.items():
            self._client.write_bytes(f"{INPUT}/{name}", content, chunk_size=CHUNK_BYTES)
        if faults:
            self._spoil_network()
            self._plan_fault()
            self._world.after(self._rng.randint(0, FAULTS_LAST_NS), self._calm_down)
        submitted = self._submit()
        end = self._insist(lambda: cluster_runner.watch(self._client, submitted, self._on_news))
        if end.report.state is not JobState.SUCCEEDED:
            self._world.fail(f"{submitted} is {end.report.state}: {end.report.error}")
        if not self._is_calm:
            self._calm_down()
        self._compare()

    # The user.

    def _submit(self) -> str:
        """Start the job; its id."""
        submission = Submission(Settings(split_bytes=CHUNK_BYTES))
        return self._insist(
            lambda: cluster_runner.submit(self._client, self._job, [INPUT], OUTPUT, submission)
        ).job_id

    def _on_news(self, news: JobNews) -> None:
        if self._world.now.mono_ns > JOB_MAX_NS:
            self._world.fail(f"{news.report.job} does not end: {news.report}")

    def _insist(self, ask: Callable[[], T]) -> T:
        """The answer to a question, asked again while the cluster cannot answer."""
        while True:
            try:
                return ask()
            except DfsError as error:
                if error.exit_code != EXIT_TEMPORARY:
                    self._world.fail(f"a question was answered {error!r}")
                self._world.run_for(SECOND_NS)

    def _compare(self) -> None:
        expected = self._inline_files()
        names = self._insist(lambda: list(_files_below(self._client, OUTPUT)))
        if sorted(names) != sorted(expected):
            self._world.fail(f"the output has {names}, expected {sorted(expected)}")
        for name, content in expected.items():
            found = self._insist(partial(self._client.read_bytes, f"{OUTPUT}/{name}"))
            if found != content:
                self._world.fail(f"{name} differs: {found[:100]!r} for {content[:100]!r}")

    def _inline_files(self) -> dict[str, bytes]:
        with tempfile.TemporaryDirectory() as folder:
            inputs = Path(folder, "in")
            inputs.mkdir()
            for name, content in self._files.items():
                (inputs / name).write_bytes(content)
            output = Path(folder, "out")
            settings = Settings(split_bytes=CHUNK_BYTES)
            inline.run(self._job, [str(inputs)], str(output), settings)
            files = [path for path in output.rglob("*") if path.is_file()]
            return {str(path.relative_to(output)): path.read_bytes() for path in files}

    # The faults.

    def _spoil_network(self) -> None:
        self._world.network.faults = Faults(
            delay_max_ns=self._rng.choice((1, 5, 50)) * MS_NS,
            drop=self._rng.choice((0.0, 0.0, 0.002)),
            double=self._rng.choice((0.0, 0.0, 0.002)),
            break_link=self._rng.choice((0.0, 0.001)),
        )

    def _plan_fault(self) -> None:
        self._world.after(self._rng.randint(1, 3000) * MS_NS, self._fault)

    def _fault(self) -> None:
        if self._is_calm:
            return
        number = self._rng.randrange(len(self._cluster.workers))
        worker, datanode = self._cluster.workers[number], self._cluster.datanodes[number]
        struck: list[Node] = self._rng.choice(
            ([worker], [worker], [datanode], [worker, datanode], [self._cluster.namenode])
        )
        down_ns = self._rng.randint(10, self._rng.choice((100, 2000, 25_000))) * MS_NS
        how = self._rng.choice(("kill", "kill", "pause", "leave"))

        def recover_later() -> None:
            self._world.after(down_ns, lambda: self._recover(struck))

        if how == "leave" and struck == [worker]:
            self._cluster.worker_machines[number].stop(recover_later)
            return
        for node in struck:
            if how == "pause" and len(struck) == 1:
                self._world.pause(node)
            else:
                self._world.kill(node, power=self._rng.random() < 0.5)
        recover_later()

    def _recover(self, nodes: list[Node]) -> None:
        for node in nodes:
            self._world.resume(node)
            self._world.boot(node)
        self._plan_fault()

    def _calm_down(self) -> None:
        self._is_calm = True
        self._world.network.faults = Faults()
        cluster = self._cluster
        for node in (cluster.namenode, *cluster.datanodes, *cluster.workers):
            self._world.resume(node)
            self._world.boot(node)


def _files_below(client: Client, top: str) -> Iterator[str]:
    """The files of an output and of its side outputs, as paths in it."""
    for folder, _, names in client.walk(top):
        inside = folder.removeprefix(top).removeprefix("/")
        yield from (f"{inside}/{name}" if inside else name for name in names)
