"""Real clusters: one that tests share, and one for each test that breaks it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cluster_here import ClusterHere


def _ended(cluster: ClusterHere) -> None:
    if cluster.folder.exists():
        cluster.check_metadata()
        cluster.minidfs("down", code=None)
        assert cluster.all_pids() == []


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterHere]:
    """A cluster of three nodes that all tests of a process share."""
    shared = ClusterHere(tmp_path_factory.mktemp("cluster") / "home")
    shared.minidfs("up")
    yield shared
    _ended(shared)


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[ClusterHere]:
    """A cluster that is not started yet, for tests that break it."""
    own = ClusterHere(tmp_path / "home")
    yield own
    _ended(own)
