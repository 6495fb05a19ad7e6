"""What datanodes and writers say about replicas, taken into the map.

A node's own word on a replica is checked against the table as far as it goes: a digest that
is not the chunk's does not count, is noted, and the node is told to look. Where the chunk
is not committed yet, the digest waits for the commit. A chunk that was *given up* will never be
committed: a writer that had been stopped may still make a replica of it, which is deleted, or set
aside if a lost history may have the chunk. Every chunk that is spoken of is *fresh*: it is to
be judged at the next occasion.
"""

from __future__ import annotations

from itertools import islice

from dfs.events import Action, Note, Payload
from dfs.limits import GIVEN_UP_MAX_CHUNKS, NEWS_WAITING_MAX_CHUNKS
from dfs.namenode.held import Held
from dfs.namenode.keys import EPOCH, ChunkRow, get_number
from dfs.namenode.lost_history import is_doubtful
from dfs.namenode.nodes import Nodes, NodeState
from dfs.namenode.orders import Orders
from dfs.namenode.standing import find_chunk
from dfs.namenode.table import Table
from dfs.wire import namespace as m
from dfs.wire import node as n

_LOST = ("corrupt", "missing")


class Reports:
    """Takes words about replicas. ``has_missed``: too many chunks were fresh to be kept."""

    def __init__(self, nodes: Nodes, orders: Orders) -> None:
        self._nodes = nodes
        self._orders = orders
        self._fresh: dict[int, None] = {}
        self._notes: list[Action] = []
        self._given_up: dict[int, None] = {}
        self.has_missed = False

    # -- what is to be judged

    def look_soon(self, chunk: int) -> None:
        """Judge a chunk at the next occasion; if too many wait, all of them."""
        self._fresh[chunk] = None
        if len(self._fresh) > NEWS_WAITING_MAX_CHUNKS:
            self._fresh.clear()
            self.has_missed = True

    def take_fresh(self, limit: int) -> list[int]:
        """Chunks to be judged now."""
        taken = list(islice(self._fresh, limit))
        for chunk in taken:
            del self._fresh[chunk]
        return taken

    @property
    def has_fresh(self) -> bool:
        """Is there anything to be judged?"""
        return bool(self._fresh)

    def take_notes(self) -> list[Action]:
        """What there is to say about receipts."""
        notes, self._notes = self._notes, []
        return notes

    def give_up(self, chunk: int) -> None:
        """An allocated chunk will never be committed."""
        self._given_up[chunk] = None
        if len(self._given_up) > GIVEN_UP_MAX_CHUNKS:
            del self._given_up[next(iter(self._given_up))]

    # -- words

    def page(self, node: NodeState, page: n.ReportPage, payload: Payload) -> None:
        """A page of a full report. Raises ``ProtocolError``."""
        self._nodes.take_page(node, page.report, page.page, payload)
        if page.last:
            self._nodes.finish_report(node)

    def news(self, table: Table, node: NodeState, news: n.ReplicaNews, now_ns: int) -> list[Action]:
        """What changed on a node. Raises ``ProtocolError``."""
        if not self._nodes.is_next_news(node, news.sequence):
            return []
        actions: list[Action] = []
        for stored in news.stored:
            actions += self._stored(table, node, stored, now_ns)
        for lost in news.lost:
            held = Held(lost.replica.chunk, lost.replica.generation)
            self._nodes.drop_replica(node.name, *held)
            self.look_soon(held.chunk)
            if lost.reason in _LOST and node.give_up(held, lost.reason):
                actions.append(Note(f"chunk {held.chunk} is {lost.reason} on {node.name}"))
        return actions

    def _stored(
        self, table: Table, node: NodeState, stored: n.StoredReplica, now_ns: int
    ) -> list[Action]:
        held = Held(stored.replica.chunk, stored.replica.generation)
        self.look_soon(held.chunk)
        if is_doubtful(table, held.chunk):
            self._orders.want_aside(node.name, stored.replica)
        elif held.chunk in self._given_up:
            self._orders.want_deleted(node.name, stored.replica)
        chunk = find_chunk(table, held.chunk)
        if chunk is None or chunk.row.generation != held.generation:
            node.claim(held, stored.digest)
        elif stored.digest and chunk.row.digest != stored.digest:
            note = self._disown(node, held)
            return [note, *self.check(node.name, chunk.row, get_number(table, EPOCH, 1), now_ns)]
        self._nodes.add_replica(node.name, *held)
        return []

    def receipts(self, sealed: m.SealedChunk) -> None:
        """A writer showed receipts for a chunk that is being committed."""
        held = Held(sealed.chunk, sealed.generation)
        for name in sealed.nodes:
            node = self._nodes.get(name)
            if node is None or held in node.bad:
                continue
            if node.unproven.pop(held, sealed.digest) in (sealed.digest, b""):
                self._nodes.add_replica(name, *held)
            else:
                self._notes.append(self._disown(node, held))
        self.look_soon(sealed.chunk)

    def _disown(self, node: NodeState, held: Held) -> Note:
        """A node sealed other bytes than the file has: they do not count."""
        self._nodes.drop_replica(node.name, *held)
        node.give_up(held, "corrupt")
        return Note(f"chunk {held.chunk} on {node.name} has another digest: it does not count")

    def check(self, node: str, row: ChunkRow, epoch: int, now_ns: int) -> list[Action]:
        """Have a node look at a replica, unless it looks at enough others."""
        if not self._orders.has_room(node, n.CheckReplica):
            return []
        replica = n.ReplicaId(row.chunk, row.generation, row.length)
        return [self._orders.send(node, n.CheckReplica(epoch, replica, row.digest), now_ns)]
