"""Which replicas of a chunk are too many. Pure.

Only replicas that stay for certain count: those on live nodes in step, with no order to
delete them under way. As many as the file wants are left, and what is dropped is what
placement would have chosen last: a second one on the same host, then on the same rack,
then the one on the fullest node.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from dfs.namenode.nodes import NodeState
from dfs.namenode.placement import fullness


def surplus_of(stay: Sequence[NodeState], replication: int) -> list[NodeState]:
    """The nodes of ``stay`` to delete from, so that ``replication`` are left."""
    left, dropped = list(stay), list[NodeState]()
    while len(left) > max(1, replication):
        hosts = Counter(n.address.host for n in left)
        racks = Counter(n.address.rack for n in left)
        worst = max(
            left,
            key=lambda n: (
                hosts[n.address.host] > 1,
                racks[n.address.rack] > 1 and len(racks) > 1,
                fullness(n),
                n.name,
            ),
        )
        left.remove(worst)
        dropped.append(worst)
    return dropped
