"""Answers to whoever looks after the cluster: is it sound, what is where, what happened.

Questions about everything are answered in pages of bounded work, and each page says where
the next one begins; between pages nothing is remembered here. What a page finds was so at
one moment, and may have changed by the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dfs.errors import BadArgument, NotFound
from dfs.events import Action, Now
from dfs.limits import CHECKS_PER_NODE, VERIFY_MAX_ROWS
from dfs.namenode.diary import Diary
from dfs.namenode.file_health import GOOD, FilesPage
from dfs.namenode.fsck import Fsck
from dfs.namenode.keys import (
    EPOCH,
    ChunkRow,
    OwnerRow,
    get_number,
    get_row,
    load_row,
    number_key,
    number_of,
    pair_key,
)
from dfs.namenode.module import Module, Snapshot, View
from dfs.namenode.nodes import Health, Nodes
from dfs.namenode.orders import Orders
from dfs.namenode.replication import Replication
from dfs.namenode.safemode import SafeMode
from dfs.namenode.standing import replica_states
from dfs.namenode.table import Table
from dfs.namenode.usage import usage_page
from dfs.wire import admin as a
from dfs.wire import namespace as m
from dfs.wire import node as n
from dfs.wire.codec import Message

ALL_SEEN = -1
"""Cursor of a verification that looked at every chunk."""

Answered = tuple[Message, list[Action]]


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of the core that are asked; ``copies``: the default replication."""

    nodes: Nodes
    orders: Orders
    replication: Replication
    safe: SafeMode
    diary: Diary
    modules: Sequence[Module]
    copies: int


class Administration:
    """See the module's text."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def answer(self, view: View, question: a.AdminQuestion, status: m.Status, now: Now) -> Answered:
        """The answer to a question, and orders that it leads to. Raises ``DfsError``."""
        match question:
            case a.CheckTables():
                return self._check_tables(view, question.cursor), []
            case a.CheckFiles():
                return self._check_files(view.table, question, now)
            case a.GetUsage():
                return usage_page(view.table, question.path, question.after), []
            case a.GetReport():
                return self._report(view, status, now), []
            case a.SetSafeMode():
                return self._safe_mode(question.wanted, now), []
            case a.GetEvents():
                return self._parts.diary.page(question.boot, question.after), []
            case a.VerifyReplicas():
                return self._verify(view.table, question, now)
            case _:
                raise AssertionError(f"nobody answers {type(question).__name__}")

    def _check_tables(self, view: View, cursor: str) -> a.TablesChecked:
        fsck = Fsck(self._parts.modules, cursor)
        found = tuple(a.TableProblem(*p) for p in fsck.step(view.table, view.next_index))
        return a.TablesChecked(fsck.rows, found, fsck.cursor)

    def _check_files(self, table: Table, question: a.CheckFiles, now: Now) -> Answered:
        page = FilesPage(table, self._parts.nodes, question).run()
        actions: list[Action] = []
        for chunk in page.found if question.repair else ():
            self._parts.replication.look_soon(chunk.chunk)
        return page, actions

    def _report(self, view: View, status: m.Status, now: Now) -> a.Report:
        counts = self._parts.replication.counts(now.mono_ns)
        nodes = tuple(self._node(name, now) for name in self._parts.nodes.known())
        return a.Report(
            cluster=status.cluster,
            state=status.state,
            reasons=status.reasons,
            nodes=nodes,
            safe_mode=self._parts.safe.text(),
            log_index=view.next_index - 1,
            log_begins=view.first_index,
            snapshot=view.snapshot.index,
            snapshot_age_ns=_age(view.snapshot, now),
            log_copies=view.copies.kept,
            log_copies_wanted=view.copies.wanted,
            replication=self._parts.copies,
            chunks=counts.chunks,
            under_replicated=counts.short,
            missing=counts.missing,
            surplus=counts.surplus,
            orphans=counts.orphans,
            quarantined=counts.quarantined,
            deletions=counts.deletions,
            repairs=counts.copying,
        )

    def _node(self, name: str, now: Now) -> a.NodeReport:
        health = self._parts.nodes.health(name, now.mono_ns)
        state = self._parts.nodes.get(name)
        if state is None:
            return a.NodeReport(name, health)
        return a.NodeReport(
            name,
            health,
            state.address.host,
            state.address.rack,
            now.mono_ns - state.seen_ns,
            state.used_bytes,
            state.free_bytes,
            len(state.replicas),
            state.failed_volumes,
            state.disks,
        )

    def _safe_mode(self, wanted: str, now: Now) -> a.SafeModeIs:
        safe = self._parts.safe
        match wanted:
            case "on":
                safe.enter()
                self._parts.diary.write("safe mode was switched on", now)
            case "off":
                safe.leave()
                self._parts.diary.write("safe mode was switched off", now)
            case "":
                pass
            case _:
                raise BadArgument(f"safe mode is on or off, not {wanted[:40]!r}")
        return a.SafeModeIs(safe.is_on, safe.is_manual, safe.text())

    def _verify(self, table: Table, question: a.VerifyReplicas, now: Now) -> Answered:
        """Order the node to read what it holds, as many replicas at once as it may."""
        nodes, orders = self._parts.nodes, self._parts.orders
        node, cursor = question.node, question.cursor
        state = nodes.get(node)
        if state is None or nodes.health(node, now.mono_ns) is not Health.LIVE:
            raise NotFound(f"{node} is not a datanode that is live")
        epoch = get_number(table, EPOCH, 1)
        room = CHECKS_PER_NODE - orders.in_flight(node, n.CheckReplica)
        actions: list[Action] = []
        rows = []
        if cursor != ALL_SEEN:
            rows = table.scan("owners", number_key(max(0, cursor) + 1), VERIFY_MAX_ROWS)
        for key, value in rows:
            owner = load_row(OwnerRow, value)
            row = get_row(table, "chunks", pair_key(owner.inode, owner.start), ChunkRow)
            assert row is not None, f"chunk {number_of(key)} has an owner and no file"
            if (node, GOOD) in replica_states(nodes, row):
                if len(actions) >= room:
                    break
                replica = n.ReplicaId(row.chunk, row.generation, row.length)
                actions.append(
                    orders.send(node, n.CheckReplica(epoch, replica, row.digest), now.mono_ns)
                )
            cursor = row.chunk
        else:
            cursor = cursor if len(rows) == VERIFY_MAX_ROWS else ALL_SEEN
        under_way = orders.in_flight(node, n.CheckReplica)
        verifying = a.Verifying(
            len(actions), under_way, state.given_up, cursor, state.unchecked, state.why_unchecked
        )
        return verifying, actions


def _age(snapshot: Snapshot, now: Now) -> int:
    return now.mono_ns - snapshot.taken_ns if snapshot.taken_ns else -1
