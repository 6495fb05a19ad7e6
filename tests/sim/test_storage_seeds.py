"""A random user against a storage cluster whose parts fail; one seed, one history."""

from __future__ import annotations

import pytest

from dfs.testing.cluster import StorageCluster
from dfs.testing.workload import Workload

SEEDS = 20
OPERATIONS = 60


def replay(test: str, seed: int) -> str:
    return f"python -m pytest 'tests/sim/test_storage_seeds.py::{test}[{seed}]'"


@pytest.mark.parametrize("seed", range(SEEDS))
def test_what_was_acknowledged_survives(seed: int) -> None:
    cluster = StorageCluster(seed, replay=replay("test_what_was_acknowledged_survives", seed))
    Workload(cluster).run(OPERATIONS)


@pytest.mark.parametrize("seed", range(3))
def test_on_a_healthy_cluster_every_legal_change_succeeds(seed: int) -> None:
    cluster = StorageCluster(
        seed,
        replay=replay("test_on_a_healthy_cluster_every_legal_change_succeeds", seed),
    )
    Workload(cluster, faults=False).run(OPERATIONS)
