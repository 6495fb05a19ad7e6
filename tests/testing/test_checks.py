"""The checks at every action of a simulation find what they look for."""

from __future__ import annotations

import pytest

from dfs.events import Action, Origin, Peer, Reply, Role, Send
from dfs.testing.checks import Checks
from dfs.testing.cluster import StorageCluster
from dfs.testing.node import Node
from dfs.testing.world import SimulationError
from dfs.wire.common import Ok
from dfs.wire.data import ChunkSealed, Receipt
from dfs.wire.node import CheckReplica, DeleteReplicas, ReplicaId

NOBODY = Origin(Peer(Role.CLIENT, "anna"), 1, 1)


class Stage:
    """A cluster with one file of one chunk on three nodes."""

    def __init__(self) -> None:
        self.cluster = StorageCluster(1)
        self.cluster.settle()
        client = self.cluster.client()
        client.write_bytes("/f", bytes(100_000))
        (chunk,) = client.locations("/f")
        self.replica = ReplicaId(chunk.chunk, chunk.generation, 100_000)
        self.checks = Checks(self.cluster)

    def look(self, node: Node, action: Action) -> None:
        self.checks.look(node, action)

    def order(self, epoch: int) -> Send:
        return Send(Peer(Role.DATANODE, "datanode-1"), CheckReplica(epoch, self.replica))


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_nothing_leaves_before_the_log_is_synced(stage: Stage) -> None:
    namenode = stage.cluster.namenode
    stage.look(namenode, Reply(NOBODY, Ok()))
    disk = stage.cluster.disks_of(namenode)[0]
    name = next(name for name in disk.all_names() if name.startswith("log/"))
    disk.open(name, write=True).write_at(0, b"x")
    with pytest.raises(SimulationError, match="before the log is synced"):
        stage.look(namenode, Reply(NOBODY, Ok()))


def test_epochs_never_fall(stage: Stage) -> None:
    stage.look(stage.cluster.namenode, stage.order(3))
    stage.look(stage.cluster.namenode, stage.order(3))
    with pytest.raises(SimulationError, match="epoch 2 after 3"):
        stage.look(stage.cluster.namenode, stage.order(2))


def test_a_receipt_is_on_the_disk(stage: Stage) -> None:
    node = stage.cluster.datanodes[0]
    chunk, generation, length = stage.replica.chunk, stage.replica.generation, 100_000
    receipt = Receipt(node.peer.name, chunk, generation, length, b"")
    other = Receipt("datanode-2", chunk + 1, generation, length, b"")
    stage.look(node, Reply(NOBODY, ChunkSealed((receipt, other))))
    for wrong in (Receipt(*_with(receipt, chunk + 1)), Receipt(*_with(receipt, chunk, 5))):
        with pytest.raises(SimulationError, match="its disk does not keep it"):
            stage.look(node, Reply(NOBODY, ChunkSealed((wrong,))))


def _with(receipt: Receipt, chunk: int, length: int = 100_000) -> tuple[str, int, int, int, bytes]:
    return receipt.node, chunk, receipt.generation, length, receipt.digest


def test_no_copy_is_deleted_below_what_the_file_wants(stage: Stage) -> None:
    namenode, first = stage.cluster.namenode, stage.cluster.datanodes[0].peer
    unknown = ReplicaId(stage.replica.chunk + 1, 1, 5)
    stage.look(namenode, Send(first, DeleteReplicas(1, (unknown,))))
    with pytest.raises(SimulationError, match="a file wants 3"):
        stage.look(namenode, Send(first, DeleteReplicas(1, (stage.replica,))))


def test_a_deletion_is_right_once_the_file_is_gone(stage: Stage) -> None:
    stage.cluster.client("bert").remove("/f")
    first = stage.cluster.datanodes[0].peer
    stage.look(stage.cluster.namenode, Send(first, DeleteReplicas(1, (stage.replica,))))
