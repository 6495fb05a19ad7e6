"""What a simulated storage cluster must come to once its faults have stopped.

Every chunk of every file has all its copies, each of them whole to the last byte; leases,
reserved names and what was unlinked are gone; the cores hold no more than what they serve; and
the log, read from its first record into an empty view, gives the view that is there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from dfs.client.client import Client
from dfs.limits import SECOND_NS
from dfs.namenode.keys import APPLIED_INDEX
from dfs.namenode.table import MemoryTable, Table
from dfs.testing.cluster import StorageCluster
from dfs.testing.node import Node

LEASES_END_NS = 70 * SECOND_NS
REPAIR_LIMIT_NS = 600 * SECOND_NS
REAP_LIMIT_NS = 120 * SECOND_NS
SETTLED_TABLES = ("leases", "reserved", "reap")
CORE_MAX_ITEMS = 500
"""No container of a core of these small clusters may hold more, once all is calm."""


class Convergence:
    """See the module's text. ``begin``, then questions by clients, then the rest."""

    def __init__(self, cluster: StorageCluster) -> None:
        self._cluster = cluster
        self._world = cluster.world

    def begin(self) -> None:
        """Let the leases of what failed end."""
        self._world.run_for(LEASES_END_NS)

    def check_replicas(self, client: Client) -> None:
        """Wait until every chunk has all its copies."""
        self._world.run_until(
            lambda: self._is_replicated(client, "/"), REPAIR_LIMIT_NS, "all chunks have all copies"
        )

    def check_rest(self) -> None:
        """All that needs no client."""
        self._world.run_until(self._is_settled, REAP_LIMIT_NS, "what was unlinked is gone")
        for node in (self._cluster.namenode, *self._cluster.datanodes):
            self._check_memory(node)
        self._cluster.check()
        self._check_replay()

    def _is_replicated(self, client: Client, folder: str) -> bool:
        return all(
            self._is_replicated(client, entry.path)
            if entry.is_dir
            else all(len(c.nodes) >= entry.replication for c in client.locations(entry.path))
            for entry in client.list(folder)
        )

    def _is_settled(self) -> bool:
        return not any(self._cluster.table.scan(name, b"", 1) for name in SETTLED_TABLES)

    def _check_memory(self, node: Node) -> None:
        if node.process is None:
            self._world.fail(f"{node.peer.name} is down at the end")
        for path, size in containers(node.process.step, node.peer.name):
            if size > CORE_MAX_ITEMS:
                self._world.fail(f"{path} holds {size} items when all is calm")

    def _check_replay(self) -> None:
        """The log, read again, must say what the view says."""
        live = _rows(self._cluster.table)
        self._world.kill(self._cluster.namenode)
        replayed = _rows(self._cluster.replayed())
        for name, rows in live.items():
            if rows != replayed[name]:
                self._world.fail(f"table {name}: the view has {rows}, the log {replayed[name]}")


def _rows(table: Table) -> dict[str, dict[bytes, bytes]]:
    assert isinstance(table, MemoryTable)
    found = {name: dict(table.scan(name, b"", 1 << 30)) for name in table.names}
    found["meta"].pop(APPLIED_INDEX, None)
    return found


def containers(found: Any, path: str, depth: int = 8) -> Iterator[tuple[str, int]]:
    """Name and size of each container within the objects of a core, the view left out."""
    if isinstance(found, MemoryTable) or not depth:
        return
    if isinstance(found, dict | list | set | deque):
        yield path, len(found)
        values = found.values() if isinstance(found, dict) else found
        for number, value in enumerate(values):
            yield from containers(value, f"{path}[{number}]", depth - 1)
    elif type(found).__module__.startswith(("dfs.", "mapreduce.")):
        names = [*getattr(found, "__dict__", ()), *getattr(type(found), "__slots__", ())]
        for name in names:
            yield from containers(getattr(found, name, None), f"{path}.{name}", depth - 1)
