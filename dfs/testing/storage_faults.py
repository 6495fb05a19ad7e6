"""Random faults of a storage cluster, within what it promises to survive.

Each seed switches a random part of the kinds on (Groce et al., "Swarm Testing", ISSTA 2012), has
its own kind of bad network, some a good one, and one or two faults at a time:

* processes are killed, machines lose power, each alone or all at once;
* a process ends in a call of its disk, before the effect of the call or right behind it;
* a process is paused: it does nothing, and what it gets waits;
* two processes do not hear each other, in one direction or both;
* disks are full for a while: one of them, those of one node, those of all datanodes;
* a call of a disk fails, and a datanode writes no more to that one until it is started again;
* a wall clock jumps;
* a user's process is killed;
* a bit of a chunk flips, or all disks of a node are lost: always on the first datanode, so that
  good copies are left.

What went down comes back when its fault is over.
"""

from __future__ import annotations

from collections.abc import Callable

from dfs.limits import KIB, MS_NS, SECOND_NS
from dfs.testing.cluster import StorageCluster
from dfs.testing.disk import MemoryDisk
from dfs.testing.network import Faults
from dfs.testing.node import Node

DELAYS_MS = (5, 50, 500, 3000)
OUTAGES_MS = (100, 2000, 25_000)
ROOM_MAX_BYTES = 256 * KIB
CALLS_MAX = (1, 5, 40)
CLOCK_JUMP_MAX_S = 3600
HALTING = ("sync", "sync", "sync_folder", "rename", "write_at", "create", "unlink", "*")
FAILING = ("sync", "write_at", "rename", "sync_folder", "create")

Undo = Callable[[], None]


class StorageFaults:
    """One or two faults at a time, from ``begin`` to ``end``.

    ``kill_user`` kills one of the users' processes and sees to it that another takes its place.
    """

    def __init__(self, cluster: StorageCluster, kill_user: Callable[[], None]) -> None:
        self._cluster = cluster
        self._world = cluster.world
        self._rng = cluster.world.rng("faults")
        self._kill_user = kill_user
        self._kept_down: dict[Node, None] = {}
        self._has_ended = False
        kinds: list[Callable[[], Undo]] = [
            self._kill_namenode,
            self._kill_datanode,
            self._kill_everything,
            self._halt,
            self._pause,
            self._part,
            self._fill_disks,
            self._fail_call,
            self._jump_clock,
            self._end_user,
            self._rot,
            self._lose_disk,
        ]
        self._kinds = [kind for kind in kinds if self._rng.random() < 0.5] or [self._kill_datanode]

    def begin(self) -> None:
        """Spoil the network and plan the first faults."""
        rng = self._rng
        self._world.network.faults = Faults(
            delay_max_ns=rng.choice((1, 5, 50)) * MS_NS,
            drop=rng.choice((0.0, 0.0, 0.01)),
            double=rng.choice((0.0, 0.0, 0.01)),
            overtake=rng.choice((0.0, 0.0, 0.01)),
            break_link=rng.choice((0.0, 0.005)),
        )
        for _ in range(rng.choice((1, 2))):
            self._plan()

    def end(self) -> None:
        """No more faults: network and disks are good and everything is started."""
        self._has_ended = True
        self._kept_down.clear()
        self._world.network.faults = Faults()
        self._world.network.heal()
        for node in self._nodes():
            for disk in self._cluster.disks_of(node):
                disk.spare()
                disk.capacity_bytes = self._cluster.capacity_bytes
            self._world.resume(node)
        for node in self._cluster.datanodes:
            self._world.kill(node)  # the next process writes to all of its disks
        self._start_what_is_down()

    # -- one after the other

    def _plan(self) -> None:
        delay_ms = self._rng.randint(1, self._rng.choice(DELAYS_MS))
        self._world.after(delay_ms * MS_NS, self._strike)

    def _strike(self) -> None:
        """Let something happen, and plan the recovery."""
        if self._has_ended:
            return
        undo = self._rng.choice(self._kinds)()
        down_ms = self._rng.randint(10, self._rng.choice(OUTAGES_MS))
        self._world.after(down_ms * MS_NS, lambda: self._recover(undo))

    def _recover(self, undo: Undo) -> None:
        if not self._has_ended:
            undo()
            self._start_what_is_down()
            self._plan()

    def _start_what_is_down(self) -> None:
        for node in self._nodes():
            if node not in self._kept_down:
                self._world.boot(node)

    def _nodes(self) -> list[Node]:
        return [self._cluster.namenode, *self._cluster.datanodes]

    def _any_node(self) -> Node:
        """The namenode as often as some datanode."""
        return self._rng.choice([self._cluster.namenode, self._rng.choice(self._cluster.datanodes)])

    def _disk_of(self, node: Node) -> MemoryDisk:
        return self._rng.choice(self._cluster.disks_of(node))

    # -- processes and machines

    def _kill_namenode(self) -> Undo:
        return self._kill([self._cluster.namenode], power=self._rng.random() < 0.5)

    def _kill_datanode(self) -> Undo:
        return self._kill([self._rng.choice(self._cluster.datanodes)], self._rng.random() < 0.5)

    def _kill_everything(self) -> Undo:
        return self._kill(self._nodes(), power=True)

    def _kill(self, struck: list[Node], power: bool) -> Undo:
        for node in struck:
            self._world.kill(node, power=power)
            self._kept_down[node] = None

        def undo() -> None:
            for node in struck:
                self._kept_down.pop(node, None)

        return undo

    def _halt(self) -> Undo:
        node, call = self._any_node(), self._rng.choice(HALTING)
        behind = self._rng.random() < 0.5
        nth = self._rng.randint(1, self._rng.choice(CALLS_MAX))
        self._disk_of(node).halt(call, nth, behind=behind)
        return _nothing

    def _pause(self) -> Undo:
        node = self._any_node()
        self._world.pause(node)
        return lambda: self._world.resume(node)

    def _jump_clock(self) -> Undo:
        node = self._any_node()
        seconds = self._rng.randint(-CLOCK_JUMP_MAX_S, CLOCK_JUMP_MAX_S)
        self._world.note(node.peer, f"has a clock that is {seconds} s ahead")
        node.wall_ahead_ns = seconds * SECOND_NS
        return _nothing

    def _end_user(self) -> Undo:
        self._kill_user()
        return _nothing

    # -- the network

    def _part(self) -> Undo:
        nodes = list(self._world.nodes.values())
        one, other = self._rng.choice(nodes), self._rng.choice(nodes)
        self._world.note(one.peer, f"is parted from {other.peer.name}")
        both_ways = self._rng.random() < 0.5
        self._world.network.part(one.peer, other.peer, both_ways=both_ways)
        return self._world.network.heal

    # -- disks

    def _fill_disks(self) -> Undo:
        """No room on one disk, on those of one node, or on those of all datanodes."""
        node = self._any_node()
        everywhere = [d for n in self._cluster.datanodes for d in self._cluster.disks_of(n)]
        one, all_of_it = [self._disk_of(node)], self._cluster.disks_of(node)
        struck = self._rng.choice((one, all_of_it, everywhere))
        for disk in struck:
            disk.capacity_bytes = disk.used_bytes + self._rng.randint(0, ROOM_MAX_BYTES)
        self._world.note(node.peer, f"{len(struck)} disks are full, here or everywhere")

        def undo() -> None:
            for disk in struck:
                disk.capacity_bytes = self._cluster.capacity_bytes

        return undo

    def _fail_call(self) -> Undo:
        node, call = self._any_node(), self._rng.choice(FAILING)
        self._disk_of(node).fail(call, self._rng.randint(1, self._rng.choice(CALLS_MAX)))
        return lambda: self._world.kill(node)  # started again, it uses all of its disks

    def _rot(self) -> Undo:
        datanode = self._cluster.datanodes[0]
        disk = self._disk_of(datanode)
        chunks = [name for name in disk.all_names() if name.endswith(".chunk")]
        if chunks:
            name = self._rng.choice(chunks)
            offset = self._rng.randrange(len(disk.content(name)))
            disk.flip_bit(name, offset, self._rng.randrange(8))
            self._world.note(datanode.peer, f"flips a bit of {name} at {offset}")
        return _nothing

    def _lose_disk(self) -> Undo:
        datanode = self._cluster.datanodes[0]
        undo = self._kill([datanode], power=True)
        self._cluster.replace_disks(datanode)
        self._world.note(datanode.peer, "has lost its disks")
        return undo


def _nothing() -> None:
    """A fault that is over by itself, or that starting what is down ends."""
