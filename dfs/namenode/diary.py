"""What happened, a line each: what a namenode's life brought, as far as it is remembered.

Every note of the process's cores is kept, and who was given up as a keeper of the log. Beside them
stands what nobody decides: nodes that fall silent and come back, a disk that fills, chunks that run
short, snapshots. These are looked for once a second, when there is anything else to do. Soft: a
new life begins with an empty page.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from dfs.events import Action, Note, Now
from dfs.limits import EVENT_MAX_CHARS, EVENTS_KEPT, EVENTS_PER_PAGE, SECOND_NS
from dfs.namenode.module import View
from dfs.namenode.nodes import Health, Nodes
from dfs.namenode.replication import Counts
from dfs.quantities import counted
from dfs.wire.admin import EventPage, Happening

LOOK_EVERY_NS = 1 * SECOND_NS


class Diary:
    """See the module's text. ``boot`` names this life of the namenode."""

    def __init__(self, nodes: Nodes, now: Now) -> None:
        self.boot = now.wall_ns
        self._nodes = nodes
        self._kept: deque[Happening] = deque(maxlen=EVENTS_KEPT)
        self._sequence = 0
        self._looked_ns = now.mono_ns
        self._health: dict[str, Health] = {}
        self._counts = Counts(0, 0, 0, True)
        self._failed: dict[str, tuple[str, ...]] = {}
        self._is_full = False
        self._snapshot: int | None = None
        self._log_begins = 1
        self.write("the namenode started; what happened before is in its log files", now)

    def write(self, text: str, now: Now) -> None:
        """Something happened."""
        self._sequence += 1
        self._kept.append(Happening(self._sequence, now.wall_ns, text[:EVENT_MAX_CHARS]))

    def keep(self, actions: Sequence[Action], now: Now) -> None:
        """Keep the notes among these actions."""
        for action in actions:
            if isinstance(action, Note):
                self.write(action.text, now)

    def is_due(self, now: Now) -> bool:
        """Is it time to look?"""
        return now.mono_ns - self._looked_ns >= LOOK_EVERY_NS

    def look(self, counts: Counts, view: View, now: Now) -> None:
        """What changed since the last look?"""
        self._looked_ns = now.mono_ns
        self._look_at_nodes(now)
        self._look_at_log(view, now)
        is_full = view.is_full
        if is_full != self._is_full:
            self.write("the disk of the namenode " + ("is full" if is_full else "has room"), now)
        if counts.short and not self._counts.short:
            self.write(
                f"repair begins: {counted(counts.short, 'chunk')} with too few replicas", now
            )
        if self._counts.short and not counts.short:
            self.write("repair is done: every chunk that has a replica has enough", now)
        if counts.missing > self._counts.missing:
            self.write(f"{counted(counts.missing, 'chunk')} without a replica", now)
        if self._counts.missing and not counts.missing:
            self.write("every chunk has a replica again", now)
        self._is_full, self._counts = is_full, counts

    def _look_at_log(self, view: View, now: Now) -> None:
        """Snapshots and cuts; those from before the first look are no news."""
        index, begins = view.snapshot.index, view.first_index
        if view.snapshot.taken_ns and index != self._snapshot:
            self.write(f"a snapshot was taken: it has everything up to record {index}", now)
        if self._snapshot is not None and begins > self._log_begins:
            self.write(f"the log was cut: it begins with record {begins}", now)
        self._snapshot, self._log_begins = index, begins

    def _look_at_nodes(self, now: Now) -> None:
        for name in self._nodes.known():
            before, health = self._health.get(name), self._nodes.health(name, now.mono_ns)
            self._health[name] = health
            if health is Health.STALE and before is not Health.STALE:
                self.write(f"{name} is stale: no heartbeat for a while", now)
            elif health is Health.LIVE and before in (Health.STALE, Health.DEAD):
                self.write(f"{name} is live again", now)
            self._look_at_volumes(name, now)

    def _look_at_volumes(self, name: str, now: Now) -> None:
        state, before = self._nodes.get(name), self._failed.get(name, ())
        if state is not None:
            self._failed[name] = state.failed_volumes
            for volume in state.failed_volumes:
                if volume not in before:
                    self.write(f"a volume of {name} failed: {volume}", now)

    def page(self, boot: int, after: int) -> EventPage:
        """What is remembered behind ``after``, if it was seen in this life."""
        first = after if boot == self.boot else 0
        found = [happening for happening in self._kept if happening.sequence > first]
        page = tuple(found[:EVENTS_PER_PAGE])
        return EventPage(self.boot, page, len(found) > len(page))
