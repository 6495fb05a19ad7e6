"""A worker far slower than the others, on a whole simulated cluster: backups win."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfs.limits import SECOND_NS
from mapreduce import bundle
from mapreduce.job_class import source_of
from mapreduce.runners.asking import ask
from mapreduce.testing.cluster import JobCluster
from mapreduce.testing.workload import JobWorkload
from mapreduce.wire import EventList, JobNews, ListEvents, WatchJob
from tests.sim.sim_jobs import WordCount, text

TASK_NS = 8 * SECOND_NS
SLOW_NS = 300 * SECOND_NS


@pytest.mark.parametrize("seed", range(3))
def test_a_backup_wins_against_a_slow_worker(seed: int) -> None:
    packed = bundle.build(Path(source_of(WordCount)))
    cluster = JobCluster(seed, {packed.digest: WordCount})
    for machine in cluster.worker_machines:
        machine.task_ns = TASK_NS
    cluster.worker_machines[1].task_ns = SLOW_NS
    content = text(cluster.world.rng("files"), 60_000)
    JobWorkload(cluster, WordCount(), {"a": content}).run(faults=False)
    client = cluster.client()
    events = ask(client, ListEvents("@last"), EventList).events
    backups = [event.attempt for event in events if event.kind == "backup_started"]
    done = [event for event in events if event.kind == "attempt_done"]
    killed = [event for event in events if event.kind == "attempt_killed"]
    beaten = [event for event in killed if "was faster" in event.text]
    in_the_way = [event for event in killed if "needs the slot" in event.text]
    assert backups
    assert set(backups) <= {event.attempt for event in done}
    assert len(killed) == len(beaten) + len(in_the_way)
    assert {event.worker for event in beaten} == {"worker-2"}
    assert all(str(event.attempt).startswith("r-") for event in in_the_way)
    assert len({event.attempt.partition(".")[0] for event in done}) == len(done)
    report = ask(client, WatchJob("@last"), JobNews).report
    assert report.counters["user"] == {"lines": content.count(b"\n") + 1}
    cluster.world.run_for(10 * SECOND_NS)
    assert [len(machine.runs) for machine in cluster.worker_machines] == [0, 0, 0]
