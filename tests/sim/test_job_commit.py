"""The commit of a job at each moment at which the namenode may die, and attempts that come back
from the dead."""

from __future__ import annotations

import tempfile
from pathlib import Path
from random import Random

import pytest

from dfs.client.client import Client
from dfs.limits import SECOND_NS
from dfs.namenode.namespace import find_deepest
from dfs.testing.cluster import NamenodeMachine
from dfs.testing.disk import ANY_CALL, MemoryDisk
from mapreduce import bundle
from mapreduce.job import Settings
from mapreduce.job_class import source_of
from mapreduce.runners import inline
from mapreduce.runners.cluster import submit, watch
from mapreduce.runners.submission import Submission
from mapreduce.testing.cluster import JobCluster
from mapreduce.wire import JobNews, JobState, ListTasks, TaskKind, TaskList
from tests.sim.sim_jobs import WordCount, text

SEED = 3
CHUNK_BYTES = 16 << 10
SETTINGS = Settings(split_bytes=CHUNK_BYTES)
CONTENT = text(Random(SEED), 60_000)
CALLS_BEFORE, CALLS_AFTER = 12, 3
"""Disk calls of the namenode around the one that makes the commit durable."""


class Running:
    """A word count on a simulated cluster, submitted and under way."""

    def __init__(self) -> None:
        digest = bundle.build(Path(source_of(WordCount))).digest
        self.cluster = JobCluster(SEED, {digest: WordCount})
        self.world = self.cluster.world
        self.client: Client = self.cluster.client()
        self.cluster.settle()
        self.client.write_bytes("/in", CONTENT, chunk_size=CHUNK_BYTES)
        submission = Submission(SETTINGS)
        self.job = submit(self.client, WordCount(), ["/in"], "/out", submission).job_id

    @property
    def machine(self) -> NamenodeMachine:
        machine = self.cluster.namenode.machine
        assert isinstance(machine, NamenodeMachine)
        return machine

    @property
    def disk(self) -> MemoryDisk:
        return self.machine.disk

    def is_published(self) -> bool:
        place, rest = find_deepest(self.cluster.table, "/out")
        return not rest and place.entry is not None

    def isolate_a_worker(self) -> None:
        zombie = self.cluster.workers[0].peer
        for other in self.world.nodes:
            if other != zombie:
                self.world.network.part(zombie, other)

    def end(self) -> JobNews:
        news = watch(self.client, self.job)
        assert news.report.state is JobState.SUCCEEDED
        return news

    def attempts(self) -> list[int]:
        """How often each task was tried."""
        return [
            task.attempt
            for kind in TaskKind
            for page in [self.client.run(self.client.namenode.ask(ListTasks(self.job, kind)))]
            if isinstance(page, TaskList)
            for task in page.tasks
        ]

    def output(self) -> dict[str, bytes]:
        names = [entry.name for entry in self.client.list("/out")]
        return {name: self.client.read_bytes(f"/out/{name}") for name in names}


@pytest.fixture(scope="module")
def expected() -> dict[str, bytes]:
    """What the inline runner writes."""
    with tempfile.TemporaryDirectory() as name:
        source, output = Path(name, "in"), Path(name, "out")
        source.write_bytes(CONTENT)
        inline.run(WordCount(), [str(source)], str(output), SETTINGS)
        return {path.name: path.read_bytes() for path in output.iterdir()}


@pytest.fixture(scope="module")
def commit_call() -> int:
    """The number of the disk call after which the output is public, from the submission on."""
    running = Running()
    before = running.disk.calls.total()
    running.world.run_until(running.is_published, 600 * SECOND_NS, "the commit")
    return running.disk.calls.total() - before


@pytest.mark.parametrize("offset", range(-CALLS_BEFORE, CALLS_AFTER + 1))
def test_the_output_is_absent_or_complete(
    expected: dict[str, bytes], commit_call: int, offset: int
) -> None:
    running = Running()
    node = running.cluster.namenode
    running.disk.fail(ANY_CALL, commit_call + offset)
    running.world.run_until(lambda: node.process is None, 600 * SECOND_NS, "the crash")
    running.machine.lose_power(Random(offset))
    running.world.boot(node)
    if running.is_published():
        assert running.output() == expected
    if offset in (-CALLS_BEFORE, CALLS_AFTER):
        assert running.is_published() == (offset > 0), "the commit lies between"
    running.end()
    assert running.output() == expected
    assert not running.client.exists(f"/.jobs/{running.job}")


@pytest.mark.parametrize("after_ms", [300, 1500, 3000])
def test_a_worker_that_comes_back_after_its_leases_changes_nothing(
    expected: dict[str, bytes], after_ms: int
) -> None:
    running = Running()
    running.world.run_for(after_ms * SECOND_NS // 1000)
    running.isolate_a_worker()
    running.world.run_for(40 * SECOND_NS)
    running.world.network.heal()
    news = running.end()
    assert running.output() == expected
    lines = CONTENT.count(b"\n") + 1
    assert news.report.counters["user"] == {"lines": lines}
    running.world.run_for(60 * SECOND_NS)
    assert running.output() == expected
    assert not running.client.exists(f"/.jobs/{running.job}")


def test_a_zombie_had_something_to_lose() -> None:
    """The worker above really ran attempts that were given up and run again elsewhere."""
    running = Running()
    running.world.run_for(SECOND_NS * 3 // 10)
    running.isolate_a_worker()
    running.end()
    assert max(running.attempts()) > 1
