"""Random faults of a storage cluster, within what it promises to survive.

One at a time: the namenode or one datanode is killed or loses power; one datanode and
the namenode do not hear each other, in one direction or both; the whole room loses
power; a bit of a chunk flips, always on the first datanode, so that good copies are
left. What is down comes back after a while. Each seed also has its own kind of bad
network, some a good one.
"""

from __future__ import annotations

from dfs.limits import MS_NS
from dfs.testing.cluster import StorageCluster
from dfs.testing.network import Faults
from dfs.testing.world import Node

DELAYS_MS = (5, 50, 500, 3000)
OUTAGES_MS = (100, 2000, 25_000)
KINDS = ("namenode", "datanode", "datanode", "partition", "everything", "rot")


class StorageFaults:
    """One fault after the other, from ``begin`` to ``end``."""

    def __init__(self, cluster: StorageCluster) -> None:
        self._cluster = cluster
        self._world = cluster.world
        self._rng = cluster.world.rng("faults")
        self._has_ended = False

    def begin(self) -> None:
        """Spoil the network and plan the first fault."""
        rng = self._rng
        self._world.network.faults = Faults(
            delay_max_ns=rng.choice((1, 5, 50)) * MS_NS,
            drop=rng.choice((0.0, 0.0, 0.01)),
            double=rng.choice((0.0, 0.0, 0.01)),
            overtake=rng.choice((0.0, 0.0, 0.01)),
            break_link=rng.choice((0.0, 0.005)),
        )
        self._plan()

    def end(self) -> None:
        """No more faults: the network is good and everything is started."""
        self._has_ended = True
        self._world.network.faults = Faults()
        self._world.network.heal()
        for node in (self._cluster.namenode, *self._cluster.datanodes):
            self._world.boot(node)

    def _plan(self) -> None:
        delay_ms = self._rng.randint(1, self._rng.choice(DELAYS_MS))
        self._world.after(delay_ms * MS_NS, self._strike)

    def _strike(self) -> None:
        """Let something happen, and plan the recovery."""
        if self._has_ended:
            return
        rng = self._rng
        kind = rng.choice(KINDS)
        struck = self._struck(kind)
        for node in struck:
            self._world.kill(node, power=kind == "everything" or rng.random() < 0.5)
        down_ms = rng.randint(10, rng.choice(OUTAGES_MS))
        self._world.after(down_ms * MS_NS, lambda: self._recover(struck))

    def _struck(self, kind: str) -> list[Node]:
        """The nodes that go down; what takes none down is done here."""
        namenode, datanodes = self._cluster.namenode, self._cluster.datanodes
        match kind:
            case "namenode":
                return [namenode]
            case "datanode":
                return [self._rng.choice(datanodes)]
            case "everything":
                return [namenode, *datanodes]
            case "partition":
                self._part(self._rng.choice(datanodes), namenode)
            case "rot":
                self._rot(datanodes[0])
        return []

    def _part(self, datanode: Node, namenode: Node) -> None:
        self._world.note(datanode.peer, "is parted from the namenode")
        both_ways = self._rng.random() < 0.5
        self._world.network.part(datanode.peer, namenode.peer, both_ways=both_ways)

    def _rot(self, datanode: Node) -> None:
        disk = self._cluster.disk_of(datanode)
        chunks = [name for name in disk.all_names() if name.endswith(".chunk")]
        if chunks:
            name = self._rng.choice(chunks)
            offset = self._rng.randrange(len(disk.content(name)))
            disk.flip_bit(name, offset, self._rng.randrange(8))
            self._world.note(datanode.peer, f"flips a bit of {name} at {offset}")

    def _recover(self, nodes: list[Node]) -> None:
        self._world.network.heal()
        for node in nodes:
            self._world.boot(node)
        self._plan()
