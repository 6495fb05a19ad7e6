"""The log on other machines: what stays answered, refused and safe when they come and go."""

from __future__ import annotations

from collections import deque
from random import Random

import pytest

from dfs.client.client import Client
from dfs.datanode.kept_log import LogCopies
from dfs.datanode.log_keeper import KeeperWork
from dfs.errors import Unavailable
from dfs.events import Event, Now, Origin, Received, Send, Work, WorkDone
from dfs.limits import KEEPER_BROKEN_NS, KIB, MS_NS, SECOND_NS
from dfs.namenode.command_codec import CommandCodec
from dfs.namenode.commands import EpochRaised
from dfs.namenode.copy_writer import CopyWriter
from dfs.namenode.journal import open_journal, table_names
from dfs.namenode.keys import EPOCH, NEXT_CHUNK, get_number
from dfs.namenode.log import Log
from dfs.namenode.rebuilder import Outcome, Rebuilder, Wanted
from dfs.namenode.snapshot_store import SnapshotStore
from dfs.namenode.table import MemoryTable
from dfs.testing.cluster import CLUSTER, SEGMENT_BYTES, NamenodeMachine, StorageCluster
from dfs.testing.disk import MemoryDisk
from dfs.testing.view_copier import MemoryCopier, read_rows
from dfs.testing.world import Node
from dfs.wire.keeper import GetKeptLog, KeptLog
from dfs.wire.namespace import GetStatus, Status
from dfs.wire.node import Register
from tests.damage import put
from tests.namenode.listed import listed

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


def rebuilt_from(cluster: StorageCluster, *nodes: Node) -> tuple[MemoryTable, Outcome]:
    """The view that a rebuild makes of what these datanodes keep."""
    table = MemoryTable(table_names(NamenodeMachine.modules))
    disk, copier = MemoryDisk(), MemoryCopier(lambda: table)
    writer = CopyWriter(disk, CLUSTER, copier)
    copies = {n.peer: LogCopies(cluster.disks_of(n)[0], CLUSTER, SEGMENT_BYTES) for n in nodes}
    now = Now(SECOND_NS, 0)
    rebuilder = Rebuilder(Wanted(len(nodes), SECOND_NS, from_chunks=False), now)
    hello = Register(("x",), "h:b", "r", 1, 1, 1, 9, 1)
    events: deque[Event] = deque(Received(Origin(n.peer, 1, 1), hello) for n in nodes)
    while events:
        for action in rebuilder.handle(events.popleft(), now):
            match action:
                case Send(to, message, request):
                    answer = copies[to].execute(KeeperWork(message, b""))
                    origin = Origin(to, 1, request)
                    events.append(Received(origin, answer.message, answer.payload))
                case Work(token, task):
                    writer.execute(task)
                    events.append(WorkDone(token, None, None))
    assert rebuilder.outcome is not None, rebuilder.error
    writer.finish(rebuilder.outcome.base)
    found = SnapshotStore(disk, CLUSTER, copier).whole()
    assert [m.index for m in found] == [i for i in [rebuilder.outcome.base] if i]
    table = read_rows(disk, found[0] if found else None, table_names(NamenodeMachine.modules))
    open_journal(disk, table, NamenodeMachine.modules, CLUSTER)
    return table, rebuilder.outcome


def lose_copy(cluster: StorageCluster, node: Node) -> None:
    """A datanode that is down loses its copy of the log."""
    disk = cluster.disks_of(node)[0]
    for name in [n for n in disk.all_names() if n.startswith("keeper/")]:
        disk.unlink(name)
    for folder in ("keeper/a", "keeper/b", "keeper"):
        if disk.exists(folder):
            disk.sync_folder(folder)


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


class PowerLoss:
    """Whoever is the ``victim`` loses power at the ``last_call`` of a disk, and comes back soon."""

    cluster: StorageCluster
    victim: Node
    disk: MemoryDisk
    last_call: int
    happened: bool

    def watch(self) -> None:
        world = self.cluster.world
        if self.disk.calls.total() < self.last_call:
            world.after(MS_NS // 10, self.watch)
            return
        self.happened = True
        world.kill(self.victim, power=True)
        world.after(300 * MS_NS, lambda: world.boot(self.victim))


class KeeperCrash(PowerLoss):
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
        self.victim = self.node
        if not answer_lost:
            self.disk.fail("*", point)
        self.watch()


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
    lose_copy(cluster, node)
    client.mkdir("/while-away")
    cluster.world.boot(node)
    cluster.settle()
    first, second = (kept_by(cluster, n) for n in cluster.datanodes)
    assert (first.last, first.checksum) == (second.last, second.checksum)
    assert first.last > 50
    assert first.snapshot == second.snapshot > 0
    assert 1 < first.first <= first.snapshot + 1


@pytest.mark.parametrize("seed", range(4))
def test_a_keeper_that_began_after_a_cut_makes_the_whole_namenode_again(seed: int) -> None:
    cluster = StorageCluster(f"cut/{seed}", datanodes=2, replication=1)
    cluster.settle()
    client = cluster.client()
    for number in range(20 + seed):
        client.write_bytes(f"/file-{number}", bytes([number]) * 4 * KIB)
    node = cluster.datanodes[seed % 2]
    cluster.world.kill(node, power=True)
    lose_copy(cluster, node)
    cluster.world.boot(node)
    cluster.settle()
    client.rename("/file-0", "/renamed")
    cluster.settle(SECOND_NS)
    cluster.world.kill(cluster.namenode)
    assert kept_by(cluster, node).first > 1
    table, outcome = rebuilt_from(cluster, node)
    assert outcome.base > 0
    assert table.committed_rows() == namenode_disk(cluster).replayed().committed_rows()


def test_a_damaged_snapshot_is_replaced_though_nothing_can_be_changed_without_it() -> None:
    """The only keeper lost its copy, so it cannot begin without the snapshot."""
    cluster = StorageCluster("damaged", datanodes=1, replication=1)
    cluster.settle()
    client = cluster.client()
    for number in range(8):
        client.write_bytes(f"/file-{number}", bytes([number]) * 4 * KIB)
    node, disk = cluster.datanodes[0], namenode_disk(cluster).disk
    cluster.world.kill(node, power=True)
    lose_copy(cluster, node)
    (name,) = [name for name in disk.all_names() if name.endswith(".mdb")]
    put(disk, name, disk.content(name)[:-1] + b"?")
    cluster.world.boot(node)
    cluster.settle(2 * KEEPER_BROKEN_NS)
    client.rename("/file-0", "/renamed")
    cluster.world.kill(cluster.namenode)
    table, outcome = rebuilt_from(cluster, node)
    assert outcome.base > 0
    assert table.committed_rows() == namenode_disk(cluster).replayed().committed_rows()


class JoinBehindCut(PowerLoss):
    """The only keeper begins anew behind a cut; at a ``point`` in the calls of its disk, it or the
    namenode loses power, and is back soon."""

    def __init__(self, point: int, *, loses_keeper: bool) -> None:
        self.cluster = StorageCluster(f"join/{point}", datanodes=1, replication=1)
        self.cluster.settle()
        self.client = self.cluster.client()
        for number in range(8):
            self.client.write_bytes(f"/file-{number}", bytes([number]) * 4 * KIB)
        self.node = self.cluster.datanodes[0]
        self.victim = self.node if loses_keeper else self.cluster.namenode
        world = self.cluster.world
        world.kill(self.node, power=True)
        lose_copy(self.cluster, self.node)
        self.disk = self.cluster.disks_of(self.node)[0]
        self.last_call = self.disk.calls.total() + point
        self.happened = False
        world.boot(self.node)
        self.watch()


@pytest.mark.parametrize("loses_keeper", [False, True])
def test_a_loss_of_power_while_a_keeper_begins_behind_a_cut_changes_nothing_in_the_end(
    loses_keeper: bool,
) -> None:
    for point in range(1, 1000, 37):
        join = JoinBehindCut(point, loses_keeper=loses_keeper)
        join.client.rename("/file-0", "/renamed")
        happened = join.happened
        join.cluster.settle(2 * SECOND_NS)
        join.cluster.world.kill(join.cluster.namenode)
        table, outcome = rebuilt_from(join.cluster, join.node)
        assert outcome.base > 0
        assert table.committed_rows() == namenode_disk(join.cluster).replayed().committed_rows()
        if not happened:
            assert point > 30, "nobody lost power before the keeper was in step"
            return
    raise AssertionError("the keeper's disk was called more often than expected")


def back_up(machine: NamenodeMachine) -> tuple[int, MemoryTable]:
    """The newest snapshot: its record and its rows."""
    found = SnapshotStore(machine.disk, CLUSTER, MemoryCopier(lambda: machine.table)).whole()
    return found[0].index, read_rows(machine.disk, found[0], table_names(machine.modules))


def restore(machine: NamenodeMachine, index: int, table: MemoryTable, epoch: int) -> None:
    """Put a backup in the place of a namenode that is down; its log begins with this epoch."""
    machine.disk, machine.table = MemoryDisk(), table
    log = Log.begin(machine.disk, CommandCodec(machine.modules), CLUSTER, index + 1)
    log.append([EpochRaised(epoch, get_number(table, NEXT_CHUNK, 1))])
    log.sync()
    log.close()


def put_back(*, raises_epoch: bool) -> tuple[StorageCluster, MemoryTable]:
    """The namespace is put back while a keeper is down that has kept what came after it.

    The cluster with a namenode that was started, and what it had before.
    """
    cluster = StorageCluster("restored", datanodes=2, replication=1)
    cluster.settle()
    client = cluster.client()
    for number in range(8):
        client.write_bytes(f"/file-{number}", bytes([number]) * 4 * KIB)
    cluster.settle()
    index, rows = back_up(namenode_disk(cluster))
    for number in range(50):
        client.mkdir(f"/of-the-old-history-{number}")
    cluster.settle()
    cluster.world.kill(cluster.datanodes[1])
    cluster.world.kill(cluster.namenode)
    lost = namenode_disk(cluster).replayed()
    epoch = get_number(rows, EPOCH, 1)
    restore(namenode_disk(cluster), index, rows, epoch + 1 if raises_epoch else epoch)
    cluster.world.boot(cluster.namenode)
    cluster.settle()
    return cluster, lost


def test_what_was_kept_before_a_restore_is_not_taken_for_what_came_after_it() -> None:
    cluster, _ = put_back(raises_epoch=True)
    new, old = cluster.datanodes
    cluster.client("carl").mkdir("/of-the-new-history")
    cluster.world.kill(cluster.namenode)
    assert kept_by(cluster, old).last > kept_by(cluster, new).last
    table, outcome = rebuilt_from(cluster, new, old)
    assert outcome.node == new.peer.name
    assert table.committed_rows() == namenode_disk(cluster).replayed().committed_rows()


def test_what_was_kept_is_not_written_over_without_a_new_epoch() -> None:
    """As when somebody copies an older folder to its place, instead of restoring a backup."""
    cluster, lost = put_back(raises_epoch=False)
    assert cluster.namenode.process is None
    table, _ = rebuilt_from(cluster, *cluster.datanodes)
    assert listed(table) == listed(lost)


def test_a_namenode_whose_log_lost_its_end_leaves_it_to_its_keeper() -> None:
    """An older copy of the namenode's disk is put back; the keeper has all that is missing."""
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
    assert cluster.namenode.process is None
    table, _ = rebuilt_from(cluster, *cluster.datanodes)
    assert listed(table) == {"/new": None, "/old": None}
