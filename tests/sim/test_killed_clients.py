"""A client is killed behind each message of a write: once its lease is over nothing is left."""

from __future__ import annotations

from contextlib import suppress

import pytest

from dfs.limits import SECOND_NS
from dfs.testing.users import UserKilled
from tests.sim.client_steps import CHUNK, OLD, WRITES, Steps

LEASE_AND_SWEEP_NS = 75 * SECOND_NS
STEPS_MAX = 60


def end_in(step: int, name: str) -> Steps:
    """The cluster after a client was killed at this step; ``sent`` tells if it got that far."""
    old, write, _ = WRITES[name]
    steps = Steps(old, f"{name} {step}")
    steps.at(step, steps.kill_client)
    with suppress(UserKilled):  # not every step is reached
        write(steps.client)
    steps.cluster.settle(LEASE_AND_SWEEP_NS)
    return steps


@pytest.mark.parametrize("name", WRITES)
def test_a_client_that_is_killed_leaves_nothing(name: str) -> None:
    old, _, new = WRITES[name]
    appends = name.startswith("append")
    seen: dict[bytes, None] = {}
    for step in range(1, STEPS_MAX):
        steps = end_in(step, name)
        found = steps.other.read_bytes("/d/f")
        seen[found] = None
        whole = found in (old, new)
        committed = appends and new.startswith(found) and len(found) >= len(old)
        assert whole or committed, f"step {step}: {len(found)} bytes"
        assert steps.rows("leases") == steps.rows("reserved") == steps.rows("reap") == 0, step
        assert len(steps.files()) == 1, f"step {step}"
        chunks = steps.other.locations("/d/f")
        assert len(steps.chunk_files()) == sum(len(c.nodes) for c in chunks), f"step {step}"
        assert all(len(c.nodes) == 3 for c in chunks), f"step {step}"
        if not steps.is_cut:
            break
    assert not steps.is_cut, f"{STEPS_MAX} steps were not enough"
    assert old in seen
    assert new in seen
    assert step > (2 if name == "inline" else 3)


def test_an_append_that_was_cut_off_ends_behind_its_committed_chunks() -> None:
    found = [end_in(step, "append").other.read_bytes("/d/f") for step in range(1, 14)]
    lengths = {len(content) - len(OLD) for content in found}
    assert {0, CHUNK} <= lengths <= {0, CHUNK, CHUNK * 3 // 2}
