"""A lease lasts as long as its client lives, however long the datanodes keep it waiting."""

from __future__ import annotations

from functools import partial

import pytest

from dfs.errors import DfsError
from dfs.limits import SECOND_NS
from dfs.testing import cluster
from dfs.testing.users import UserKilled
from tests.sim.client_steps import CHUNK, OLD, Steps, new_content, put

LEASE_NS = 3 * SECOND_NS
STALL_NS = 8 * LEASE_NS
STEPS_MAX = 40
SIZE = CHUNK * 2


@pytest.fixture(autouse=True)
def short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    times = cluster.TIMES
    short = type(times)(lease_ns=LEASE_NS, repair_after_ns=times.repair_after_ns)
    monkeypatch.setattr(cluster, "TIMES", short)


def stall(steps: Steps, stopped: tuple[int, ...]) -> None:
    """These datanodes do nothing for far longer than a lease lasts."""
    nodes = [steps.cluster.datanodes[at] for at in stopped]
    for node in nodes:
        steps.world.pause(node)
        steps.world.after(STALL_NS, partial(steps.world.resume, node))


@pytest.mark.parametrize("stopped", [(0,), (1,), (2,), (0, 1, 2)], ids=str)
def test_a_put_outlives_datanodes_that_stop_for_longer_than_its_lease(
    stopped: tuple[int, ...],
) -> None:
    for step in range(1, STEPS_MAX):
        steps = Steps(OLD, f"{stopped} {step}")
        steps.at(step, partial(stall, steps, stopped))
        error: DfsError | None = None
        try:
            put(SIZE)(steps.client)
        except DfsError as failure:
            error = failure
        if len(stopped) == 1:
            assert error is None, f"step {step}: {error!r}"
        wanted = new_content(SIZE)
        if error is not None:  # in time, and for lack of nodes: never the lease
            assert error.exit_code == 5, f"step {step}: {error!r}"
            wanted = OLD
        steps.cluster.settle(2 * STALL_NS)
        assert steps.other.read_bytes("/d/f") == wanted, f"step {step}"
        if not steps.has_happened:
            break
    assert not steps.has_happened, f"{STEPS_MAX} steps were not enough"


def test_without_renewals_the_lease_ends() -> None:
    """The other tests would notice."""
    steps = Steps(OLD, "dead")
    file = steps.client.open("/d/f", "wb", chunk_size=CHUNK, min_durable=2)
    file.write(new_content(SIZE))
    assert steps.rows("leases") == 1
    steps.kill_client()
    steps.cluster.settle(2 * LEASE_NS)
    assert steps.rows("leases") == 0
    with pytest.raises(UserKilled):
        file.close()
