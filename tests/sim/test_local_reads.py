"""A client beside a datanode reads the chunk file itself; any fault leads to the network."""

from __future__ import annotations

from dfs.client.client import Client
from dfs.limits import SECOND_NS
from dfs.testing.cluster import StorageCluster
from dfs.testing.world import Node

BESIDE_THE_SECOND = "a"  # 97 is odd: it is put beside datanode 97 % 3
CONTENT = bytes(range(256)) * 1000


def cluster_with_file() -> tuple[StorageCluster, Client, Node]:
    cluster = StorageCluster("local reads")
    cluster.settle()
    client = cluster.client(BESIDE_THE_SECOND)
    client.write_bytes("/f", CONTENT)
    return cluster, client, cluster.datanodes[97 % 3]


def reads_heard(cluster: StorageCluster) -> int:
    return cluster.world.trace.last_lines().count("ReadChunk")


def damage(cluster: StorageCluster, node: Node) -> None:
    for disk in cluster.disks_of(node):
        for name in disk.all_names():
            if name.endswith(".chunk"):
                disk.flip_bit(name, 5000)


def test_no_datanode_is_asked_for_bytes() -> None:
    cluster, client, _ = cluster_with_file()
    assert client.read_bytes("/f") == CONTENT
    assert reads_heard(cluster) == 0


def test_a_bad_replica_is_not_served_and_is_set_aside() -> None:
    cluster, client, node = cluster_with_file()
    damage(cluster, node)
    assert client.read_bytes("/f") == CONTENT
    cluster.settle(30 * SECOND_NS)
    assert any(disk.names("quarantine") for disk in cluster.disks_of(node))


def test_without_the_datanode_another_one_is_read() -> None:
    cluster, client, node = cluster_with_file()
    cluster.world.kill(node)
    assert client.read_bytes("/f") == CONTENT
    assert reads_heard(cluster) > 0
