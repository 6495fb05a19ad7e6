"""The namenode's core: every message about names, files and datanodes.

It is told everything (the view, the event, the time) and returns everything
(commands to make durable, actions to hold until they are). The namespace itself is
in the table; this object holds the soft state that a restart may lose: who lives,
who holds which replica, which orders are on their way, when leases end.

A request is refused unless its sender's role may send it. A change is decided
against the view, its answer is stored with its effect, and a repetition gets the
stored answer. Nothing is deleted or repaired while safe mode lasts, and nothing at all is
logged before the view is known to be sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dfs.config.schema import Files, Times
from dfs.errors import (
    DfsError,
    NoRoom,
    OlderMetadata,
    Refused,
    Unavailable,
)
from dfs.events import (
    Action,
    Decision,
    Event,
    Hangup,
    LinkLost,
    Note,
    Now,
    Origin,
    Received,
    Reply,
    Role,
    WorkDone,
)
from dfs.namenode import commands as c
from dfs.namenode import reading, unchecked, writing
from dfs.namenode.administration import Administration, Parts
from dfs.namenode.apply import MODULE
from dfs.namenode.changes import reap_slice
from dfs.namenode.diary import Diary
from dfs.namenode.keys import EPOCH, ROOT, get_number, number_key
from dfs.namenode.leases import end_lease, held_lease
from dfs.namenode.lost_history import doubt, newer_epoch
from dfs.namenode.membership import TOLD, Membership
from dfs.namenode.module import Command, Module, View
from dfs.namenode.namespace import lease_row
from dfs.namenode.nodes import Nodes, introduced
from dfs.namenode.orders import Orders
from dfs.namenode.replication import Replication
from dfs.namenode.safemode import CHECKING, READ_ONLY, CheckView, SafeMode
from dfs.namenode.senders import SENDERS, authorise
from dfs.namenode.sessions import Sessions, earlier_answer
from dfs.namenode.status import FULL, cluster_status
from dfs.namenode.table import Table, scan_prefix
from dfs.namenode.writing import Cluster
from dfs.wire import admin as a
from dfs.wire import namespace as m
from dfs.wire import node as n
from dfs.wire.appending import Append, SyncFile
from dfs.wire.codec import Message, decode, encode
from dfs.wire.common import Failed, Ok, Ping
from dfs.wire.lookup import StatMany
from dfs.wire.members import Enrol


@dataclass(frozen=True, slots=True)
class NamenodeSettings:
    """What the core takes from the configuration, whose tables stand in its view, whether that is
    known to be sound (``WorkDone(CheckView())`` will tell if not), and whose key is whose."""

    cluster: str
    owner: str
    files: Files
    times: Times
    modules: tuple[Module, ...] = (MODULE,)
    is_checked: bool = True
    membership: Membership | None = None


class NamespaceCore:
    """See the module's text. ``boot`` state comes from the table as of the last record."""

    def __init__(self, settings: NamenodeSettings, table: Table, now: Now) -> None:
        self._settings = settings
        expected = tuple(key.decode() for key, _ in scan_prefix(table, "nodes", b"", b"\0"))
        self._nodes = Nodes(settings.times, expected, incarnation=now.wall_ns)
        self._sessions = Sessions(settings.times.lease_ns)
        self._sessions.restore(table, now.mono_ns)
        self._safe = SafeMode(now.mono_ns, is_checking=not settings.is_checked)
        orders = Orders()
        self._replication = Replication(
            self._nodes, orders, self._safe, settings.times.repair_after_ns, now.mono_ns
        )
        self._diary = Diary(self._nodes, now)
        self._administration = Administration(
            Parts(
                self._nodes,
                orders,
                self._replication,
                self._safe,
                self._diary,
                settings.modules,
                settings.files.replication,
            )
        )
        self._membership = settings.membership or Membership(table)
        self._unformatted = table.get("inodes", number_key(ROOT)) is None
        self._reaping = bool(table.scan("reap", b"\0", 1))

    @property
    def nodes(self) -> Nodes:
        """The datanodes, for whoever schedules work near the data."""
        return self._nodes

    @property
    def is_checking(self) -> bool:
        """May the view yet turn out to be damaged?"""
        return self._safe.is_checking

    def knows(self, message: type[Message]) -> bool:
        """Is this a message for the namenode (and not for a master beside it)?"""
        return message in SENDERS

    def reclaim(self) -> None:
        """A core beside this one unlinked something: look what can be reclaimed."""
        self._reaping = True

    def remember(self, actions: Sequence[Action], now: Now) -> None:
        """Keep what happened, to this core and to what is beside it, for those who ask."""
        self._diary.keep(actions, now)

    # -- events

    def handle(self, view: View, event: Event, now: Now) -> Decision:
        """Decide one event."""
        if self._diary.is_due(now):
            self._diary.look(self._replication.counts(now.mono_ns), view, now)
        match event:
            case Received():
                decision = self._receive(view, event, now)
                decision.actions += self.greet(event)
                self.remember(decision.actions, now)
                return decision
            case LinkLost() if event.peer.role in TOLD:
                self._membership.gone(event.link)
                if event.peer.role is Role.DATANODE:
                    self._replication.link_lost(event.peer.name, now.mono_ns)
                return Decision()
            case WorkDone(token=CheckView()):
                return self._checked(view, event, now)
            case _:
                return Decision()

    def _checked(self, view: View, event: WorkDone, now: Now) -> Decision:
        """The verdict on the view: what had to wait for it is recorded, or the process ends."""
        note = unchecked.heed(event)
        self._safe.checked()
        self.remember([note], now)
        joined = [self._joined(view.table, node.address) for node in self._nodes.all()]
        return Decision([command for found in joined for command in found], [note])

    def greet(self, event: Received) -> list[Action]:
        """Tell a node whose keys are whose, if that is news to it."""
        return self._membership.tell(event.origin)

    def _receive(self, view: View, event: Received, now: Now) -> Decision:
        origin, message = event.origin, event.message
        try:
            authorise(origin.peer, message)
            if isinstance(message, Ok | Failed):
                return Decision(actions=self._replication.answered(event, now))
            return self._dispatch(view, event, now)
        except OlderMetadata:
            raise  # it ends the process
        except DfsError as error:
            return Decision(actions=[Reply(origin, Failed.of(error))])

    def _dispatch(self, view: View, event: Received, now: Now) -> Decision:
        origin, message = event.origin, event.message
        if self.is_checking:
            unchecked.refuse(self._sessions, message, now.mono_ns)
        match message:
            case m.Change():
                return self._change(view, origin, message, now)
            case m.Stat() | StatMany() | m.List() | m.Glob() | m.Locate():
                found = reading.answer(view.table, self._nodes, message, now)
                return _reply(origin, found)
            case m.OpenSession():
                _need_copies(view)
                self._sessions.open(view.next_index, now.mono_ns)
                started = c.SessionStarted(origin.peer.name, now.wall_ns)
                opened = m.SessionOpened(view.next_index, self._settings.times.lease_ns)
                return _reply(origin, opened, [started])
            case m.RenewLease():
                self._sessions.renew(message.session, now.mono_ns)
                if message.inode:
                    held_lease(view.table, message.inode, message.session)
                return _reply(origin, Ok())
            case m.CloseSession():
                return _reply(origin, Ok(), self._end_session(view.table, message.session, now))
            case m.GetStatus():
                return _reply(origin, self._status(view, now))
            case a.AdminQuestion():
                status = self._status(view, now)
                answer, orders = self._administration.answer(view, message, status, now)
                return Decision(actions=[Reply(origin, answer), *orders])
            case Ping():
                return _reply(origin, Ok())
            case m.BadReplica():
                epoch = self._epoch(view.table)
                actions = self._replication.suspect(view.table, message, epoch, now.mono_ns)
                return Decision(actions=[Reply(origin, Ok()), *actions])
            case n.Register():
                return self._register(view, origin, message, now)
            case Enrol():
                return _reply(origin, Ok(), self._membership.enrol(view.table, message, now))
            case _:
                return Decision(actions=self._replication.news(view.table, event, now))

    # -- clients

    def _change(self, view: View, origin: Origin, change: m.Change, now: Now) -> Decision:
        self._sessions.renew(change.session, now.mono_ns)
        stored = earlier_answer(view.table, change, origin.peer.name)
        if stored is not None:
            return _reply(origin, decode([stored]).message)
        _need_copies(view)
        if self._safe.is_manual:
            raise Unavailable(READ_ONLY)
        if view.is_full and isinstance(change, writing.ADDITIONS):
            raise NoRoom(f"{FULL}: free space on it; until then files can only be deleted")
        cluster = Cluster(
            self._settings.files,
            self._nodes,
            len(self._nodes.known()),
            self._safe.is_on,
            view.copies.wanted,
        )
        if isinstance(change, m.Create | Append):
            self._sessions.check_room(change.session)
        outcome = writing.decide(view.table, cluster, change, origin.peer, now)
        doubted = self._follow(view.table, change, outcome)
        answer = encode(outcome.answer)[0]
        answered = c.Answered(change.session, change.sequence, change.ack_below, answer)
        return _reply(origin, outcome.answer, [*outcome.commands, *doubted, answered])

    def _follow(self, table: Table, change: m.Change, outcome: writing.Outcome) -> list[Command]:
        """Bring the soft state in line with a change, and doubt the chunk that it gives up."""
        doubted: list[Command] = []
        match change:
            case m.Create() | Append():
                self._sessions.hold(change.session, outcome.inode)
            case m.CloseFile():
                self._sessions.release(change.session, change.inode)
                if change.sealed is None:
                    doubted = self._replication.given_up(table, change.inode)
            case m.AbandonFile() if outcome.inode:
                doubted = self._drop_unfinished(table, change.session, change.inode)
            case m.AddChunk() if change.sealed is None:
                doubted = self._replication.given_up(table, change.inode)
            case _:
                pass
        sealing = m.AddChunk | SyncFile | m.CloseFile
        sealed = change.sealed if isinstance(change, sealing) else None
        if sealed is not None:
            self._replication.stored(sealed)
        replaced = any(
            isinstance(x, c.Removed | c.FileAbandoned) or getattr(x, "replaced", 0)
            for x in outcome.commands
        )
        self._reaping = self._reaping or replaced
        return doubted

    def _drop_unfinished(self, table: Table, session: int, inode: int) -> list[Command]:
        self._sessions.release(session, inode)
        self._reaping = True
        return self._replication.given_up(table, inode)

    def _end_session(self, table: Table, session: int, now: Now) -> list[Command]:
        if not self._sessions.is_open(session):
            return []
        commands: list[Command] = []
        for inode in self._sessions.end(session):
            commands += self._drop_unfinished(table, session, inode)
            commands.append(end_lease(table, inode, now))
        return [*commands, c.SessionEnded(session)]

    # -- datanodes

    def _register(self, view: View, origin: Origin, word: n.Register, now: Now) -> Decision:
        name = origin.peer.name
        commands: list[Command] = []
        if not word.endpoints:
            raise Refused(f"{name} named no endpoint at which it can be reached")
        self._membership.check_endpoints(origin.peer, word.endpoints)
        epoch = self._epoch(view.table)
        raised = newer_epoch(view, name, word, now)
        if raised is not None:
            if self.is_checking:
                raise Unavailable(CHECKING)
            commands.append(raised)
            epoch = raised.epoch
        node = introduced(name, origin.link, word)
        commands += self._joined(view.table, node.address)
        full = self._nodes.register(node, now.mono_ns)
        self._replication.link_lost(name, now.mono_ns)
        heartbeat_ns = self._settings.times.heartbeat_ns
        answer = n.Registered(epoch, heartbeat_ns, self._nodes.incarnation, full)
        text = f"{name} registered from {word.host} with {word.free_bytes} bytes free"
        actions: list[Action] = [Reply(origin, answer), Note(text)]
        if raised is not None:  # the others have to learn the epoch, too
            actions += [Hangup(other) for other in self._nodes.peers() if other.name != name]
        return Decision(commands, actions)

    def _joined(self, table: Table, node: m.NodeAddress) -> list[c.NodeJoined]:
        """What records a registered node, if it is not recorded; not before the verdict."""
        joined = c.NodeJoined(node.node, node.host, node.rack)
        recorded = self.is_checking or self._replication.is_recorded(table, joined)
        return [] if recorded else [joined]

    # -- time

    def on_deadline(self, view: View, now: Now) -> Decision:
        """Whatever is due: formatting, dead nodes, ended leases, repair, reclaiming."""
        decision = Decision()
        if self._unformatted and not self.is_checking:
            self._unformatted = False
            decision.commands.append(c.Formatted(self._settings.owner, now.wall_ns))
        if not self.is_checking:
            decision.commands += self._membership.begin(view.table, now)
        if decision.commands:
            return decision
        if not self.is_checking:
            self._expire(view.table, decision, now)
        epoch = self._epoch(view.table)
        decision.actions += self._replication.on_deadline(view.table, epoch, now)
        if self._reaping and not decision.commands and not self.is_checking:
            self._reap(view.table, decision)
        self.remember(decision.actions, now)
        return decision

    def _expire(self, table: Table, decision: Decision, now: Now) -> None:
        for session, inode in self._sessions.expired_leases(now.mono_ns):
            decision.commands += self._drop_unfinished(table, session, inode)
            decision.commands.append(end_lease(table, inode, now))
            text = f"lease on file {inode} ended: session {session} was silent for too long"
            decision.actions.append(Note(text))
        for session in self._sessions.expired(now.mono_ns):
            decision.commands += self._end_session(table, session, now)

    def _reap(self, table: Table, decision: Decision) -> None:
        commands, freed = reap_slice(table)
        for reaped in commands:
            lease = lease_row(table, reaped.inode) if reaped.done else None
            if lease is not None:  # it was removed while it was appended to
                decision.commands += self._drop_unfinished(table, lease.session, reaped.inode)
        self._reaping = bool(commands)
        decision.commands += commands
        decision.commands += doubt(chunk.row.chunk for chunk in freed if chunk.is_doubted)
        for chunk in freed:
            self._replication.freed(*chunk)

    def next_deadline(self) -> int | None:
        """When ``on_deadline`` has something to do (ns, monotonic)."""
        if self.is_checking:
            return self._replication.next_deadline()
        if self._unformatted or self._reaping or self._membership.has_first:
            return 0
        times = (self._sessions.next_deadline(), self._replication.next_deadline())
        return min((t for t in times if t is not None), default=None)

    def _epoch(self, table: Table) -> int:
        return get_number(table, EPOCH, 1)

    def _status(self, view: View, now: Now) -> m.Status:
        counts = self._replication.counts(now.mono_ns)
        trouble = [self._safe.text()] if self._safe.is_on else []
        if view.is_full:
            trouble.append(FULL)
        if view.copies.shortage:
            trouble.append(view.copies.shortage)
        return cluster_status(self._settings.cluster, self._nodes, counts, now, trouble)


def _need_copies(view: View) -> None:
    """Refuse a change whose answer would have to wait for another machine."""
    if view.copies.shortage:
        raise Unavailable(view.copies.shortage)


def _reply(origin: Origin, answer: Message, commands: Sequence[Command] = ()) -> Decision:
    actions: list[Action] = [Reply(origin, answer)]
    return Decision(list(commands), actions)
