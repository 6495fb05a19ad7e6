"""Put, word count, get on a whole simulated cluster while its machines crash."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import mapreduce as mr
from mapreduce import bundle
from mapreduce.job_class import source_of
from mapreduce.testing.cluster import JobCluster
from mapreduce.testing.workload import JobWorkload
from tests.sim.sim_jobs import MostFrequent, WordCount, text

SEEDS = range(20)


CHAIN_SEEDS = range(100, 106)


def run_job(seed: int, *, faults: bool, job_class: type[mr.Job] = WordCount) -> JobCluster:
    packed = bundle.build(Path(source_of(job_class)))
    test = "a_job" if job_class is WordCount else "a_chain"
    replay = f"python -m pytest 'tests/sim/test_job_seeds.py::test_{test}_survives[seed_{seed}]'"
    cluster = JobCluster(seed, {packed.digest: job_class}, replay=replay)
    rng = cluster.world.rng("files")
    sizes = {"a": 100_000, "b": 40_000, "c": 17, "empty": 0}
    files = {name: text(rng, size) for name, size in sizes.items()}
    JobWorkload(cluster, job_class(), files).run(faults=faults)
    return cluster


def test_a_job_runs_undisturbed() -> None:
    run_job(0, faults=False)


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: f"seed_{seed}")
def test_a_job_survives(seed: int) -> None:
    run_job(seed, faults=True)


@pytest.mark.parametrize("seed", CHAIN_SEEDS, ids=lambda seed: f"seed_{seed}")
def test_a_chain_survives(seed: int) -> None:
    cluster = run_job(seed, faults=True, job_class=MostFrequent)
    assert [entry.name for entry in cluster.client().list("/.jobs")] == ["bundles"]


def test_a_seed_determines_everything() -> None:
    script = (
        "from tests.sim.test_job_seeds import run_job\n"
        "print(run_job(7, faults=True).world.trace.digest())"
    )
    digests = [
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert digests[0] == digests[1]
    assert len(digests[0].strip()) == 32
