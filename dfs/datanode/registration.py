"""A datanode's side of its link to the namenode.

::

    AWAY ──pause over──> REGISTERING ──Registered──> LEARNING ──epoch saved──> REPORTING
      ^                       │ no answer, error         └─ not full ─┐           │ last page
      └───────────────────────┴─── link lost, or unknown to the namenode ──── SERVING

A report is sent page by page, each confirmed before the next; behind it the news, a batch
at a time, the first one even if it is empty: it says that nothing waits. A namenode that
has lived on while the link was broken asks for the news only. A word that is not confirmed in
``REQUEST_TRY_NS`` is said again: news as they are, a page by beginning a new report,
since the namenode may have taken the first one; so is a page or news that it refuses.
Heartbeats go out on their own clock while REPORTING and SERVING and are not repeated.

Epochs fence namenodes: only a ``Registered`` raises the epoch, it is saved before any
order of it is obeyed, and a namenode with a lower one is not obeyed at all. LEARNING lasts
``EPOCH_DEADLINE_NS`` at most: by then a disk that hangs is waited for no longer if another
one has saved the epoch, and without any the node registers again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from dfs.datanode.replicas import ROW_BYTES, Inventory
from dfs.datanode.volumes import EpochToken
from dfs.errors import DfsError, NotFound, Refused, Unavailable
from dfs.events import NAMENODE, Action, Note, Send, WorkDone
from dfs.limits import (
    EPOCH_DEADLINE_NS,
    REPORT_PAGE_MAX_REPLICAS,
    REQUEST_TRY_NS,
    RETRY_PAUSE_MAX_NS,
    RETRY_PAUSE_NS,
    SECOND_NS,
)
from dfs.wire.codec import Message
from dfs.wire.common import Failed, Ok
from dfs.wire.node import Heartbeat, Register, Registered, ReportPage

_PAGE_BYTES = REPORT_PAGE_MAX_REPLICAS * ROW_BYTES


class Link(StrEnum):
    """How far this node has come with the namenode."""

    AWAY = "away"
    REGISTERING = "registering"
    LEARNING = "learning"
    REPORTING = "reporting"
    SERVING = "serving"


@dataclass(frozen=True, slots=True)
class Membership:
    """What a node says of itself when it registers, and where the namenode listens."""

    namenode_endpoints: tuple[str, ...]
    endpoints: tuple[str, ...]
    host: str
    rack: str


class Registration:
    """Registers, reports and beats. ``awaited`` requests are answered through ``answered``."""

    def __init__(
        self, me: Membership, inventory: Inventory, numbers: Iterator[int], epoch: int
    ) -> None:
        self.link = Link.AWAY
        self.epoch = epoch
        self._me = me
        self._inventory = inventory
        self._numbers = numbers
        self._due_ns = 0
        self._pause_ns = RETRY_PAUSE_NS
        self._request = 0
        self._heartbeat = 0
        self._heartbeat_every_ns = SECOND_NS
        self._heartbeat_due_ns = 0
        self._report = 0
        self._page = 0
        self._rows = memoryview(b"")
        self._incarnation = 0
        self._reported_to = 0
        self._learning = 0
        self._owes_word = False
        self._last_note = ""

    def fence(self, epoch: int) -> DfsError | None:
        """Why an order of this epoch is not obeyed; None when it is."""
        if epoch < self.epoch:
            return Refused(f"this node obeys epoch {self.epoch}: epoch {epoch} is over")
        if epoch > self.epoch or self.link not in (Link.REPORTING, Link.SERVING):
            return Unavailable(f"this node has yet to register for epoch {epoch}")
        return None

    def answered(self, request: int, message: Message, now_ns: int) -> list[Action]:
        """The namenode answered one of our requests; late answers are dropped."""
        if isinstance(message, Failed):
            return self._refused(request, message, now_ns)
        if request != self._request:
            return []
        match self.link, message:
            case Link.REGISTERING, Registered():
                return self._registered(message, now_ns)
            case Link.REPORTING, Ok():
                return self._page_taken(now_ns)
            case Link.SERVING, Ok():
                self._request = 0
                self._inventory.news_taken()
        return []

    def lost(self, reason: str, now_ns: int) -> list[Action]:
        """The link is gone, or the namenode does not know us: register after a pause."""
        self.link = Link.AWAY
        self._request = 0
        self._rows = memoryview(b"")
        self._due_ns = now_ns + self._pause_ns
        self._pause_ns = min(2 * self._pause_ns, RETRY_PAUSE_MAX_NS)
        return self._note(f"not registered: {reason}")

    def epoch_saved(self, token: EpochToken, event: WorkDone, now_ns: int) -> list[Action]:
        """The epoch is durable on one volume more, or could not be made so."""
        saved = self._inventory.volumes.epoch_saved(token, event)
        notes: list[Action] = []
        if event.error is not None:
            notes.append(Note(f"the epoch could not be saved: {event.error}"))
        if saved is None:
            return notes
        if not saved:
            return notes + self.lost("no volume could save the epoch", now_ns)
        self.epoch = max(self.epoch, token.epoch)
        return notes + (self._catch_up(now_ns) if self.link is Link.LEARNING else [])

    def tell(self, now_ns: int) -> list[Action]:
        """Send the first of the news unless something is under way."""
        if self.link is not Link.SERVING:
            return []
        if self._inventory.news_lost:
            return self._begin_report(now_ns)
        if self._request or not (self._inventory.has_news or self._owes_word):
            return []
        self._owes_word = False
        return [self._send(self._inventory.next_news(), now_ns)]

    def next_deadline(self) -> int | None:
        """When something is to be sent or said again."""
        due = []
        if self._request or self.link is Link.AWAY:
            due.append(self._due_ns)
        if self.link in (Link.REPORTING, Link.SERVING):
            due.append(self._heartbeat_due_ns)
        return min(due, default=None)

    def on_deadline(self, now_ns: int) -> list[Action]:
        """Register, repeat, beat: whatever is due."""
        actions: list[Action] = []
        if (self._request or self.link is Link.AWAY) and now_ns >= self._due_ns:
            actions += self._again(now_ns)
        beating = self.link in (Link.REPORTING, Link.SERVING)
        if beating and now_ns >= self._heartbeat_due_ns:
            actions += self._beat(now_ns)
        return actions

    def _again(self, now_ns: int) -> list[Action]:
        match self.link:
            case Link.AWAY:
                return [self._register(now_ns), *self._inventory.volumes.measure()]
            case Link.REGISTERING:
                return self.lost("the namenode does not answer", now_ns)
            case Link.LEARNING:
                return self._learnt_late(now_ns)
            case Link.REPORTING:
                return self._begin_report(now_ns)
        return [self._send(self._inventory.next_news(), now_ns)]

    def _register(self, now_ns: int) -> Action:
        self.link = Link.REGISTERING
        volumes = self._inventory.volumes
        register = Register(
            endpoints=self._me.endpoints,
            host=self._me.host,
            rack=self._me.rack,
            capacity_bytes=volumes.capacity_bytes,
            free_bytes=volumes.room_bytes,
            used_bytes=self._inventory.replicas.used_bytes,
            highest_chunk=self._inventory.highest_chunk,
            epoch=self.epoch,
            incarnation=self._reported_to,
            sequence=self._inventory.sequence,
            quarantined=self._inventory.quarantined,
            failed_volumes=volumes.failed,
            largest_free_bytes=volumes.largest_room_bytes,
            disks=volumes.disks,
        )
        return self._send(register, now_ns)

    def _registered(self, message: Registered, now_ns: int) -> list[Action]:
        if message.epoch < self.epoch:
            return self.lost(
                f"the namenode is at epoch {message.epoch} and this node obeyed {self.epoch}:"
                " the namenode was restored from an older copy",
                now_ns,
            )
        self._heartbeat_every_ns = message.heartbeat_ns
        self._heartbeat_due_ns = now_ns + message.heartbeat_ns
        self._incarnation = message.incarnation
        if message.full:
            self._reported_to = 0
        if message.epoch == self.epoch:
            return self._catch_up(now_ns)
        self.link, self._learning = Link.LEARNING, message.epoch
        self._due_ns = now_ns + EPOCH_DEADLINE_NS
        saving = self._inventory.volumes.save_epoch(message.epoch)
        return saving or self.lost("no volume is left to save the epoch on", now_ns)

    def _learnt_late(self, now_ns: int) -> list[Action]:
        """Some disk still saves the epoch: the others are enough, if there are any."""
        if not self._inventory.volumes.end_saving():
            return self.lost("no disk has saved the epoch for too long", now_ns)
        self.epoch = max(self.epoch, self._learning)
        return self._catch_up(now_ns)

    def _catch_up(self, now_ns: int) -> list[Action]:
        """Say what the namenode does not know: everything, or what changed."""
        if not self._reported_to:
            return self._begin_report(now_ns)
        return self._serve("registered again")

    def _serve(self, text: str) -> list[Action]:
        self.link = Link.SERVING
        self._pause_ns = RETRY_PAUSE_NS
        self._request = 0
        self._owes_word = True
        return self._note(text)

    def _begin_report(self, now_ns: int) -> list[Action]:
        self._reported_to = 0
        self.link = Link.REPORTING
        self._pause_ns = RETRY_PAUSE_NS
        self._report += 1
        self._page = 0
        self._rows = self._inventory.begin_report()
        return [self._send_page(now_ns)]

    def _send_page(self, now_ns: int) -> Action:
        at = self._page * _PAGE_BYTES
        last = at + _PAGE_BYTES >= len(self._rows)
        page = ReportPage(self._report, self._page, last)
        return self._send(page, now_ns, self._rows[at : at + _PAGE_BYTES])

    def _page_taken(self, now_ns: int) -> list[Action]:
        self._page += 1
        if self._page * _PAGE_BYTES < len(self._rows):
            return [self._send_page(now_ns)]
        self._rows = memoryview(b"")
        self._reported_to = self._incarnation
        return self._serve("registered and reported")

    def _refused(self, request: int, failed: Failed, now_ns: int) -> list[Action]:
        if request not in (self._request, self._heartbeat) or not request:
            return []
        unknown = isinstance(failed.error(), NotFound)
        if self.link is Link.REGISTERING or unknown:
            return self.lost(failed.text, now_ns)
        if request != self._request:
            return self._note(f"heartbeat: {failed.text}")
        self.link = Link.REPORTING
        self._due_ns = now_ns + RETRY_PAUSE_NS  # then a new report begins
        return self._note(f"what this node holds was not taken: {failed.text}")

    def _beat(self, now_ns: int) -> list[Action]:
        self._heartbeat_due_ns = now_ns + self._heartbeat_every_ns
        self._heartbeat = next(self._numbers)
        volumes = self._inventory.volumes
        beat = Heartbeat(
            free_bytes=volumes.room_bytes,
            used_bytes=self._inventory.replicas.used_bytes,
            capacity_bytes=volumes.capacity_bytes,
            failed_volumes=volumes.failed,
            quarantined=self._inventory.quarantined,
            largest_free_bytes=volumes.largest_room_bytes,
            disks=volumes.disks,
        )
        endpoints = self._me.namenode_endpoints
        return [
            Send(NAMENODE, beat, self._heartbeat, endpoints=endpoints),
            *volumes.measure(),
        ]

    def _send(self, message: Message, now_ns: int, payload: memoryview | bytes = b"") -> Send:
        self._request = next(self._numbers)
        self._due_ns = now_ns + REQUEST_TRY_NS
        return Send(
            NAMENODE, message, self._request, payload, endpoints=self._me.namenode_endpoints
        )

    def _note(self, text: str) -> list[Action]:
        """A line for the log, unless it says what the last one said."""
        if text == self._last_note:
            return []
        self._last_note = text
        return [Note(text)]
