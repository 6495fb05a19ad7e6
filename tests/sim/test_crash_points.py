"""The namenode loses power at each call of its disk in turn: each change is made, and once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

import pytest

from dfs.client.client import Client
from dfs.errors import NotFound
from dfs.limits import KIB, MS_NS, SECOND_NS
from dfs.namenode.namespace import stat
from dfs.testing.cluster import NamenodeMachine, StorageCluster

OLD, NEW = b"old " * 100, b"new " * 10 * KIB
SIZES = {len(OLD), len(NEW)}
POINTS_MAX = 100
RESTART_NS = 300 * MS_NS
LOOK_NS = MS_NS // 20

Change = Callable[[Client], object]


def write_chunks(client: Client) -> None:
    """Create, three chunks, close."""
    with client.open("/d/new", "wb", chunk_size=16 * KIB) as file:
        file.write(NEW)


CHANGES: dict[str, tuple[Change, dict[str, bytes]]] = {
    "write in chunks": (write_chunks, {"/d/old": OLD, "/d/new": NEW}),
    "replace in chunks": (
        lambda client: client.write_bytes("/d/old", NEW, chunk_size=16 * KIB),
        {"/d/old": NEW},
    ),
    "write inline": (
        lambda client: client.write_bytes("/d/new", OLD),
        {"/d/old": OLD, "/d/new": OLD},
    ),
    "rename": (lambda client: client.rename("/d/old", "/d/new"), {"/d/new": OLD}),
    "rename a tree": (lambda client: client.rename("/d", "/e"), {"/e/old": OLD}),
    "delete": (lambda client: client.remove("/d/old"), {}),
    "delete a tree": (lambda client: client.remove("/d", recursive=True), {}),
}


class Crash:
    """One history: power is lost in the ``point``-th call of the namenode's disk from now, which
    fails, or (``answer_lost``) just behind it, before an answer has arrived."""

    def __init__(self, point: int, *, answer_lost: bool) -> None:
        self.cluster = StorageCluster(point)
        self.client = self.cluster.client()
        self.cluster.settle(2 * SECOND_NS)
        self.client.write_bytes("/d/old", OLD)
        self.cluster.settle(SECOND_NS)
        machine = self.cluster.namenode.machine
        assert isinstance(machine, NamenodeMachine)
        self.machine = machine
        self.happened = False
        self.last_call = machine.disk.calls.total() + point if answer_lost else None
        if not answer_lost:
            machine.disk.fail("*", point)
        self.watch()

    def watch(self) -> None:
        """Once the moment has come: what is not durable is lost, and the namenode starts again."""
        world, namenode = self.cluster.world, self.cluster.namenode
        if self.last_call is not None and self.machine.disk.calls.total() >= self.last_call:
            world.kill(namenode, power=True)
        elif namenode.process is None:
            self.machine.lose_power(Random(world.seed))
        else:
            world.after(LOOK_NS, self.watch)
            return
        self.happened = True
        world.after(RESTART_NS, self.restart)

    def restart(self) -> None:
        self.cluster.world.boot(self.cluster.namenode)
        for path, size in self.sizes():
            assert size in SIZES, f"{path} has {size} bytes after the crash"

    def sizes(self) -> Iterator[tuple[str, int]]:
        """What the tables of the namenode say about each path that may be there."""
        for path in ("/d/old", "/d/new", "/e/old"):
            try:
                yield path, stat(self.machine.table, path).size
            except NotFound:
                continue

    def content(self) -> dict[str, bytes]:
        found = [entry for folder in ("/d", "/e") for entry in self.files(folder)]
        return {path: self.client.read_bytes(path) for path in found}

    def files(self, folder: str) -> list[str]:
        if not self.client.exists(folder):
            return []
        return [entry.path for entry in self.client.list(folder)]


@pytest.mark.parametrize("answer_lost", [False, True])
@pytest.mark.parametrize("name", CHANGES)
def test_a_change_survives_a_crash_at_every_call_of_the_disk(name: str, answer_lost: bool) -> None:
    change, expected = CHANGES[name]
    points = 0
    while True:
        points += 1
        crash = Crash(points, answer_lost=answer_lost)
        change(crash.client)
        if not crash.happened:
            break
        crash.cluster.settle(RESTART_NS + SECOND_NS)
        assert crash.content() == expected, f"power was lost at call {points}"
        assert points < POINTS_MAX
    assert crash.content() == expected
    assert points > 2, "no call of the disk was hit"
