"""Readers of a file that is replaced while they read."""

from __future__ import annotations

from dfs.limits import KIB, MS_NS, SECOND_NS
from dfs.testing.cluster import StorageCluster
from dfs.testing.network import Faults

SIZE = 400 * KIB


def test_a_path_that_always_has_a_file_is_always_read() -> None:
    cluster = StorageCluster(3)
    cluster.settle()
    world = cluster.world
    world.network.faults = Faults(delay_max_ns=50 * MS_NS)
    reader, writer = cluster.client("reader"), cluster.client("writer")
    writer.write_bytes("/f", bytes(SIZE), chunk_size=64 * KIB)

    def write() -> None:
        for number in range(1, 40):
            writer.write_bytes("/f", bytes([number]) * SIZE, chunk_size=64 * KIB)

    user = world.begin(write)
    last = 0
    while not user.has_ended:
        data = reader.read_bytes("/f")
        assert data == data[:1] * SIZE
        assert data[0] >= last
        last = data[0]
    world.run_for(SECOND_NS)
    assert reader.read_bytes("/f")[0] == 39
