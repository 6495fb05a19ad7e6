"""What must hold at every action of a simulated storage cluster, held against its disks.

* Nothing leaves the namenode before the log is synced (invariant 1 of docs/invariants.md).
* A receipt is the truth: what a datanode says is durable, a loss of power would leave there.
* The epoch in the namenode's orders never falls.
* A replica of a chunk that a file needs is deleted only when as many good ones as the file
  wants lie elsewhere.
"""

from __future__ import annotations

from dfs.datanode.chunkfile import ReplicaKey, file_bytes, sealed_path
from dfs.events import Action, Reply, Role, Send
from dfs.namenode.keys import ChunkRow, InodeRow, OwnerRow, get_row, number_key, pair_key
from dfs.testing.cluster import StorageCluster
from dfs.testing.node import Node
from dfs.wire.data import ChunkSealed, Receipt
from dfs.wire.node import DeleteReplicas

LOG_FOLDER = "log"


def watch(cluster: StorageCluster) -> None:
    """Look at every action of this cluster from now on."""
    cluster.world.watch = Checks(cluster).look


class Checks:
    """See the module's text."""

    def __init__(self, cluster: StorageCluster) -> None:
        self._cluster = cluster
        self._world = cluster.world
        self._epoch = 0

    def look(self, node: Node, action: Action) -> None:
        """A process does this now."""
        if node.peer.role is Role.NAMENODE:
            self._look_at_namenode(node, action)
        elif node.peer.role is Role.DATANODE and isinstance(action, Reply):
            message = action.message
            for receipt in message.receipts if isinstance(message, ChunkSealed) else ():
                if receipt.node == node.peer.name:
                    self._check_receipt(node, receipt)

    def _look_at_namenode(self, node: Node, action: Action) -> None:
        if self._cluster.disks_of(node)[0].has_unsynced_writes(LOG_FOLDER):
            self._world.fail(f"{action} leaves before the log is synced")
        if isinstance(action, Send):
            epoch = getattr(action.message, "epoch", self._epoch)
            if epoch < self._epoch:
                self._world.fail(f"epoch {epoch} after {self._epoch}: {action}")
            self._epoch = epoch
            if isinstance(action.message, DeleteReplicas):
                self._check_deletion(action.to.name, action.message)

    def _check_receipt(self, node: Node, receipt: Receipt) -> None:
        key = ReplicaKey(receipt.chunk, receipt.generation)
        content = self._cluster.durable_content(node, sealed_path(key))
        if content is None or len(content) != file_bytes(receipt.length):
            self._world.fail(f"{node.peer.name} promises {receipt}, and its disk does not keep it")

    def _check_deletion(self, node: str, order: DeleteReplicas) -> None:
        for replica in order.replicas:
            key = ReplicaKey(replica.chunk, replica.generation)
            wanted = self._copies_wanted(key)
            others = [n for n in self._cluster.datanodes if n.peer.name != node]
            path = sealed_path(key)
            left = [n for n in others if self._cluster.durable_content(n, path) is not None]
            if len(left) < wanted:
                self._world.fail(f"{node} must delete {key}; a file wants {wanted}, left {left}")

    def _copies_wanted(self, key: ReplicaKey) -> int:
        """How many copies the file that this replica belongs to wants; 0: it belongs to none."""
        table = self._cluster.table
        owner = get_row(table, "owners", number_key(key.chunk), OwnerRow)
        if owner is None:
            return 0
        chunk = get_row(table, "chunks", pair_key(owner.inode, owner.start), ChunkRow)
        inode = get_row(table, "inodes", number_key(owner.inode), InodeRow)
        if chunk is None or inode is None or chunk.generation != key.generation:
            return 0
        return 0 if self._is_unlinked(owner.inode) else inode.replication

    def _is_unlinked(self, inode: int) -> bool:
        return self._cluster.table.get("reap", number_key(inode)) is not None
