"""The step: the one way in which a core meets the world, in production and simulation.

A step takes the events that arrived and the time, asks the core what to do, and
returns the actions that may now be carried out. ``PlainStep`` is for cores that
remember nothing. ``JournalStep`` is for a core whose decisions must survive:

1. each event is decided against everything applied before it, in this step too;
2. its commands go to the log's buffer and are applied to the view at once; its
   actions are held, those of mere reads included, since a read may have seen a
   command of the same step;
3. the deadline, when it has passed, is decided in the same way;
4. the log is written and synced once for all of them;
5. now and then the view is committed: always after 4, so that it is never ahead of
   the synced log;
6. the held actions are returned.

*Attendants* follow the log beside the core: they get the events that are theirs, and their turn
after each sync, and decide no command. One takes the *snapshots*. One may be the *keepers*: while
they keep the log on other machines, what 6 would return waits further, see ``dfs.net.withheld``.

Their time is that of ``dfs.net.awake``: what the process slept through does not count.

When nobody waits, space is reserved ahead for log and view. Once the disk has none, the core
is told so with each view, until there is some again.

An exception anywhere means that what was held is never released and that the
process must end: the step refuses to run again, and closing it saves nothing. So does
a view that failed while it was read, even if the core made an answer of it. The log,
read back, then tells what had become durable.
"""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from typing import Protocol

from dfs.events import Action, Decision, Event, LinkLost, Now, WorkDone
from dfs.limits import COMMIT_EVERY_NS, COMMIT_MAX_BYTES, COMMIT_MAX_COMMANDS, ROOM_RETRY_NS
from dfs.namenode.journal import apply_table, put_applied_index
from dfs.namenode.log import Log
from dfs.namenode.module import ALONE, NO_SNAPSHOT, LogCopies, Module, Snapshot, View
from dfs.namenode.safemode import CheckView
from dfs.namenode.table import Table
from dfs.net.awake import AwakeClock
from dfs.net.withheld import Withheld, is_question

_AT_ONCE = 0


class Step(Protocol):
    """What a loop drives."""

    def run(self, events: list[Event], now: Now) -> list[Action]:
        """Decide these events and what is due; the actions are safe to carry out."""

    def next_deadline(self) -> int | None:
        """When to run again even if nothing arrives (ns, monotonic)."""


class PlainCore(Protocol):
    """A core without a log."""

    def handle(self, event: Event, now: Now) -> list[Action]:
        """Decide one event."""

    def on_deadline(self, now: Now) -> list[Action]:
        """Do what is due."""

    def next_deadline(self) -> int | None:
        """When something is due (ns, monotonic)."""


class JournalCore(Protocol):
    """A core whose commands stand in a log."""

    def handle(self, view: View, event: Event, now: Now) -> Decision:
        """Decide one event."""

    def on_deadline(self, view: View, now: Now) -> Decision:
        """Decide what is due."""

    def next_deadline(self) -> int | None:
        """When something is due (ns, monotonic)."""

    def remember(self, actions: Sequence[Action], now: Now) -> None:
        """Keep the notes among these actions, which are not the core's own."""


class Attendant(Protocol):
    """What follows the log beside the core. It decides no command; its actions need no log."""

    def takes(self, event: Event) -> bool:
        """Is this event meant for it, and not for the core? A lost link is meant for all, and so
        is the verdict on the view."""

    def handle(self, event: Event, now: Now) -> list[Action]:
        """What to do about an event that it takes."""

    def synced(self, now: Now) -> list[Action]:
        """The log is synced up to its end."""

    def on_deadline(self, now: Now) -> list[Action]:
        """Do what is due."""

    def next_deadline(self) -> int | None:
        """When something is due (ns, monotonic)."""


class SnapshotTaker(Attendant, Protocol):
    """The attendant that copies the view and cuts the log."""

    @property
    def snapshot(self) -> Snapshot:
        """The newest copy that is whole."""


class LogKeepers(Attendant, Protocol):
    """The attendant that has the log kept on other machines."""

    @property
    def copies(self) -> LogCopies:
        """On how many machines the log shall be, and is."""

    @property
    def agreed_index(self) -> int:
        """The last record that is on as many machines as it shall be."""


def _is_for_all(event: Event) -> bool:
    match event:
        case LinkLost() | WorkDone(token=CheckView()):
            return True
        case _:
            return False


def _is_due(deadline: int | None, now: Now) -> bool:
    return deadline is not None and deadline <= now.mono_ns


class PlainStep:
    """A step around a core that has nothing to make durable."""

    def __init__(self, core: PlainCore) -> None:
        self._core = core

    def run(self, events: list[Event], now: Now) -> list[Action]:
        actions: list[Action] = []
        for event in events:
            actions += self._core.handle(event, now)
        if _is_due(self._core.next_deadline(), now):
            actions += self._core.on_deadline(now)
        return actions

    def next_deadline(self) -> int | None:
        return self._core.next_deadline()


class JournalStep:
    """A step around a core with a log and a view; the rules are in the module's text."""

    def __init__(
        self,
        core: JournalCore,
        modules: tuple[Module, ...],
        log: Log,
        table: Table,
    ) -> None:
        self._core = core
        self._snapshots: SnapshotTaker | None = None
        self._keepers: LogKeepers | None = None
        self._withheld = Withheld()
        self._apply = apply_table(modules)
        self._log = log
        self._table = table
        self._intact = True
        self._uncommitted = 0
        self._uncommitted_since_ns = 0
        self._committed_bytes = log.appended_bytes
        self._is_full = False
        self._look_again_ns = _AT_ONCE
        self._clock = AwakeClock()

    def run(self, events: list[Event], now: Now) -> list[Action]:
        assert self._intact, "a step ran after one that failed; the process had to end"
        self._intact = False
        now = self._clock.read(now)
        held: list[Action] = []
        for event in events:
            held += self._take(event, now)
        if _is_due(self._core.next_deadline(), now):
            held += self._record(self._core.on_deadline(self._view(), now), "its deadline", now)
        self._table.check_usable()
        self._log.sync()
        if _is_due(self._commit_deadline(), now):
            self._commit()
        for attendant in self._attending():
            held += attendant.synced(now)
            if _is_due(attendant.next_deadline(), now):
                held += self._attend(attendant, now)
        if self._keepers is not None and self._withheld:
            held += self._withheld.release(self._keepers.agreed_index, self._keepers.copies)
        if not held and _is_due(self._room_deadline(), now):
            self._make_room(now)
        self._intact = True
        return held

    def keep_elsewhere(self, keepers: LogKeepers) -> None:
        """Have the log kept on other machines from now on."""
        self._keepers = keepers

    def take_snapshots(self, snapshots: SnapshotTaker) -> None:
        """Have the view copied and the log cut from now on."""
        self._snapshots = snapshots

    def next_deadline(self) -> int | None:
        """The earliest of all: of core and attendants, the commit's, that of the space ahead."""
        deadlines = [self._core.next_deadline(), self._commit_deadline(), self._room_deadline()]
        deadlines += [attendant.next_deadline() for attendant in self._attending()]
        return self._clock.until(min((d for d in deadlines if d is not None), default=None))

    def close(self) -> None:
        """End in good order: commit the view, so that the next start has nothing to replay."""
        if self._intact and self._uncommitted:
            self._commit()
        self._intact = False
        self._log.close()

    def _view(self) -> View:
        snapshot = NO_SNAPSHOT if self._snapshots is None else self._snapshots.snapshot
        return View(
            self._table,
            self._log.next_index,
            self._is_full,
            self._copies(),
            snapshot,
            self._log.first_index,
        )

    def _attending(self) -> list[Attendant]:
        attending = (self._snapshots, self._keepers)
        return [attendant for attendant in attending if attendant is not None]

    def _attend(self, attendant: Attendant, now: Now) -> list[Action]:
        """The core remembers who is given up as a keeper; links and snapshots it sees itself."""
        actions = attendant.on_deadline(now)
        if attendant is self._keepers:
            self._core.remember(actions, now)
        return actions

    def _copies(self) -> LogCopies:
        return ALONE if self._keepers is None else self._keepers.copies

    def _take(self, event: Event, now: Now) -> list[Action]:
        """Let those decide whom an event concerns."""
        actions: list[Action] = []
        takers = [attendant for attendant in self._attending() if attendant.takes(event)]
        for attendant in takers:
            actions += attendant.handle(event, now)
        if takers and not _is_for_all(event):
            return actions
        refusal = self._withheld.refusal(event, self._copies())
        if refusal is not None:
            return [*actions, refusal]
        return actions + self._record(self._core.handle(self._view(), event, now), event, now)

    def _record(self, decision: Decision, cause: object, now: Now) -> list[Action]:
        """Log the commands of one decision and apply them; returns what the sync releases."""
        commands = decision.commands
        if commands:
            index = self._log.append(commands)
            for command in commands:
                try:
                    self._apply[type(command)](self._table, index, command)
                except AssertionError as error:
                    story = f"record {index}: {reprlib.repr(command)} after {reprlib.repr(cause)}"
                    raise AssertionError(f"{story}: {error}") from error
            if not self._uncommitted:
                self._uncommitted_since_ns = now.mono_ns
            self._uncommitted += len(commands)
        if self._keepers is None or (self._copies().wanted == 1 and not self._withheld):
            return decision.actions
        of_question = is_question(cause, decision)
        index = self._log.next_index - 1
        return self._withheld.hold(index, decision.actions, of_question=of_question)

    def _commit_deadline(self) -> int | None:
        if not self._uncommitted:
            return None
        pending_bytes = self._log.appended_bytes - self._committed_bytes
        if self._uncommitted >= COMMIT_MAX_COMMANDS or pending_bytes >= COMMIT_MAX_BYTES:
            return _AT_ONCE
        return self._uncommitted_since_ns + COMMIT_EVERY_NS

    def _commit(self) -> None:
        index = self._log.durable_index
        assert index == self._log.next_index - 1, f"commit of records that are not synced: {index}"
        put_applied_index(self._table, index)
        self._table.commit()
        self._committed_bytes = self._log.appended_bytes
        self._uncommitted = 0
        self._is_full = not self._table.make_room() or self._is_full

    def _room_deadline(self) -> int | None:
        if self._is_full:
            return self._look_again_ns
        return _AT_ONCE if self._log.wants_segment else None

    def _make_room(self, now: Now) -> None:
        """Reserve the space that the next records and commits will need."""
        log_has_room = not self._log.wants_segment or self._log.prepare_segment()
        self._is_full = not (self._table.make_room() and log_has_room)
        self._look_again_ns = now.mono_ns + ROOM_RETRY_NS
