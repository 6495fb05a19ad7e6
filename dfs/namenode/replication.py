"""Replicas in motion: news from datanodes, repair, deletion.

This is the part of the namenode's core that talks to datanodes once they are
registered. It decides nothing about names; the table is only read.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from dfs.errors import NotFound, ProtocolError
from dfs.events import Action, Note, Now, Origin, Payload, Received, Reply
from dfs.limits import SECOND_NS
from dfs.namenode import commands as c
from dfs.namenode.keys import NEXT_CHUNK, ChunkRow, NodeRow, get_number, get_row
from dfs.namenode.nodes import Nodes
from dfs.namenode.orders import Order, Orders
from dfs.namenode.repair import Repair
from dfs.namenode.safemode import SafeMode
from dfs.namenode.table import Table
from dfs.wire import namespace as m
from dfs.wire import node as n
from dfs.wire.common import Failed, Ok

_REPLICA = struct.Struct(">QQQ")
RETRY_AFTER_NS = 2 * SECOND_NS
"""Pause before an order that failed is tried again, perhaps elsewhere."""

ID_JUMP = 1 << 32
"""How far chunk ids jump when the metadata is older than the datanodes' content."""


class Counts(NamedTuple):
    """Chunks by state, as of the last sweep and what was heard since."""

    chunks: int
    short: int
    missing: int
    safe_mode: bool


class Replication:
    """Who holds what, what is short, what is to be deleted."""

    def __init__(
        self, nodes: Nodes, orders: Orders, safe: SafeMode, repair_after_ns: int, now_ns: int
    ) -> None:
        self._nodes = nodes
        self._orders = orders
        self._safe = safe
        self._repair_after_ns = repair_after_ns
        self._repair = Repair(now_ns)
        self._fresh: list[int] = []
        self._due = False

    # -- news

    def news(self, table: Table, event: Received, now: Now) -> list[Action]:
        """A word from a registered datanode."""
        origin, message = event.origin, event.message
        name = origin.peer.name
        if self._nodes.get(name) is None:
            raise NotFound(f"{name} is not registered here: register again")
        match message:
            case n.Heartbeat():
                free, used = message.free_bytes, message.used_bytes
                if not self._nodes.heartbeat(name, free, used, now.mono_ns):
                    raise NotFound(f"{name} was given up as dead: register again")
            case n.ReportPage():
                self._page(origin, message, event.payload, now)
            case n.ReplicaStored():
                replica = message.replica
                self._nodes.add_replica(name, replica.chunk, replica.generation)
                self._repair.copied(replica.chunk)
                self._fresh.append(replica.chunk)
            case n.ReplicaLost():
                self._nodes.drop_replica(name, message.replica.chunk)
                self._fresh.append(message.replica.chunk)
            case _:
                raise AssertionError(f"nobody handles {type(message).__name__}")
        return [Reply(origin, Ok())]

    def _page(self, origin: Origin, page: n.ReportPage, payload: Payload, now: Now) -> None:
        if len(payload) % _REPLICA.size:
            raise ProtocolError(f"a report page of {len(payload)} bytes is not whole")
        found = {chunk: generation for chunk, generation, _ in _REPLICA.iter_unpack(payload)}
        name = origin.peer.name
        if not self._nodes.page(name, page.report, page.page, page.last, found):
            raise ProtocolError(f"report page {page.page} of {name} is out of order: begin again")
        if page.last:
            self._safe.update(self._nodes.silent(), now.mono_ns)
            self._repair.sweep_soon(now.mono_ns)
            self._due = True

    def stored(self, sealed: m.SealedChunk) -> None:
        """A writer showed receipts for a chunk that is being committed."""
        for node in sealed.nodes:
            self._nodes.add_replica(node, sealed.chunk, sealed.generation)
        self._fresh.append(sealed.chunk)

    def suspect(self, word: m.BadReplica, epoch: int, now_ns: int) -> list[Action]:
        """A reader met a bad replica: let the node look at it."""
        node = self._nodes.get(word.node)
        if node is None or node.replicas.get(word.chunk) != word.generation:
            return []
        if not self._orders.has_room(word.node, n.CheckReplica):
            return []
        replica = n.ReplicaId(word.chunk, word.generation, 0)
        return [self._orders.send(word.node, n.CheckReplica(epoch, replica), now_ns)]

    # -- what nobody needs any more

    def freed(self, chunk: ChunkRow) -> None:
        """A chunk that no file names any more."""
        self._repair.forget(chunk.chunk)
        for node in self._nodes.known():
            state = self._nodes.get(node)
            if state is not None and chunk.chunk in state.replicas:
                replica = n.ReplicaId(chunk.chunk, chunk.generation, chunk.length)
                self._orders.want_deleted(node, replica)
        self._due = True

    def unwanted(self, chunk: int, generation: int, targets: tuple[str, ...]) -> None:
        """An allocated chunk that will never be committed; some targets may have sealed it."""
        for node in targets:
            self._orders.want_deleted(node, n.ReplicaId(chunk, generation, 0))
        self._due = True

    # -- orders

    def answered(self, table: Table, event: Received, now: Now) -> list[Action]:
        """A datanode answered an order."""
        name = event.origin.peer.name
        order = self._orders.answered(name, event.origin.request)
        if order is None:
            return []
        self._due = True
        if isinstance(event.message, Failed):
            self._not_done(order, now.mono_ns)
            return [Note(f"{name} could not {_describe(order)}: {event.message.text}")]
        match order.message:
            case n.DeleteReplicas():
                self._orders.deleted(name, order.message.replicas)
                for replica in order.message.replicas:
                    self._nodes.drop_replica(name, replica.chunk)
            case n.CopyReplica():
                copy = order.message
                self._nodes.add_replica(name, copy.chunk, copy.generation)
                self._repair.copied(copy.chunk)
                self._fresh.append(copy.chunk)
            case _:
                pass
        return []

    def _not_done(self, order: Order, now_ns: int) -> None:
        """Look again, after a pause, at what a failed order was about."""
        if isinstance(order.message, n.CopyReplica):
            self._repair.copied(order.message.chunk)
            self._repair.sweep_by(now_ns + RETRY_AFTER_NS)

    def link_lost(self, node: str, now_ns: int) -> None:
        """Orders to that node are not answered any more."""
        for order in self._orders.lost(node):
            self._not_done(order, now_ns)

    # -- registration

    def epoch_for(self, table: Table, word: n.Register, epoch: int) -> c.EpochRaised | None:
        """The new epoch, if this node knows more than the table does."""
        next_chunk = get_number(table, NEXT_CHUNK, 1)
        if word.highest_chunk < next_chunk and word.epoch <= epoch:
            return None
        return c.EpochRaised(
            max(epoch, word.epoch) + 1, max(next_chunk, word.highest_chunk + 1) + ID_JUMP
        )

    def is_recorded(self, table: Table, joined: c.NodeJoined) -> bool:
        """Does the table know this node, with this host and rack?"""
        row = get_row(table, "nodes", joined.node.encode(), NodeRow)
        return row == NodeRow(joined.host, joined.rack)

    # -- time

    def on_deadline(self, table: Table, epoch: int, now: Now) -> list[Action]:
        """Bury the dead, sweep, send orders."""
        actions: list[Action] = []
        for name in self._nodes.bury(now.mono_ns):
            self.link_lost(name, now.mono_ns)
            self._repair.sweep_by(now.mono_ns + self._repair_after_ns)
            actions.append(Note(f"{name} is dead: no heartbeat; its chunks will be copied"))
        for order in self._orders.overdue(now.mono_ns):
            self._not_done(order, now.mono_ns)
        self._safe.update(self._nodes.silent(), now.mono_ns)
        fresh, self._fresh, self._due = self._fresh, [], False
        if self._safe.is_on:
            return actions
        for chunk in fresh:
            self._repair.look_at(table, self._nodes, chunk, now.mono_ns)
        self._repair.sweep(table, self._nodes, now.mono_ns)
        actions += self._send_copies(epoch, now.mono_ns)
        if self._safe.may_delete:
            live = [s.address.node for s in self._nodes.live(now.mono_ns)]
            actions += self._orders.send_deletes(live, epoch, now.mono_ns)
        return actions

    def _send_copies(self, epoch: int, now_ns: int) -> list[Action]:
        able = [
            s
            for s in self._nodes.live(now_ns)
            if self._orders.has_room(s.address.node, n.CopyReplica)
        ]
        actions: list[Action] = []
        for target, order in self._repair.orders(self._nodes, able, epoch, now_ns):
            actions.append(self._orders.send(target, order, now_ns))
            if not self._orders.has_room(target, n.CopyReplica):
                able[:] = [s for s in able if s.address.node != target]
        return actions

    def next_deadline(self) -> int | None:
        """When there is something to do."""
        if self._due or (self._fresh and not self._safe.is_on):
            return 0
        times = [self._nodes.next_deadline(), self._orders.next_deadline()]
        times.append(self._safe.next_deadline())
        if not self._safe.is_on:
            times.append(self._repair.next_deadline())
        return min((t for t in times if t is not None), default=None)

    def counts(self) -> Counts:
        """Numbers for the status."""
        return Counts(
            self._repair.chunks,
            self._repair.short,
            len(self._repair.missing),
            self._safe.is_on,
        )


def _describe(order: Order) -> str:
    match order.message:
        case n.CopyReplica():
            return f"copy chunk {order.message.chunk}"
        case n.DeleteReplicas():
            return f"delete {len(order.message.replicas)} replicas"
        case _:
            return "check a replica"
