"""Processes that are paused or end inside a call, clocks that differ, and users who wait."""

from __future__ import annotations

from typing import Any

import pytest

from dfs.events import (
    Action,
    Event,
    Now,
    Received,
    Work,
)
from dfs.limits import SECOND_NS
from dfs.testing.cluster import StorageCluster
from dfs.testing.disk import Halted
from dfs.testing.network import HEARTBEAT_LOST_NS
from dfs.testing.node import Process
from dfs.testing.users import UserKilled
from dfs.testing.world import SimulationError, World
from tests.testing.pair import Pair, Recorder


def test_a_paused_process_does_nothing_until_it_goes_on() -> None:
    pair = Pair()
    pair.ping()
    pair.settle()
    pair.world.pause(pair.node_b)
    pair.act(pair.node_b, Work("late", "late"))
    pair.ping(2)
    pair.settle()
    assert (len(pair.b.events), pair.b.worked) == (1, [])
    pair.world.resume(pair.node_b)
    pair.settle()
    asked = [e.origin.request for e in pair.b.events if isinstance(e, Received)]
    assert (asked, pair.b.worked) == ([1, 2], ["late"])
    assert pair.lost(pair.a) == pair.lost(pair.b) == []


def test_a_long_pause_is_silence_and_breaks_links() -> None:
    pair = Pair()
    pair.ping()
    pair.settle()
    pair.world.pause(pair.node_b)
    pair.world.run_for(2 * HEARTBEAT_LOST_NS)
    assert [e.reason for e in pair.lost(pair.a)] == ["it is silent"]
    pair.ping(2)
    pair.world.run_for(2 * HEARTBEAT_LOST_NS)
    assert [e.reason for e in pair.lost(pair.a)] == ["it is silent", "no answer"]
    assert pair.lost(pair.b) == []
    pair.world.resume(pair.node_b)
    pair.settle()
    assert len(pair.lost(pair.b)) == 1
    pair.ping(3)
    pair.settle()
    assert isinstance(pair.b.events[-1], Received)


def test_a_paused_process_can_be_killed() -> None:
    pair = Pair()
    pair.world.pause(pair.node_b)
    pair.world.kill(pair.node_b)
    pair.world.boot(pair.node_b)
    pair.ping()
    pair.settle()
    assert len(pair.b.events) == 1


def test_each_node_has_a_wall_clock_of_its_own() -> None:
    pair = Pair()
    pair.node_b.wall_ahead_ns = -5 * SECOND_NS
    seen: list[Now] = []

    def look(now: Now) -> list[Action]:
        seen.append(now)
        return []

    pair.world.inject(pair.node_a, look)
    pair.world.inject(pair.node_b, look)
    assert seen[0].mono_ns == seen[1].mono_ns
    assert seen[0].wall_ns - seen[1].wall_ns == 5 * SECOND_NS


class Halting(Recorder):
    """A machine whose process ends inside a call of its disk."""

    halts_in = "step"
    lost_process = 0

    def boot(self, now: Now) -> Process:
        if self.halts_in == "boot":
            raise Halted
        return super().boot(now)

    def handle(self, event: Event, now: Now) -> list[Action]:
        if self.halts_in == "step":
            raise Halted
        return super().handle(event, now)

    def execute(self, task: Any) -> Any:
        raise Halted

    def lose_process(self) -> None:
        self.lost_process += 1


@pytest.mark.parametrize("where", ["step", "work", "boot"])
def test_a_process_that_halts_is_gone_and_says_nothing(where: str) -> None:
    pair = Pair()
    machine = pair.node_b.machine = Halting()
    machine.halts_in = where
    pair.world.kill(pair.node_b)
    before = machine.lost_process
    pair.world.boot(pair.node_b)
    if where == "step":
        pair.ping()
    elif where == "work":
        pair.act(pair.node_b, Work("w", "w"))
    pair.settle()
    assert pair.node_b.process is None
    assert machine.lost_power + machine.lost_process - before == 1
    assert not [e for e in pair.a.events if isinstance(e, Received)]


def test_users_wait_at_the_same_time() -> None:
    world, told = World(1), []

    def program(name: str, pause_ns: int) -> None:
        for number in range(3):
            world.run_for(pause_ns)
            told.append(f"{name}{number} at {world.now.mono_ns // SECOND_NS}")
        world.run_until(lambda: len(told) == 6, 100 * SECOND_NS, "both have ended")

    users = [world.begin(lambda: program("a", 2 * SECOND_NS))]
    users.append(world.begin(lambda: program("b", 3 * SECOND_NS)))
    assert told == []
    world.run_until(lambda: all(u.has_ended for u in users), 60 * SECOND_NS, "all have ended")
    assert told == ["a0 at 3", "b0 at 4", "a1 at 5", "a2 at 7", "b1 at 7", "b2 at 10"]


def test_what_a_user_raises_ends_the_simulation() -> None:
    world = World(1)

    def program() -> None:
        world.run_until(lambda: False, SECOND_NS, "a miracle")

    world.begin(program)
    with pytest.raises(SimulationError, match="within 1 s: a miracle did not happen"):
        world.run_for(2 * SECOND_NS)


def test_a_killed_user_ends_where_it_waits() -> None:
    world, told = World(1), []

    def program() -> None:
        try:
            world.run_for(SECOND_NS)
        except UserKilled:
            told.append("killed")
            raise
        told.append("alive")

    user = world.begin(program)
    world.end(user)
    world.end(user)
    world.run_for(5 * SECOND_NS)
    assert (told, user.has_ended) == (["killed"], True)


def test_a_killed_client_writes_no_more() -> None:
    cluster = StorageCluster(1)
    cluster.settle()
    connection = cluster.connect()
    client = connection.client()

    def program() -> None:
        with client.open("/f", "wb") as file:
            file.write(bytes(100_000))
            cluster.settle()

    user = cluster.world.begin(program)
    cluster.settle(SECOND_NS)
    cluster.world.kill(connection.node)
    cluster.world.end(user)
    cluster.settle(90 * SECOND_NS)
    assert not cluster.client("bert").exists("/f")
