"""Random users against a storage cluster whose parts fail; one seed, one history."""

from __future__ import annotations

import pytest

from dfs.config.schema import Files
from dfs.testing.cluster import NamenodeMachine, StorageCluster
from dfs.testing.disk import MemoryDisk, MemoryFile
from dfs.testing.workload import Workload
from dfs.testing.world import SimulationError

SEEDS = 200
OPERATIONS = 80


def replay(test: str, seed: int) -> str:
    return f"python -m pytest 'tests/sim/test_storage_seeds.py::{test}[{seed}]'"


@pytest.mark.parametrize("seed", range(SEEDS))
def test_what_was_acknowledged_survives(seed: int) -> None:
    cluster = StorageCluster(seed, replay=replay("test_what_was_acknowledged_survives", seed))
    Workload(cluster, users=1 + seed % 3).run(OPERATIONS)


@pytest.mark.parametrize("seed", range(3))
def test_on_a_healthy_cluster_all_goes_well(seed: int) -> None:
    cluster = StorageCluster(seed, replay=replay("test_on_a_healthy_cluster_all_goes_well", seed))
    Workload(cluster, faults=False).run(OPERATIONS)


class LyingFile(MemoryFile):
    """Says that it is synced."""

    def sync(self) -> None:
        self.size()


class LyingDisk(MemoryDisk):
    """A disk whose files are not synced when they say so."""

    def open(self, name: str, *, write: bool = False) -> MemoryFile:
        file = super().open(name, write=write)
        file.__class__ = LyingFile
        return file

    def create(self, name: str, preallocate_bytes: int = 0) -> MemoryFile:
        file = super().create(name, preallocate_bytes)
        file.__class__ = LyingFile
        return file


def test_a_disk_that_lies_is_found_out() -> None:
    machine = NamenodeMachine(Files(replication=3))
    machine.disk = LyingDisk()
    with pytest.raises(SimulationError, match="before the log is synced"):
        Workload(StorageCluster(1, namenode=machine)).run(OPERATIONS)
