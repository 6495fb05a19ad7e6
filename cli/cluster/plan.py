"""What ``up`` makes of what it finds: the configuration and the nodes that shall run.

A cluster keeps its id, its addresses and its size. Addresses are chosen when they are first
needed, and anew only if a stranger took one while the cluster was down. Nodes can be added but
not left out, because a node holds data.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from pathlib import Path

from dfs.config import Config
from dfs.config_file import load, role_folder
from dfs.errors import BadArgument, Exists
from dfs.limits import SECOND_NS
from dfs.local.layout import NAMENODE_ID, NODES_MAX, Home, LocalCluster, node_process_ids
from dfs.local.ports import choose_address, is_free

NODES_DEFAULT = 3
REPAIR_AFTER_NS = 10 * SECOND_NS
"""Nodes on one machine come back within seconds or not at all."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked of ``up``; None: as it is, or the default."""

    nodes: int | None = None
    replication: int | None = None
    chunk_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The cluster that shall run."""

    config: Config
    local: LocalCluster
    is_new: bool = False
    """Nothing of this cluster was ever started here: its namespace is to be made."""

    @property
    def nodes(self) -> range:
        """The numbers of the nodes."""
        return range(1, self.local.nodes + 1)

    def namenode_folder(self, home: Home) -> Path:
        """Where the namenode keeps its data."""
        return role_folder(self.config.namenode.dir, NAMENODE_ID, home.folder)


def make_plan(home: Home, wanted: Wanted, running: bool, cores: int) -> Plan:
    """The cluster in ``home`` as it shall run from now on; raises what forbids it.

    ``running``: its namenode runs now, so the configuration cannot change.
    """
    old = home.load_local()
    nodes = _nodes(wanted.nodes, old)
    config = load(home.config_file) if home.config_file.exists() else _new_config(nodes)
    config = _configured(config, wanted, running)
    if not running and not is_free(config.namenode.address):
        address = choose_address(set())
        config = replace(config, namenode=replace(config.namenode, address=address))
    return Plan(config, _local(old, nodes, config, running, cores), is_new=old is None)


def _nodes(wanted: int | None, old: LocalCluster | None) -> int:
    before = 0 if old is None else old.nodes
    nodes = wanted or before or NODES_DEFAULT
    if nodes < before:
        raise BadArgument(
            f"the cluster has {before} nodes and a node holds data: take one out of service with"
            " 'minidfs admin decommission' first"
        )
    if nodes > NODES_MAX:
        raise BadArgument(f"{nodes} nodes: one machine runs up to {NODES_MAX}")
    return nodes


def _new_config(nodes: int) -> Config:
    """A new cluster. Its files get no more copies than there are nodes to hold them."""
    config = Config()
    return replace(
        config,
        cluster=replace(config.cluster, id=secrets.token_hex(8)),
        namenode=replace(config.namenode, address=choose_address(set())),
        files=replace(config.files, replication=min(config.files.replication, nodes)),
        times=replace(config.times, repair_after_ns=REPAIR_AFTER_NS),
    )


def _configured(config: Config, wanted: Wanted, running: bool) -> Config:
    """``config`` with what was asked for new files."""
    files = replace(
        config.files,
        replication=wanted.replication or config.files.replication,
        chunk_bytes=wanted.chunk_bytes or config.files.chunk_bytes,
    )
    if files != config.files and running:
        raise Exists(
            "the cluster runs with other values for new files: stop it with 'minidfs down' first,"
            " or say it for one file with 'minidfs put --replication … --chunk-size …'"
        )
    return replace(config, files=files)


def _local(
    old: LocalCluster | None, nodes: int, config: Config, running: bool, cores: int
) -> LocalCluster:
    listen = dict(old.listen) if old is not None else {}
    taken = {*listen.values(), config.namenode.address}
    for number in range(1, nodes + 1):
        for process_id in node_process_ids(number):
            address = listen.get(process_id)
            if address is None or not (running or is_free(address)):
                listen[process_id] = choose_address(taken)
                taken.add(listen[process_id])
    return LocalCluster(nodes, max(1, cores // nodes), listen)
