"""The simulated world keeps the transport's promises, and one seed is one history."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dfs.errors import Refused, StorageFault
from dfs.events import (
    Action,
    Event,
    Now,
    Origin,
    Peer,
    Received,
    Role,
    Send,
    Work,
    WorkDone,
)
from dfs.limits import MS_NS, SECOND_NS
from dfs.testing.cluster import StorageCluster
from dfs.testing.network import HEARTBEAT_LOST_NS, Faults
from dfs.testing.node import Process
from dfs.testing.world import SimulationError, World
from dfs.wire.common import Failed, Ping
from tests.testing.pair import A, B, Pair, Recorder


def test_messages_arrive_in_order_and_answers_return() -> None:
    pair = Pair()
    for number in range(1, 30):
        pair.ping(number)
    pair.settle()
    asked = [e.origin.request for e in pair.b.events if isinstance(e, Received)]
    answered = [e.origin.request for e in pair.a.events if isinstance(e, Received)]
    assert asked == answered == list(range(1, 30))


def test_orders_go_back_over_the_peers_own_connection() -> None:
    pair = Pair()
    pair.ping()
    pair.settle()
    pair.act(pair.node_b, Send(A, Ping(), 77))
    pair.settle()
    first, order = pair.a.events
    assert isinstance(order, Received)
    assert isinstance(first, Received)
    assert order.origin == Origin(B, first.origin.link, 77)


def test_a_killed_process_is_noticed_and_a_dead_one_refuses() -> None:
    pair = Pair()
    pair.ping()
    pair.settle()
    pair.world.kill(pair.node_b)
    pair.settle()
    pair.ping(2)
    pair.settle()
    assert [e.reason for e in pair.lost(pair.a)] == [
        "the connection broke",
        "nobody listens at sim://b",
    ]
    pair.world.boot(pair.node_b)
    pair.ping(3)
    pair.settle()
    assert [e.origin.request for e in pair.b.events if isinstance(e, Received)] == [3]
    assert pair.node_b.boots == 2


def test_another_process_at_the_address_is_refused() -> None:
    pair = Pair()
    pair.act(pair.node_a, Send(Peer(Role.WORKER, "w"), Ping(), 1, endpoints=("sim://b",)))
    pair.settle()
    (lost,) = pair.lost(pair.a)
    assert lost.refused


def test_without_address_or_link_the_link_is_lost() -> None:
    pair = Pair()
    pair.act(pair.node_a, Send(B, Ping(), 1))
    pair.settle()
    assert len(pair.lost(pair.a)) == 1


def test_a_partition_is_silent_first_and_breaks_links_later() -> None:
    pair = Pair()
    pair.ping()
    pair.settle()
    pair.world.network.part(A, B)
    pair.ping(2)
    pair.settle()
    assert (len(pair.a.events), len(pair.b.events)) == (1, 1)
    pair.world.run_for(HEARTBEAT_LOST_NS)
    assert len(pair.lost(pair.a)) == len(pair.lost(pair.b)) == 1
    pair.world.network.heal()
    pair.ping(3)
    pair.settle()
    assert isinstance(pair.b.events[-1], Received)


def test_a_short_partition_breaks_nothing() -> None:
    pair = Pair()
    pair.ping()
    pair.settle()
    pair.world.network.part(A, B, both_ways=False)
    pair.settle()
    pair.world.network.heal()
    pair.world.run_for(2 * HEARTBEAT_LOST_NS)
    assert pair.lost(pair.a) == pair.lost(pair.b) == []


@pytest.mark.parametrize(
    ("faults", "count"), [(Faults(drop=1.0), 0), (Faults(double=1.0), 20), (Faults(), 10)]
)
def test_faults_drop_and_double_messages(faults: Faults, count: int) -> None:
    pair = Pair()
    pair.world.network.faults = faults
    for number in range(10):
        pair.ping(number + 1)
    pair.settle()
    assert len(pair.b.events) == count


def test_faults_let_messages_overtake_each_other() -> None:
    pair = Pair()
    pair.world.network.faults = Faults(overtake=1.0)
    for number in range(50):
        pair.ping(number + 1)
    pair.settle()
    arrived = [e.origin.request for e in pair.b.events if isinstance(e, Received)]
    assert sorted(arrived) == list(range(1, 51)) != arrived


def test_work_of_one_lane_ends_in_order_and_errors_come_back() -> None:
    pair = Pair()
    tasks = [Work(n, "bad" if n == 3 else n, lane=7) for n in range(6)]
    pair.act(pair.node_a, *tasks)
    pair.settle()
    done = [e for e in pair.a.events if isinstance(e, WorkDone)]
    assert [d.token for d in done] == list(range(6))
    assert [d.token for d in done if d.error] == [3]
    assert pair.a.worked == [0, 1, 2, 4, 5]


def test_a_crash_ends_waiting_work() -> None:
    pair = Pair()
    pair.act(pair.node_a, *[Work(n, n, lane=1) for n in range(100)])
    pair.world.run_for(20 * MS_NS)
    pair.world.kill(pair.node_a, power=True)
    before = len(pair.a.worked)
    pair.world.boot(pair.node_a)
    pair.settle()
    assert 0 < before == len(pair.a.worked) < 100
    assert pair.a.lost_power == 1
    assert pair.a.events == []


def test_an_error_of_ours_ends_the_process_and_a_bug_the_simulation() -> None:
    def react(event: Event) -> list[Action]:
        raise StorageFault("the disk is gone")

    pair = Pair(react)
    pair.ping()
    pair.settle()
    assert pair.node_b.process is None
    assert len(pair.lost(pair.a)) == 1

    def bug(event: Event) -> list[Action]:
        raise ZeroDivisionError("oops")

    pair = Pair(bug)
    pair.ping()
    with pytest.raises(SimulationError) as caught:
        pair.settle()
    text = str(caught.value)
    for part in ("datanode-2 failed", "oops", "seed 1", "replay: the command", "Ping #1"):
        assert part in text


def test_a_machine_that_cannot_boot_stays_down() -> None:
    class Broken(Recorder):
        def boot(self, now: Now) -> Process:
            raise StorageFault("foreign disk")

    world = World(1)
    node = world.add(A, (), Broken())
    assert node.process is None
    assert "foreign disk" in world.trace.last_lines()


def test_what_does_not_happen_in_time_fails() -> None:
    pair = Pair()
    with pytest.raises(SimulationError, match="within 1 s: a miracle did not happen"):
        pair.world.run_until(lambda: False, SECOND_NS, "a miracle")


def test_messages_go_through_the_codec() -> None:
    pair = Pair()
    pair.act(pair.node_a, Send(B, Failed.of(Refused("no")), 4, b"payload", ("sim://b",)))
    pair.settle()
    (event,) = pair.b.events
    assert isinstance(event, Received)
    assert (event.message, event.payload) == (Failed.of(Refused("no")), b"payload")


ROOT = Path(__file__).parents[2]


def digest_of(seed: int, hash_seed: str) -> str:
    """The digest of one seed in a process of its own."""
    program = (
        "from dfs.testing.cluster import StorageCluster\n"
        "from dfs.testing.workload import Workload\n"
        f"cluster = StorageCluster({seed})\n"
        "Workload(cluster, users=3).run(60)\n"
        "print(cluster.world.trace.count, cluster.world.trace.digest())\n"
    )
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    return subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def test_one_seed_is_one_history_whatever_the_hashes() -> None:
    first = digest_of(5, "1")
    assert first == digest_of(5, "2")
    assert first != digest_of(6, "1")


def test_a_cluster_serves_while_a_datanode_and_then_the_namenode_are_away() -> None:
    cluster = StorageCluster(1)
    cluster.settle()
    client = cluster.client()
    data = bytes(range(256)) * 3000
    client.write_bytes("/d/a", data, chunk_size=1 << 18)
    assert len(client.locations("/d/a")[0].nodes) == 3
    cluster.world.kill(cluster.datanodes[0])
    assert client.read_bytes("/d/a") == data
    cluster.world.kill(cluster.namenode, power=True)
    cluster.world.after(3 * SECOND_NS, lambda: cluster.world.boot(cluster.namenode))
    client.write_bytes("/d/b", data, chunk_size=1 << 18)
    assert [e.path for e in client.list("/d")] == ["/d/a", "/d/b"]
