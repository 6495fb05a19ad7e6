"""A process restarts behind each message of a client: puts, appends and gets go on."""

from __future__ import annotations

from functools import partial

import pytest

from dfs.limits import SECOND_NS
from dfs.testing.node import Node
from tests.sim.client_steps import WRITES, Steps

STEPS_MAX = 60
SHORT_NS, LONG_NS = 1 * SECOND_NS, 8 * SECOND_NS
NAMES = ("inline", "one and a half", "three chunks", "append", "append to inline")


def restart(steps: Steps, node: Node, outage_ns: int, *, power: bool) -> None:
    """Kill a process now, and start it again after a while."""
    steps.world.after(0, partial(steps.world.kill, node, power=power))
    steps.world.after(outage_ns, partial(steps.world.boot, node))


@pytest.mark.parametrize("outage_ns", [SHORT_NS, LONG_NS])
@pytest.mark.parametrize("who", ["namenode", "datanode-1"])
@pytest.mark.parametrize("name", NAMES)
def test_a_write_and_its_reading_survive_a_restart(name: str, who: str, outage_ns: int) -> None:
    old, write, new = WRITES[name]
    noticed = 0
    for step in range(1, STEPS_MAX):
        steps = Steps(old, f"{name} {who} {step}")
        namenode = steps.cluster.namenode
        node = namenode if who == "namenode" else steps.cluster.datanodes[0]
        steps.at(step, partial(restart, steps, node, outage_ns, power=step % 2 == 0))
        write(steps.client)
        assert steps.client.read_bytes("/d/f") == new, f"step {step}"
        assert len(steps.notices) <= 1, steps.notices
        if who == "namenode" and steps.notices:
            assert steps.notices[0].startswith("waiting for the namenode at ")
        noticed += len(steps.notices)
        if not steps.has_happened:
            break
    assert not steps.has_happened, f"{STEPS_MAX} steps were not enough"
    assert step > (2 if name == "inline" else 10)
    if who == "namenode":
        assert (noticed > 0) == (outage_ns == LONG_NS)


def test_without_enough_datanodes_a_write_waits_for_those_that_may_come_back() -> None:
    """Two of three restart at once; they are back before they count as dead."""
    _, write, new = WRITES["three chunks"]
    steps = Steps(b"", "two of three")
    for node in steps.cluster.datanodes[:2]:
        steps.world.kill(node)
        steps.world.after(12 * SECOND_NS, partial(steps.world.boot, node))
    write(steps.client)
    assert steps.client.read_bytes("/d/f") == new
    assert steps.world.now.mono_ns < 40 * SECOND_NS
