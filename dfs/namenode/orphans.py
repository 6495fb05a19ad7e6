"""Replicas that no file names: when they may go, and when never.

Every day a *pass* walks the replicas of all nodes, chunk by chunk, and holds them against
the table ``owners``. What it finds without an owner is remembered per node, as sorted
numbers; what the pass before has remembered as well is deleted. So an orphan was one for
``ORPHAN_KEEP_NS`` under this very namenode before it goes: a restart begins anew.

A replica is no orphan while a lease has its chunk, or when its id was not handed out yet.
A chunk that a lost history may have (``dfs.namenode.lost_history``) may belong to a file that
people still want: its nodes are ordered to set it aside, for good, and nothing is deleted.

The leases are read before the walk. That is enough: an id is allocated once, so no lease
that begins later can get one that was without an owner a day ago.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from dfs.limits import (
    DELETE_MAX_REPLICAS,
    ORPHAN_KEEP_NS,
    ORPHANS_REMEMBERED_PER_NODE,
    SECOND_NS,
    SWEEP_MAX_ROWS,
    SWEEP_PAUSE_NS,
)
from dfs.namenode.held import Held
from dfs.namenode.keys import (
    NEXT_CHUNK,
    LeaseRow,
    get_number,
    load_row,
    number_key,
)
from dfs.namenode.lost_history import is_doubtful
from dfs.namenode.nodes import NodeState
from dfs.namenode.sorted_ids import SortedIds
from dfs.namenode.table import Table

RETRY_NS = 1 * SECOND_NS


@dataclass(slots=True)
class Findings:
    """What a slice found on one node: to be deleted, and to be set aside."""

    node: str = ""
    old: list[Held] = field(default_factory=list)
    doubtful: list[Held] = field(default_factory=list)


class Orphans:
    """The pass, and what the last one remembered."""

    def __init__(self, begin_ns: int) -> None:
        self._next_ns = begin_ns
        self._lease_cursor: bytes | None = None
        self._leased: set[int] = set()
        self._nodes: deque[str] = deque()
        self._next_chunk = 0
        self._known: dict[str, SortedIds] = {}
        self._found: dict[str, SortedIds] = {}
        self._is_walking = False

    def is_due(self, now_ns: int) -> bool:
        """Is there a slice to do?"""
        return now_ns >= self._next_ns

    def prepare(self, table: Table, nodes: list[NodeState], now_ns: int) -> str:
        """The node to walk on with; empty while a pass begins, reads leases or ends.

        ``nodes``: those to walk over; empty while some of them are not heard of or not in step.
        """
        if self._is_walking and self._lease_cursor is not None:
            self._read_leases(table, self._lease_cursor)
        elif self._is_walking and self._nodes:
            return self._nodes[0]
        elif self._is_walking:
            self._end(now_ns)
        elif nodes:
            self._begin(table, nodes)
        else:
            self._next_ns = now_ns + RETRY_NS
        return ""

    def _begin(self, table: Table, nodes: list[NodeState]) -> None:
        self._is_walking = True
        self._nodes, self._next_chunk = deque(node.name for node in nodes), 0
        self._lease_cursor, self._leased = b"\0", set()

    def _read_leases(self, table: Table, cursor: bytes) -> None:
        rows = table.scan("leases", cursor, SWEEP_MAX_ROWS)
        self._leased |= {load_row(LeaseRow, value).chunk for _, value in rows}
        self._lease_cursor = rows[-1][0] + b"\0" if len(rows) == SWEEP_MAX_ROWS else None

    def look(self, table: Table, node: NodeState, now_ns: int) -> Findings:
        """The next slice of a node's replicas."""
        page = node.replicas.page(self._next_chunk, DELETE_MAX_REPLICAS)
        known = self._known.get(node.name, SortedIds())
        found = self._found.setdefault(node.name, SortedIds())
        findings = Findings(node.name)
        limit = get_number(table, NEXT_CHUNK, 1)
        for held in page:
            if held.chunk >= limit or held.chunk in self._leased:
                continue
            if table.get("owners", number_key(held.chunk)) is not None:
                continue
            if is_doubtful(table, held.chunk):
                findings.doubtful.append(held)
            elif held.chunk in known:
                findings.old.append(held)
            elif len(found) < ORPHANS_REMEMBERED_PER_NODE:
                found.add(held.chunk)
        if len(page) >= DELETE_MAX_REPLICAS:
            self._next_chunk = page[-1].chunk + 1
            self._next_ns = now_ns + SWEEP_PAUSE_NS
        else:
            self.skip_node(now_ns)
        return findings

    def skip_node(self, now_ns: int) -> None:
        """Go on with the next node."""
        self._nodes.popleft()
        self._next_chunk = 0
        self._next_ns = now_ns + SWEEP_PAUSE_NS

    def _end(self, now_ns: int) -> None:
        """The next pass may delete what this one found, and what was known of absent nodes."""
        self._known |= self._found
        self._found = {}
        self._is_walking = False
        self._leased = set()
        self._next_ns = now_ns + ORPHAN_KEEP_NS

    def wait(self, now_ns: int) -> None:
        """The node at hand cannot get an order now."""
        self._next_ns = now_ns + RETRY_NS

    @property
    def count(self) -> int:
        """How many orphans are remembered, as of the last pass and the one under way."""
        names = {*self._known, *self._found}
        return sum(
            max(len(self._known.get(n, ())), len(self._found.get(n, ()))) for n in sorted(names)
        )

    def next_deadline(self) -> int:
        """When the next slice is due."""
        return self._next_ns
