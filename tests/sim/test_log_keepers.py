"""The log on other machines: what stays answered, refused and safe when they come and go."""

from __future__ import annotations

from random import Random

import pytest

from dfs.client.client import Client
from dfs.datanode.kept_log import LogCopies
from dfs.datanode.log_keeper import KeeperWork
from dfs.errors import Unavailable
from dfs.limits import KIB, MS_NS, SECOND_NS
from dfs.namenode.journal import table_names
from dfs.namenode.table import MemoryTable
from dfs.testing.cluster import CLUSTER, SEGMENT_BYTES, NamenodeMachine, StorageCluster
from dfs.testing.world import Node
from dfs.wire.keeper import GetKeptLog, KeptLog
from dfs.wire.namespace import GetStatus, Status

POINTS_MAX = 80
CONTENT = b"x" * 100


def short(cluster: StorageCluster) -> Client:
    """A client without much patience."""
    return cluster.client("bob", timeout_ns=2 * SECOND_NS)


def reasons(client: Client) -> tuple[str, ...]:
    """What the status says is wrong."""
    status = client.run(client.namenode.ask(GetStatus()))
    assert isinstance(status, Status)
    return status.reasons


def kept_by(cluster: StorageCluster, datanode: Node) -> KeptLog:
    """What the disk of a datanode holds of the log."""
    copies = LogCopies(cluster.disks_of(datanode)[0], CLUSTER, SEGMENT_BYTES)
    answer = copies.execute(KeeperWork(GetKeptLog(), b"")).message
    assert isinstance(answer, KeptLog)
    return answer


def namenode_disk(cluster: StorageCluster) -> NamenodeMachine:
    machine = cluster.namenode.machine
    assert isinstance(machine, NamenodeMachine)
    return machine


def test_without_the_only_other_machine_nothing_changes_and_reads_go_on() -> None:
    cluster = StorageCluster(1, datanodes=1, replication=1)
    cluster.settle()
    client = cluster.client()
    stored = client.write_bytes("/small", b"small")
    assert (stored.durable, stored.hosts) == (2, 2)
    cluster.world.kill(cluster.datanodes[0])
    cluster.settle()
    assert client.read_bytes("/small") == b"small"
    with pytest.raises(Unavailable, match="the log is kept on 1 of 2 machines"):
        short(cluster).write_bytes("/other", b"other")
    with pytest.raises(Unavailable, match="the log is kept on 1 of 2 machines"):
        short(cluster).remove("/small")
    assert any("kept on 1 of 2" in reason for reason in reasons(client))
    cluster.world.boot(cluster.datanodes[0])
    cluster.settle()
    client.remove("/small")
    assert client.list("/") == []
    assert not any("kept on" in reason for reason in reasons(client))


def test_what_was_logged_waits_for_a_machine_and_is_answered_then() -> None:
    cluster = StorageCluster(2, datanodes=1, replication=1)
    cluster.settle()
    client = cluster.client()
    client.mkdir("/a")
    node = cluster.datanodes[0]
    cluster.world.network.part(cluster.namenode.peer, node.peer, both_ways=True)
    cluster.world.after(3 * SECOND_NS, cluster.world.network.heal)
    client.mkdir("/b")
    assert sorted(entry.path for entry in client.list("/")) == ["/a", "/b"]


def test_every_keeper_holds_what_was_acknowledged() -> None:
    cluster = StorageCluster(3)
    cluster.settle()
    client = cluster.client()
    for number in range(30):
        client.write_bytes(f"/file-{number}", b"%d" % number)
    cluster.settle(SECOND_NS)
    found = [kept_by(cluster, node) for node in cluster.datanodes]
    ends = sorted(copy.last for copy in found)
    assert ends[0] == 0  # two keepers are enough
    assert ends[1] == ends[2] > 30


class KeeperCrash:
    """The only keeper loses power in the ``point``-th call of its disk from now, which fails, or
    (``answer_lost``) just behind it; it comes back soon."""

    def __init__(self, point: int, *, answer_lost: bool) -> None:
        self.cluster = StorageCluster(f"{point}/{answer_lost}", datanodes=1, replication=1)
        self.cluster.settle(2 * SECOND_NS)
        self.client = self.cluster.client()
        self.client.mkdir("/d")
        self.node = self.cluster.datanodes[0]
        self.disk = self.cluster.disks_of(self.node)[0]
        self.last_call = self.disk.calls.total() + point
        self.happened = False
        if not answer_lost:
            self.disk.fail("*", point)
        self.watch()

    def watch(self) -> None:
        world = self.cluster.world
        if self.disk.calls.total() < self.last_call:
            world.after(MS_NS // 10, self.watch)
            return
        self.happened = True
        world.kill(self.node, power=True)
        world.after(300 * MS_NS, lambda: world.boot(self.node))


@pytest.mark.parametrize("answer_lost", [False, True])
def test_a_change_survives_a_crash_of_the_keeper_at_every_call_of_its_disk(
    answer_lost: bool,
) -> None:
    for point in range(1, POINTS_MAX):
        crash = KeeperCrash(point, answer_lost=answer_lost)
        crash.client.write_bytes("/d/new", CONTENT)
        crash.client.rename("/d/new", "/d/newer")
        crash.cluster.settle()
        assert crash.client.read_bytes("/d/newer") == CONTENT
        if not crash.happened:
            assert point > 4, "no call of the disk was hit"
            return
        assert kept_by(crash.cluster, crash.node).last >= 4
    raise AssertionError("the keeper's disk was called more often than expected")


def test_a_keeper_that_comes_back_empty_gets_the_whole_log() -> None:
    cluster = StorageCluster(5, datanodes=2, replication=1)
    cluster.settle()
    client = cluster.client()
    for number in range(50):
        client.write_bytes(f"/file-{number}", bytes([number]) * 8 * KIB)
    node = cluster.datanodes[0]
    cluster.world.kill(node, power=True)
    disk = cluster.disks_of(node)[0]
    for name in [n for n in disk.all_names() if n.startswith("keeper/")]:
        disk.unlink(name)
    disk.sync_folder("keeper/a")
    disk.sync_folder("keeper")
    client.mkdir("/while-away")
    cluster.world.boot(node)
    cluster.settle()
    first, second = (kept_by(cluster, n) for n in cluster.datanodes)
    assert (first.last, first.checksum) == (second.last, second.checksum)
    assert first.last > 50
    assert len([n for n in disk.all_names() if n.endswith(".log")]) > 1


def test_the_copy_of_a_namenode_that_lost_its_end_takes_the_new_end() -> None:
    """An older copy of the namenode's disk is put back: the keeper follows it."""
    cluster = StorageCluster(6, datanodes=1, replication=1)
    cluster.settle()
    client = cluster.client()
    client.mkdir("/old")
    cluster.settle(SECOND_NS)
    machine = namenode_disk(cluster)
    cluster.world.kill(cluster.namenode)
    names = machine.disk.all_names()
    older = {name: machine.disk.content(name) for name in names}
    cluster.world.boot(cluster.namenode)
    cluster.settle(3 * SECOND_NS)
    client.mkdir("/new")
    cluster.world.kill(cluster.namenode)
    for name in machine.disk.all_names():
        if name not in older:
            machine.disk.unlink(name)
            continue
        file = machine.disk.open(name, write=True)
        file.write_at(0, older[name])
        file.sync()
    machine.lose_power(Random(1))
    machine.table = MemoryTable(table_names(machine.modules))
    cluster.world.boot(cluster.namenode)
    cluster.settle()
    assert [e.path for e in cluster.client("carl").list("/")] == ["/old"]
    cluster.client("carl").mkdir("/other")
    assert kept_by(cluster, cluster.datanodes[0]).last > 0
