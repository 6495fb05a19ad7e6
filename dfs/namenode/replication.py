"""Replicas in motion: what datanodes say of theirs, and what they are ordered to do.

This is the part of the namenode's core that talks to datanodes once they are registered. It decides
nothing about names; the table is only read. ``reports`` takes what is said into the map, ``repair``
judges single chunks, ``sweep`` chooses the chunks to judge, ``orphans`` finds what no file names,
``orders`` holds what was ordered; here they meet, under the rules of safe mode.
"""

from __future__ import annotations

from typing import NamedTuple

from dfs.errors import NotFound
from dfs.events import Action, Hangup, Note, Now, Peer, Received, Reply, Role
from dfs.limits import SECOND_NS, SWEEP_MAX_ROWS
from dfs.namenode import commands as c
from dfs.namenode.held import HeldReplicas
from dfs.namenode.keys import ChunkRow, NodeRow, get_row
from dfs.namenode.lost_history import doubt, may_be_stored
from dfs.namenode.module import Command
from dfs.namenode.namespace import lease_row
from dfs.namenode.nodes import Nodes, NodeState
from dfs.namenode.orders import Order, Orders
from dfs.namenode.orphans import Orphans
from dfs.namenode.repair import Repair
from dfs.namenode.reports import Reports
from dfs.namenode.safemode import SafeMode
from dfs.namenode.standing import find_chunk
from dfs.namenode.sweep import Sweep, Walk
from dfs.namenode.table import Table
from dfs.wire import namespace as m
from dfs.wire import node as n
from dfs.wire.common import Failed, Ok

_NAMED_MAX = 10


class Counts(NamedTuple):
    """Chunks and replicas by state, as of the last sweep and what was heard since.

    ``chunks``, ``short``, ``missing`` and ``surplus`` are chunks, not all while ``walking``;
    ``orphans``, ``quarantined`` and ``deletions`` (also under way) replicas; ``copying`` copies.
    """

    chunks: int
    short: int
    missing: int
    safe_mode: bool
    surplus: int = 0
    orphans: int = 0
    quarantined: int = 0
    deletions: int = 0
    copying: int = 0
    walking: bool = False


class Replication:
    """Who holds what, what is short, what is to be deleted."""

    def __init__(
        self, nodes: Nodes, orders: Orders, safe: SafeMode, repair_after_ns: int, now_ns: int
    ) -> None:
        self._nodes = nodes
        self._orders = orders
        self._safe = safe
        self._repair_after_ns = repair_after_ns
        self._copies_from_ns = now_ns
        self._repair = Repair(nodes, orders)
        self._sweep = Sweep(now_ns)
        self._orphans = Orphans(now_ns)
        self._reports = Reports(nodes, orders)
        self._was_on = True
        self._due = True
        self._retry_ns = now_ns
        self._started_ns = now_ns

    # -- news

    def news(self, table: Table, event: Received, now: Now) -> list[Action]:
        """A word from a registered datanode."""
        origin, message = event.origin, event.message
        name = origin.peer.name
        node = self._nodes.hear(name, origin.link)
        if node is None:
            raise NotFound(f"{name} is not registered here, or was given up: register again")
        notes: list[Action] = []
        match message:
            case n.Heartbeat():
                if not self._nodes.is_live(node, now.mono_ns):
                    self._due = True  # what waited for it can be sent
                self._nodes.heartbeat(name, message.free_bytes, message.used_bytes, now.mono_ns)
                node.largest_free_bytes, node.disks = message.largest_free_bytes, message.disks
                node.failed_volumes, node.quarantined = message.failed_volumes, message.quarantined
            case n.ReportPage():
                self._reports.page(node, message, event.payload)
            case n.ReplicaNews():
                notes = self._reports.news(table, node, message, now.mono_ns)
                if not message.more:
                    self._in_step(node, now.mono_ns)
            case _:
                raise AssertionError(f"nobody handles {type(message).__name__}")
        return [Reply(origin, Ok()), *notes]

    def _in_step(self, node: NodeState, now_ns: int) -> None:
        """The node has said all there is to say: look at what that changed."""
        if node.in_step:
            return
        node.in_step = True
        self._due = True
        self._safe_update(now_ns)
        self._sweep.call_off(node.name)
        if not self._was_on:  # otherwise all chunks are looked at when safe mode ends
            self._look_over(node, now_ns)
        elif self._safe.wants_check(now_ns):
            self._sweep.restart(now_ns)
        node.is_new, node.is_written_off, node.former = False, False, None

    def _look_over(self, node: NodeState, now_ns: int) -> None:
        """Look at the chunks for which it matters what the node holds."""
        states = (HeldReplicas() if node.is_written_off else None, node.former)
        walks = [Walk(node.name, was, node.replicas, now_ns) for was in states if was is not None]
        self._sweep.catch_up(node.name, walks, self._repair.judged_per_step, now_ns)
        if node.is_new and self._repair.owes:
            self._sweep.request(now_ns)

    def look_soon(self, chunk: int) -> None:
        """Judge a chunk at the next occasion."""
        self._reports.look_soon(chunk)

    def stored(self, sealed: m.SealedChunk) -> None:
        """A writer showed receipts for a chunk that is being committed."""
        self._reports.receipts(sealed)
        self._sweep.chunks += 1

    def suspect(self, table: Table, word: m.BadReplica, epoch: int, now_ns: int) -> list[Action]:
        """Somebody met a bad replica: let the node look at it."""
        node, chunk = self._nodes.get(word.node), find_chunk(table, word.chunk)
        if node is None or chunk is None or chunk.row.generation != word.generation:
            return []
        if not node.replicas.holds(word.chunk, word.generation):
            return []
        return self._reports.check(word.node, chunk.row, epoch, now_ns)

    # -- what nobody needs any more

    def freed(self, chunk: ChunkRow, is_doubted: bool) -> None:
        """A chunk that no file names any more, all its generations."""
        self._repair.forget(chunk.chunk)
        self._sweep.chunks -= 1
        if is_doubted:
            self.doubted(chunk.chunk)
            return
        for node in self._nodes.all():
            for generation in node.replicas.generations(chunk.chunk):
                replica = n.ReplicaId(chunk.chunk, generation, chunk.length)
                self._orders.want_deleted(node.name, replica)
        self._due = True

    def doubted(self, chunk: int) -> None:
        """A chunk that a lost history may have; a replica that is sealed later is told of."""
        for node in self._nodes.all():
            for generation in node.replicas.generations(chunk):
                self._orders.want_aside(node.name, n.ReplicaId(chunk, generation, 0))
        self._due = True

    def given_up(self, table: Table, inode: int) -> list[Command]:
        """The chunk that a lease has allocated, if any, will never be committed.

        Some of its targets may have sealed it. Returns what is to be logged if it is doubtful.
        """
        lease = lease_row(table, inode)
        assert lease is not None, f"file {inode} under construction has no lease"
        if not lease.chunk:
            return []
        if may_be_stored(table, lease.chunk):
            self.doubted(lease.chunk)
            return doubt([lease.chunk])
        self._reports.give_up(lease.chunk)
        for node in lease.targets:
            self._orders.want_deleted(node, n.ReplicaId(lease.chunk, lease.generation, 0))
        self._due = True
        return []

    # -- orders

    def answered(self, event: Received, now: Now) -> list[Action]:
        """A datanode answered an order."""
        name = event.origin.peer.name
        order = self._orders.answered(name, event.origin.request)
        if order is None:
            return []
        self._due = True
        if isinstance(event.message, Failed):
            self._not_done(order, event.message.text, now.mono_ns)
            if isinstance(order.message, n.CheckReplica):
                return []  # thousands may come: the node has told it, and who verifies is told
            return [Note(f"{name} could not {order.text}: {event.message.text}")]
        match order.message:
            case n.DeleteReplicas():
                self._orders.deleted(name, order.message.replicas)
                for replica in order.message.replicas:
                    self._nodes.drop_replica(name, replica.chunk, replica.generation)
                    self._reports.look_soon(replica.chunk)
            case n.QuarantineReplicas():
                self._orders.set_aside(name, order.message.replicas)
            case n.CopyReplica():
                copy = order.message
                self._nodes.add_replica(name, copy.chunk, copy.generation)
                self._repair.copied(copy.chunk)
                self._reports.look_soon(copy.chunk)
            case _:
                pass
        return []

    def _not_done(self, order: Order, why: str, now_ns: int) -> None:
        """Look again at what an order was about that failed, or may not have been obeyed."""
        match order.message:
            case n.CopyReplica(chunk=chunk):
                self._repair.not_copied(chunk, order.node, now_ns)
                self._reports.look_soon(chunk)
            case n.DeleteReplicas(replicas=replicas):
                for replica in replicas:
                    self._reports.look_soon(replica.chunk)
            case n.CheckReplica():
                self._nodes.not_checked(order.node, why)
            case _:
                pass

    def link_lost(self, node: str, now_ns: int) -> None:
        """Orders to that node are not answered any more; what it holds may have changed."""
        self._nodes.out_of_step(node)
        for order in self._orders.lost(node):
            self._not_done(order, f"the link to {node} broke", now_ns)

    def _overdue(self, now_ns: int) -> list[Action]:
        """Give up orders. Whether a deletion was obeyed is told by a new registration only."""
        actions: list[Action] = []
        for order in self._orders.overdue(now_ns):
            self._not_done(order, f"{order.node} did not answer", now_ns)
            if isinstance(order.message, n.DeleteReplicas):
                self._nodes.out_of_step(order.node)
                actions.append(Hangup(Peer(Role.DATANODE, order.node)))
        return actions

    def is_recorded(self, table: Table, joined: c.NodeJoined) -> bool:
        """Does the table know this node, with this host and rack?"""
        row = get_row(table, "nodes", joined.node.encode(), NodeRow)
        return row == NodeRow(joined.host, joined.rack)

    # -- time

    def on_deadline(self, table: Table, epoch: int, now: Now) -> list[Action]:
        """Bury the dead, look at chunks, send orders."""
        now_ns = now.mono_ns
        actions = [*self._reports.take_notes(), *self._bury(now_ns), *self._overdue(now_ns)]
        self._due = False
        self._safe_update(now_ns)
        if self._safe.is_on:
            if self._safe.wants_check(now_ns) and not self._sweep.has_finished:
                self._check_for_missing(table, now_ns)
            return actions
        if self._was_on:
            actions += self._safe_mode_ended(now_ns)
        self._look(table, now_ns)
        if now_ns >= self._copies_from_ns:
            actions += self._send_copies(table, epoch, now_ns)
        if self._safe.may_delete:
            actions += self._send_deletions(table, epoch, now_ns)
        self._retry_ns = now_ns + SECOND_NS
        return actions

    def _bury(self, now_ns: int) -> list[Action]:
        actions: list[Action] = []
        for node in self._nodes.bury(now_ns):
            self.link_lost(node.name, now_ns)
            begin_ns = now_ns + self._repair_after_ns
            self._sweep.walk(Walk(node.name, node.replicas, HeldReplicas(), begin_ns))
            if node.former is not None:  # it had reported anew, and what it lost was not looked at
                self._sweep.walk(Walk(node.name, node.former, node.replicas, begin_ns))
            actions.append(Note(f"{node.name} is dead: no heartbeat; its chunks will be copied"))
        return actions

    def _safe_update(self, now_ns: int) -> None:
        missing = self._repair.missing
        known = len(missing) if self._sweep.has_finished else None
        self._safe.update(self._nodes.silent(), now_ns, known, missing.page(0, _NAMED_MAX))

    def _check_for_missing(self, table: Table, now_ns: int) -> None:
        """In safe mode: which chunks of closed files has nobody reported?"""
        self._repair.find_missing(table, self._sweep.step(table, now_ns, SWEEP_MAX_ROWS), now_ns)
        self._safe_update(now_ns)
        self._due = not self._safe.is_on

    def _safe_mode_ended(self, now_ns: int) -> list[Action]:
        """From now on absence means something, save that of nodes which may yet come back."""
        self._was_on = False
        silent = self._nodes.silent()
        if silent:
            self._copies_from_ns = self._started_ns + self._repair_after_ns
        self._sweep.restart(now_ns)
        self._repair.owes = False
        without = f" without {', '.join(silent)}" if silent else ""
        return [Note(f"safe mode is over{without}")]

    def _look(self, table: Table, now_ns: int) -> None:
        """Judge what changed, then the next slice of what is walked over."""
        if self._reports.has_missed or (self._repair.has_missed and self._repair.room):
            self._sweep.request(now_ns)
            self._reports.has_missed = self._repair.has_missed = False
        for name in self._sweep.begun(now_ns):
            node = self._nodes.get(name)
            if node is not None and node.died_ns is not None:
                node.is_written_off = True
        room = self._repair.judged_per_step
        for number in self._reports.take_fresh(room):
            room -= 1
            chunk = find_chunk(table, number)
            if chunk is None:
                self._repair.forget(number)
            else:
                self._repair.judge(chunk, now_ns)
        room = min(room, self._repair.room)
        if not self._repair.room:
            self._sweep.pause(now_ns)
        if self._sweep.begins(now_ns):
            self._repair.owes = False
        chunks = self._repair.settle(self._sweep.step(table, now_ns, room), now_ns)
        for chunk in chunks[:room]:
            self._repair.judge(chunk, now_ns)
        self._sweep.leave(chunks[room:])

    def _send_copies(self, table: Table, epoch: int, now_ns: int) -> list[Action]:
        able = [s for s in self._nodes.live(now_ns) if self._orders.has_room(s.name, n.CopyReplica)]
        actions: list[Action] = []
        for target, order in self._repair.copies(table, able, epoch, now_ns):
            actions.append(self._orders.send(target, order, now_ns))
            if not self._orders.has_room(target, n.CopyReplica):
                able[:] = [s for s in able if s.name != target]
        return actions

    def _send_deletions(self, table: Table, epoch: int, now_ns: int) -> list[Action]:
        self._look_for_orphans(table, now_ns)
        self._repair.trim(table, now_ns)
        live = [s.name for s in self._nodes.live(now_ns)]
        aside = self._orders.send_aside(live, epoch, now_ns)
        return aside + self._orders.send_deletes(live, epoch, now_ns)

    def _look_for_orphans(self, table: Table, now_ns: int) -> None:
        orphans = self._orphans
        if not orphans.is_due(now_ns):
            return
        present = [s for s in self._nodes.live(now_ns) if s.in_step]
        name = orphans.prepare(table, present if len(present) == self._nodes.up else [], now_ns)
        node = self._nodes.get(name) if name else None
        if node is None:
            return
        if not (node.in_step and self._nodes.is_live(node, now_ns)):
            orphans.skip_node(now_ns)
        elif not self._orders.is_idle(node.name):
            orphans.wait(now_ns)
        else:
            found = orphans.look(table, node, now_ns)
            for held in found.old:
                self._orders.want_deleted(node.name, n.ReplicaId(*held, 0))
            for held in found.doubtful:
                self._orders.want_aside(node.name, n.ReplicaId(*held, 0))

    def next_deadline(self) -> int | None:
        """When there is something to do."""
        if self._due:
            return 0
        if not self._safe.is_on and (self._was_on or self._reports.has_fresh):
            return 0
        times = [self._nodes.next_deadline(), self._orders.next_deadline()]
        times.append(self._safe.next_deadline())
        check_ns = self._safe.check_ns
        if not self._safe.is_on:
            times.append(self._sweep.next_deadline())
        elif check_ns is not None and not self._sweep.has_finished:
            times.append(max(check_ns, self._sweep.next_deadline()))
        if self._repair.is_waiting and not self._safe.is_on:
            times.append(self._retry_ns)
        if self._safe.may_delete:
            times.append(self._orphans.next_deadline())
        return min((t for t in times if t is not None), default=None)

    def counts(self, now_ns: int) -> Counts:
        """Numbers for the status."""
        return Counts(
            chunks=self._sweep.chunks,
            short=self._repair.short,
            missing=len(self._repair.missing),
            safe_mode=self._safe.is_on,
            surplus=self._repair.surplus,
            orphans=self._orphans.count,
            quarantined=sum(s.quarantined for s in self._nodes.all()),
            deletions=self._orders.deletions,
            copying=self._orders.copies,
            walking=self._sweep.is_busy(now_ns),
        )
