"""A namenode that is stopped for longer than leases and heartbeats may lack harms nobody."""

from __future__ import annotations

from functools import partial

import pytest

from dfs.events import Action, Note, Send
from dfs.limits import SECOND_NS
from dfs.testing import cluster
from dfs.testing.node import Node
from dfs.testing.world import World
from dfs.wire.node import CopyReplica
from mapreduce.limits import ATTEMPT_LEASE_NS
from tests.sim.client_steps import CHUNK, OLD, Steps, new_content, put
from tests.sim.test_job_commit import Running

LEASE_NS = 10 * SECOND_NS
SLEEP_NS = 45 * SECOND_NS
PATIENCE_NS = 120 * SECOND_NS
STEPS_MAX = 40
SIZE = CHUNK * 2


def sleep(world: World, namenode: Node, *, is_cut_off: bool) -> None:
    """The namenode does nothing for longer than a lease, a heartbeat and an attempt may.

    ``is_cut_off``: nothing that is said to it meanwhile waits for it.
    """
    assert max(cluster.TIMES.dead_ns, LEASE_NS, ATTEMPT_LEASE_NS) < SLEEP_NS
    world.pause(namenode)
    for other in [peer for peer in world.nodes if peer != namenode.peer and is_cut_off]:
        world.network.part(namenode.peer, other)

    def wake() -> None:
        world.network.heal()
        world.resume(namenode)

    world.after(SLEEP_NS, wake)


def watch_for_harm(world: World, namenode: Node) -> list[str]:
    """What the namenode says and orders from now on that would be of no use to anybody."""
    harm: list[str] = []

    def watch(node: Node, action: Action) -> None:
        if node is not namenode:
            return
        match action:
            case Note(text) if "is dead" in text or "ended" in text or "lost" in text:
                harm.append(text)
            case Send(message=CopyReplica()):
                harm.append(str(action.message))

    world.watch = watch
    return harm


@pytest.fixture
def short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    times = cluster.TIMES
    short = type(times)(lease_ns=LEASE_NS, repair_after_ns=SECOND_NS)
    monkeypatch.setattr(cluster, "TIMES", short)


@pytest.mark.usefixtures("short_leases")
@pytest.mark.parametrize("is_cut_off", [False, True])
def test_a_writer_goes_on(*, is_cut_off: bool) -> None:
    for step in range(1, STEPS_MAX):
        steps = Steps(OLD, f"asleep {step}", PATIENCE_NS)
        namenode = steps.cluster.namenode
        harm = watch_for_harm(steps.world, namenode)
        steps.at(step, partial(sleep, steps.world, namenode, is_cut_off=is_cut_off))
        put(SIZE)(steps.client)
        assert steps.other.read_bytes("/d/f") == new_content(SIZE), f"step {step}"
        steps.cluster.settle(2 * LEASE_NS)
        assert harm == [], f"step {step}"
        if not steps.has_happened:
            return
    raise AssertionError(f"{STEPS_MAX} steps were not enough")


@pytest.mark.parametrize("is_cut_off", [False, True])
@pytest.mark.parametrize("after_ms", [300, 1500, 3000])
def test_a_job_goes_on(after_ms: int, *, is_cut_off: bool) -> None:
    running = Running()
    world, namenode = running.world, running.cluster.namenode
    world.run_for(after_ms * SECOND_NS // 1000)
    harm = watch_for_harm(world, namenode)
    sleep(world, namenode, is_cut_off=is_cut_off)
    world.run_for(SLEEP_NS)
    running.end()
    assert set(running.attempts()) == {1}
    assert harm == []
