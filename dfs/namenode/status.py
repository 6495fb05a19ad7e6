"""How the cluster is, in one state and one sentence for each thing that is wrong."""

from __future__ import annotations

from collections.abc import Sequence

from dfs.events import Now, Role
from dfs.namenode.nodes import Health, Nodes
from dfs.namenode.replication import Counts
from dfs.quantities import counted
from dfs.wire.namespace import NodeStatus, Status

FULL = "the disk of the namenode is full"


def cluster_status(
    cluster: str, nodes: Nodes, counts: Counts, now: Now, trouble: Sequence[str] = ()
) -> Status:
    """The whole status; ``serving`` when there is nothing to say. ``trouble``: other reasons."""
    states = tuple(_node_status(nodes, name, now) for name in nodes.known())
    reasons = [f"{s.node} is {s.state}" for s in states if s.state != Health.LIVE]
    reasons += _failed_volumes(nodes)
    reasons += trouble
    if counts.missing:
        reasons.append(f"{counted(counts.missing, 'chunk')} without any replica")
    if counts.short:
        reasons.append(f"{counted(counts.short, 'chunk')} with fewer replicas than wanted")
    if not states:
        reasons.append("no datanode has registered")
    return Status(
        cluster=cluster,
        state="degraded" if reasons else "serving",
        reasons=tuple(reasons),
        nodes=states,
        safe_mode=counts.safe_mode,
        chunks=counts.chunks,
        under_replicated=counts.short,
        missing=counts.missing,
        walking=counts.walking,
    )


def _failed_volumes(nodes: Nodes) -> list[str]:
    """A sentence for each, save those of nodes that are dead anyway."""
    alive = [node for node in nodes.all() if node.died_ns is None]
    return [f"a volume of {node.name} failed: {v}" for node in alive for v in node.failed_volumes]


def _node_status(nodes: Nodes, name: str, now: Now) -> NodeStatus:
    state = nodes.get(name)
    health = nodes.health(name, now.mono_ns)
    if state is None:
        return NodeStatus(name, Role.DATANODE, health, ())
    return NodeStatus(
        name,
        Role.DATANODE,
        health,
        state.address.endpoints,
        state.free_bytes,
        state.used_bytes,
        len(state.replicas),
    )
