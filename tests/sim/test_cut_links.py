"""The network is cut for good between each pair at each step: every call of a client ends."""

from __future__ import annotations

from functools import partial

import pytest

from dfs.client.client import Client
from dfs.errors import DfsError
from dfs.events import Peer
from dfs.limits import FRAME_DEADLINE_NS, SEAL_DEADLINE_NS, SECOND_NS
from tests.sim.client_steps import OLD, WRITES, Steps

TIMEOUT_NS = 15 * SECOND_NS
BOUND_NS = 2 * (FRAME_DEADLINE_NS + SEAL_DEADLINE_NS) + 10 * SECOND_NS
"""Beyond the client's timeout: two chains that stall one after the other, and their ends."""

STEPS_MAX = 60
PAIRS = [
    ("anna", "namenode"),
    ("anna", "datanode-1"),
    ("datanode-1", "datanode-2"),
    ("datanode-2", "datanode-3"),
    ("namenode", "datanode-1"),
]


def peer(steps: Steps, name: str) -> Peer:
    return next(p for p in steps.world.nodes if p.name == name)


def get(client: Client) -> None:
    assert client.read_bytes("/d/f") == OLD


OPERATIONS = {
    "put": WRITES["three chunks"][1],
    "append": WRITES["append"][1],
    "inline": WRITES["inline"][1],
    "get": get,
}


@pytest.mark.parametrize("silent", ["there", "back", "both"])
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_call_ends(name: str, pair: tuple[str, str], silent: str) -> None:
    for step in range(1, STEPS_MAX):
        steps = Steps(OLD, f"{name} {pair} {step}", TIMEOUT_NS)
        one, other = (peer(steps, member) for member in pair)
        if silent == "back":
            one, other = other, one
        part = partial(steps.world.network.part, one, other, both_ways=silent == "both")
        steps.at(step, part)
        begin_ns = steps.world.now.mono_ns
        error: DfsError | None = None
        try:
            OPERATIONS[name](steps.client)
        except DfsError as failure:
            error = failure
        took_ns = steps.world.now.mono_ns - begin_ns
        assert took_ns <= TIMEOUT_NS + BOUND_NS, f"step {step}: {took_ns / 1e9:g} s, {error}"
        if "anna" not in pair:  # somebody else can do the work
            assert error is None, f"step {step}: {error!r}"
        elif error is not None:
            assert error.exit_code == 5, f"step {step}: {error!r}"
        if not steps.has_happened:
            break
    assert not steps.has_happened, f"{STEPS_MAX} steps were not enough"
