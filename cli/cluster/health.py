"""How a cluster is: what runs on this machine and what the namenode says, in one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dfs.errors import DfsError
from dfs.events import Role
from dfs.local.layout import NAMENODE_ID
from dfs.security.keys import without_key
from dfs.wire.namespace import NodeStatus, Status

SERVING, DEGRADED, DOWN = "serving", "degraded", "down"
LIVE, DEAD, SILENT, STOPPED, PAUSED = "live", "dead", "silent", "stopped", "paused"

EXIT_CODES = {SERVING: 0, DEGRADED: 8, DOWN: 5}


@dataclass(frozen=True, slots=True)
class RoleHealth:
    """One process. ``pid`` is None where it runs on another machine or not at all."""

    id: str
    role: str
    pid: int | None
    address: str
    state: str


@dataclass(frozen=True, slots=True)
class Here:
    """What is known without asking: which processes should run here, and which do (pid).

    ``stopped`` were stopped on purpose, ``paused`` run and stand still, ``ends`` says how those
    that were seen to end did.
    """

    cluster: str
    address: str
    expected: Sequence[str]
    pids: Mapping[str, int]
    stopped: frozenset[str] = frozenset()
    paused: frozenset[str] = frozenset()
    ends: Mapping[str, str] = field(default_factory=dict)

    def state(self, process_id: str, otherwise: str) -> str:
        """What this machine knows for sure of a process, else ``otherwise``."""
        if process_id in self.pids:
            return PAUSED if process_id in self.paused else otherwise
        return STOPPED if process_id in self.stopped else DEAD

    def reason(self, role: RoleHealth) -> str:
        """Why a process that is not live is not, and what helps."""
        sentence = f"{role.id} is {role.state}"
        if role.state == STOPPED:
            return f"{sentence}: 'minidfs start {role.id}' starts it"
        if role.state == PAUSED:
            return f"{sentence}: 'minidfs resume {role.id}' lets it go on"
        if role.state == DEAD and role.id in self.ends:
            return f"{sentence}: it ended with {self.ends[role.id]}"
        return sentence


@dataclass(frozen=True, slots=True)
class Answers:
    """What the namenode and the master answered. ``workers`` is None without a master."""

    status: Status
    workers: Sequence[NodeStatus] | None


@dataclass(frozen=True, slots=True)
class ClusterHealth:
    """The whole cluster in one state, with a sentence for each thing that is wrong."""

    cluster: str
    state: str
    reasons: tuple[str, ...]
    roles: tuple[RoleHealth, ...]
    status: Status | None = None

    def fields(self) -> dict[str, Any]:
        """The fields of ``--json``."""
        roles = [
            {
                "id": role.id,
                "role": role.role,
                "pid": role.pid,
                "address": role.address,
                "state": role.state,
            }
            for role in self.roles
        ]
        return {
            "cluster": self.cluster,
            "state": self.state,
            "reasons": list(self.reasons),
            "roles": roles,
        }


def assess(here: Here, answers: Answers | DfsError) -> ClusterHealth:
    """The picture; ``answers`` is the error where the namenode gave none."""
    if isinstance(answers, DfsError):
        namenode = _namenode(here, here.state(NAMENODE_ID, SILENT))
        others = [_unasked(here, process_id) for process_id in sorted(here.expected, key=_order)]
        known_why = namenode.state in (STOPPED, PAUSED) or NAMENODE_ID in here.ends
        why = (here.reason(namenode),) if known_why and namenode.state != SILENT else ()
        roles = (namenode, *others)
        return ClusterHealth(here.cluster, DOWN, (answers.message, *why), roles)
    known = {node.node: node for node in (*answers.status.nodes, *(answers.workers or ()))}
    expected = [
        process_id
        for process_id in here.expected
        if answers.workers is not None or not process_id.startswith(Role.WORKER)
    ]
    ids = sorted({*known, *expected}, key=_order)
    found = [_namenode(here, LIVE), *(_role(here, name, known.get(name)) for name in ids)]
    reasons = list(answers.status.reasons)
    for role in found:
        said = [r for r in reasons if r.startswith(f"{role.id} is ")]
        if role.state != LIVE and f"{role.id} is {role.state}" not in said:
            # This machine knows for sure; the namenode has only not heard from it yet.
            reasons = [*(r for r in reasons if r not in said), here.reason(role)]
    state = DEGRADED if reasons else answers.status.state
    cluster = answers.status.cluster
    return ClusterHealth(cluster, state, tuple(reasons), tuple(found), answers.status)


def _order(process_id: str) -> tuple[str, int, str]:
    role, _, number = process_id.rpartition("-")
    return role, int(number) if number.isdigit() else 0, process_id


def _namenode(here: Here, state: str) -> RoleHealth:
    return RoleHealth(NAMENODE_ID, Role.NAMENODE, here.pids.get(NAMENODE_ID), here.address, state)


def _unasked(here: Here, process_id: str) -> RoleHealth:
    pid = here.pids.get(process_id)
    role = process_id.rpartition("-")[0]
    return RoleHealth(process_id, role, pid, "", here.state(process_id, SILENT))


def _role(here: Here, process_id: str, node: NodeStatus | None) -> RoleHealth:
    pid = here.pids.get(process_id)
    role = process_id.rpartition("-")[0]
    state = node.state if node is not None else "starting"
    if process_id in here.expected:
        state = here.state(process_id, state)
    return RoleHealth(process_id, role, pid, _address(node), state)


def _address(node: NodeStatus | None) -> str:
    """The address for other machines, else whichever there is."""
    endpoints = node.endpoints if node is not None else ()
    tcp = [endpoint for endpoint in endpoints if endpoint.startswith("tcp://")]
    return without_key((tcp or list(endpoints) or [""])[0]).removeprefix("tcp://")
