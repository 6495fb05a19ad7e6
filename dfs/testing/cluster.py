"""A storage cluster in one thread: the production cores over simulated disks and links."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from dfs.client.client import Client
from dfs.client.namenode import ClientSettings
from dfs.config.schema import Files, Times
from dfs.datanode.core import DatanodeCore, DatanodeSettings
from dfs.datanode.kept_log import LogCopies, with_log
from dfs.datanode.store import ChunkStore
from dfs.datanode.tasks import Placed, SpaceMeasured, VolumeFound
from dfs.errors import StorageFault
from dfs.events import NAMENODE, Now, Peer, Role
from dfs.limits import KIB, SECOND_NS
from dfs.namenode.apply import MODULE
from dfs.namenode.core import NamenodeSettings, NamespaceCore
from dfs.namenode.fsck import Fsck, find_problems
from dfs.namenode.journal import open_journal, table_names
from dfs.namenode.keepers import Keepers
from dfs.namenode.log import Log
from dfs.namenode.module import Module
from dfs.namenode.server import NamenodeCore
from dfs.namenode.snapshot_store import SnapshotStore
from dfs.namenode.snapshots import Snapshots
from dfs.namenode.table import MemoryTable, Table
from dfs.namenode.view_recovery import choose_source
from dfs.net.step import JournalStep, PlainStep
from dfs.testing.client import SimulatedConnection
from dfs.testing.disk import MemoryDisk
from dfs.testing.node import Node, Process
from dfs.testing.view_copier import MemoryCopier, read_rows
from dfs.testing.world import World

CLUSTER = "simulated"
SEGMENT_BYTES = 10 * KIB
SNAPSHOT_EVERY_BYTES = 12 * KIB
"""So small that a history of a minute cuts the log several times."""

VOLUMES = 2
ROWS_CHECKED_PER_TURN = 8
TIMES = Times(repair_after_ns=10 * SECOND_NS)
HOST = "host-of-namenode"
NAMENODE_ENDPOINTS = ("sim://namenode",)


class NamenodeMachine:
    """The disk of one namenode, with log and snapshots, and its view, on a host of its own."""

    modules: tuple[Module, ...] = (MODULE,)

    def __init__(self, files: Files) -> None:
        self.disk = MemoryDisk()
        self.table = MemoryTable(table_names(self.modules))
        self.notes: list[str] = []
        self._is_view_lost = False
        self._settings = NamenodeSettings(CLUSTER, "root", files, TIMES)

    def boot(self, now: Now) -> Process:
        self.table.abort()  # what one that did not come up has applied
        store = SnapshotStore(self.disk, CLUSTER, MemoryCopier(lambda: self.table))
        if self._is_view_lost:
            self.table = self._made_again()
            self._is_view_lost = False
        log = open_journal(self.disk, self.table, self.modules, CLUSTER, SEGMENT_BYTES)
        store.clean()
        core = self.compose(self.table, now)
        step = JournalStep(core, self.modules, log, self.table)
        keepers = Keepers(HOST, self._settings.files.min_durable, core.nodes, self.table, log)
        step.keep_elsewhere(keepers)
        step.run([], now)
        snapshots = Snapshots(log, self.table, store.whole(), SNAPSHOT_EVERY_BYTES)
        step.take_snapshots(snapshots)
        keepers.send_newest_of(snapshots)
        checks = self._check_some_rows(log)
        return Process(step, store.execute, checks, self.disk.check_running)

    def _check_some_rows(self, log: Log) -> Callable[[], None]:
        """A check of a few rows after each turn, all tables in time, then from the start again."""
        fsck = Fsck(self.modules)

        def check() -> None:
            found = fsck.step(self.table, log.next_index, ROWS_CHECKED_PER_TURN)
            assert not found, found[0]

        return check

    def compose(self, table: Table, now: Now) -> NamenodeCore:
        """The core of the process, or several joined into one."""
        return NamespaceCore(self._settings, table, now)

    def replayed(self) -> MemoryTable:
        """What the newest snapshot and the log say; only while the process is down."""
        table = self._made_again()
        open_journal(self.disk, table, self.modules, CLUSTER, SEGMENT_BYTES)
        return table

    def _made_again(self) -> MemoryTable:
        """A view as of the newest snapshot, or an empty one while the log has its first record."""
        store = SnapshotStore(self.disk, CLUSTER, MemoryCopier(lambda: self.table))
        source = choose_source(self.disk, CLUSTER, store, "the view is lost", self.notes.append)
        return read_rows(self.disk, source, table_names(self.modules))

    def lose_process(self) -> None:
        self.disk.gone()
        self.table.abort()

    def lose_power(self, rng: Random) -> None:
        """The view stays as of its last commit, loses that one too, or is lost altogether."""
        self.disk.crash(rng)
        fate = rng.random()
        if fate < 1 / 3:
            self.table.abort()
        elif fate < 2 / 3:
            self.table.lose_commit()
        else:
            self.table.abort()
            self._is_view_lost = True


class DatanodeMachine:
    """The disks of one datanode, one for each volume; each node on a host of its own."""

    def __init__(self, name: str, capacity_bytes: int) -> None:
        self.disks = [MemoryDisk(capacity_bytes) for _ in range(VOLUMES)]
        self._settings = DatanodeSettings(
            cluster=CLUSTER,
            node=name,
            host=f"host-of-{name}",
            rack="default",
            endpoints=(f"sim://{name}", f"fd:{name}"),
            namenode_endpoints=NAMENODE_ENDPOINTS,
        )

    def boot(self, now: Now) -> Process:
        stores = []
        found = []
        for number, disk in enumerate(self.disks):
            try:
                store = ChunkStore(disk, CLUSTER, number)
                volume = VolumeFound(
                    f"disk-{number}", store.scan(), SpaceMeasured(*disk.space()), 0
                )
            except OSError as error:
                raise StorageFault(f"disk-{number} cannot be used: {error}") from error
            stores.append(store)
            found.append(volume)

        def execute(placed: Placed) -> Any:
            return stores[placed.volume].execute(placed.task)

        core = DatanodeCore(self._settings, found, now)
        copies = LogCopies(self.disks[0], CLUSTER, SEGMENT_BYTES)
        return Process(
            PlainStep(core), with_log(execute, copies), check_running=self._check_running
        )

    def _check_running(self) -> None:
        for disk in self.disks:
            disk.check_running()

    def lose_process(self) -> None:
        for disk in self.disks:
            disk.gone()  # what was written stays in the page cache

    def lose_power(self, rng: Random) -> None:
        for disk in self.disks:
            disk.crash(rng)


class StorageCluster:
    """A namenode and datanodes in one ``World``; ``client`` makes a ``Client`` of it.

    ``capacity_bytes`` is the size of each disk.
    """

    def __init__(
        self,
        seed: int | str,
        datanodes: int = 3,
        *,
        replication: int = 3,
        capacity_bytes: int = 1 << 40,
        replay: str = "",
        namenode: NamenodeMachine | None = None,
    ) -> None:
        self.world = World(seed, replay)
        self.capacity_bytes = capacity_bytes
        self._machine = namenode or NamenodeMachine(Files(replication=replication))
        self.namenode = self.world.add(NAMENODE, NAMENODE_ENDPOINTS, self._machine)
        self.datanodes: list[Node] = []
        for _ in range(datanodes):
            self.add_datanode()

    @property
    def table(self) -> Table:
        """The namenode's view."""
        return self._machine.table

    def replayed(self) -> MemoryTable:
        """What the namenode's log says; only while the namenode is down."""
        return self._machine.replayed()

    def disks_of(self, node: Node) -> list[MemoryDisk]:
        """The disks of the namenode, which has one, or of a datanode: one for each volume."""
        machine = node.machine
        assert isinstance(machine, NamenodeMachine | DatanodeMachine)
        return machine.disks if isinstance(machine, DatanodeMachine) else [machine.disk]

    def durable_content(self, datanode: Node, name: str) -> bytes | None:
        """What a loss of power would leave of a file, whichever volume it lies on."""
        found = (disk.durable_content(name) for disk in self.disks_of(datanode))
        return next((content for content in found if content is not None), None)

    def replace_disks(self, datanode: Node) -> None:
        """Give a datanode that is down empty disks."""
        assert isinstance(datanode.machine, DatanodeMachine)
        datanode.machine.disks = [MemoryDisk(self.capacity_bytes) for _ in range(VOLUMES)]

    def connect(self, name: str = "anna", timeout_ns: int = 60 * SECOND_NS) -> SimulatedConnection:
        """The connection of a new client process, on the host of a datanode or on its own."""
        number = sum(name.encode())
        beside = self.datanodes[number % len(self.datanodes)].peer.name
        host = f"host-of-{beside if number % 2 else name}"
        settings = ClientSettings(CLUSTER, NAMENODE_ENDPOINTS, host, timeout_ns)
        return SimulatedConnection(self.world, name, settings)

    def client(self, name: str = "anna", timeout_ns: int = 60 * SECOND_NS) -> Client:
        """A new client."""
        return self.connect(name, timeout_ns).client()

    def check(self) -> None:
        """Every invariant of the namenode's tables holds."""
        found = find_problems(self.table, self._machine.modules)
        if found:
            self.world.fail("\n".join(map(str, found)))

    def settle(self, duration_ns: int = 5 * SECOND_NS) -> None:
        """Let time pass, for instance until the datanodes have registered."""
        self.world.run_for(duration_ns)

    def add_datanode(self) -> Node:
        """Start one more datanode, on a machine of its own."""
        name = f"datanode-{len(self.datanodes) + 1}"
        machine = DatanodeMachine(name, self.capacity_bytes)
        node = self.world.add(Peer(Role.DATANODE, name), (f"sim://{name}",), machine)
        self.datanodes.append(node)
        return node
