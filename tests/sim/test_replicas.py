"""Replicas in a simulated cluster: debts, full disks, older metadata, damaged sources."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest

from dfs.client.client import Client
from dfs.config.schema import Files
from dfs.errors import TooFewNodes
from dfs.limits import KIB, SECOND_NS
from dfs.testing.cluster import NamenodeMachine, StorageCluster

CHUNK = 256 * KIB
DATA = bytes(range(256)) * 4096  # four chunks
LIMIT_NS = 300 * SECOND_NS


def copies(client: Client, path: str) -> list[int]:
    return [len(chunk.nodes) for chunk in client.locations(path)]


def chunk_files(cluster: StorageCluster, folder: str = "chunks") -> Iterator[str]:
    for node in cluster.datanodes:
        for disk in cluster.disks_of(node):
            for name in disk.all_names():
                if name.startswith(folder) and name.endswith(".chunk"):
                    yield name


def settled(cluster: StorageCluster, client: Client, path: str, count: int) -> None:
    """Wait until every chunk has so many replicas, on the disks too."""
    cluster.world.run_until(
        lambda: (
            copies(client, path) == [count] * 4 and len(list(chunk_files(cluster))) == 4 * count
        ),
        LIMIT_NS,
        f"{count} copies of {path}",
    )


def test_the_debt_of_a_small_cluster_is_paid_when_nodes_join() -> None:
    cluster = StorageCluster("debt", datanodes=1, replication=3)
    cluster.settle()
    client = cluster.client()
    client.write_bytes("/f", DATA, chunk_size=CHUNK, min_durable=1)
    settled(cluster, client, "/f", 1)
    cluster.add_datanode()
    settled(cluster, client, "/f", 2)
    cluster.add_datanode()
    settled(cluster, client, "/f", 3)
    cluster.add_datanode()
    cluster.settle(60 * SECOND_NS)
    settled(cluster, client, "/f", 3)
    assert client.read_bytes("/f") == DATA


def test_a_node_that_comes_back_late_costs_copies_that_go_again() -> None:
    cluster = StorageCluster("late", datanodes=4)
    cluster.settle()
    client = cluster.client()
    client.write_bytes("/f", DATA, chunk_size=CHUNK)
    lost = cluster.datanodes[0]
    cluster.world.kill(lost)
    cluster.settle(60 * SECOND_NS)
    assert copies(client, "/f") == [3] * 4
    cluster.world.boot(lost)
    settled(cluster, client, "/f", 3)
    assert client.read_bytes("/f") == DATA


def test_full_disks_refuse_cleanly_and_serve_again_after_deletions() -> None:
    """First one node is full, then all of them; what was written stays whole."""
    cluster = StorageCluster("full", datanodes=2, replication=2)
    cluster.settle()
    client = cluster.client()
    for node, files in zip(cluster.datanodes, (1.5, 2.75), strict=True):
        disks = cluster.disks_of(node)
        for disk in disks:
            disk.capacity_bytes = disk.used_bytes + int(files * len(DATA)) // len(disks)
    cluster.settle()
    client.write_bytes("/a", DATA, chunk_size=CHUNK)
    with pytest.raises(TooFewNodes, match="too little room"):
        client.write_bytes("/b", DATA, chunk_size=CHUNK)
    client.write_bytes("/c", DATA, chunk_size=CHUNK, min_durable=1)
    assert min(copies(client, "/c")) == 1
    with pytest.raises(TooFewNodes, match="too little room"):
        client.write_bytes("/d", DATA, chunk_size=CHUNK, min_durable=1)
    assert client.read_bytes("/a") == DATA
    client.remove("/a")
    paid = [2] * 4
    cluster.world.run_until(
        lambda: copies(client, "/c") == paid, LIMIT_NS, "the debt of /c is paid"
    )
    assert client.read_bytes("/c") == DATA
    client.remove("/c")

    def has_room() -> bool:
        try:
            client.write_bytes("/e", DATA, chunk_size=CHUNK)
        except TooFewNodes:
            return False
        return True

    cluster.world.run_until(has_room, LIMIT_NS, "there is room again")
    assert client.read_bytes("/e") == DATA


def test_nothing_of_a_later_history_is_deleted() -> None:
    """The namenode is put back to an older copy of its disk: what it forgot is set aside.

    Its log is on no other machine.
    """
    machine = NamenodeMachine(Files(replication=3, min_durable=1))
    cluster = StorageCluster("restored", datanodes=3, namenode=machine)
    cluster.settle()
    client = cluster.client()
    client.write_bytes("/old", DATA, chunk_size=CHUNK)
    cluster.world.kill(cluster.namenode)
    older = copy.deepcopy((machine.disk, machine.table))
    cluster.world.boot(cluster.namenode)
    client.write_bytes("/new", DATA, chunk_size=CHUNK)
    assert len(list(chunk_files(cluster))) == 24
    cluster.world.kill(cluster.namenode)
    machine.disk, machine.table = older
    cluster.world.boot(cluster.namenode)
    cluster.world.run_until(
        lambda: len(list(chunk_files(cluster, "quarantine"))) == 12,
        LIMIT_NS,
        "what the older copy does not know is set aside",
    )
    cluster.settle(3600 * SECOND_NS // 6)
    assert len(list(chunk_files(cluster))) == 12
    assert not list(chunk_files(cluster, "trash"))
    late = cluster.client("late")
    assert late.read_bytes("/old") == DATA
    late.write_bytes("/newer", DATA, chunk_size=CHUNK)
    assert min(chunk.chunk for chunk in late.locations("/newer")) > 1 << 32


def test_a_source_that_turns_out_bad_is_quarantined_and_replaced() -> None:
    cluster = StorageCluster("bad source", datanodes=3)
    cluster.settle()
    client = cluster.client()
    client.write_bytes("/f", DATA[:CHUNK], chunk_size=CHUNK)
    bad, empty = cluster.datanodes[0], cluster.datanodes[1]
    (found,) = (
        (disk, name)
        for disk in cluster.disks_of(bad)
        for name in disk.all_names()
        if name.endswith(".chunk")
    )
    disk, name = found
    disk.flip_bit(name, 4096 + 5)
    cluster.world.kill(empty)
    cluster.replace_disks(empty)
    cluster.world.boot(empty)
    cluster.world.run_until(
        lambda: (
            copies(client, "/f") == [3]
            and len(list(chunk_files(cluster))) == 3
            and len(list(chunk_files(cluster, "quarantine"))) == 1
        ),
        LIMIT_NS,
        "the bad replica is set aside and replaced",
    )
    assert client.read_bytes("/f") == DATA[:CHUNK]
