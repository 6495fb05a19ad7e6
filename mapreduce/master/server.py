"""The namenode's process with the master in it: two cores, one log, one loop.

A message goes to the core that its tag belongs to: 1000 and above is MapReduce. A lost
connection concerns both. Each deadline is one decision of one core, so that what one decides
is applied before the other looks; when both are due they take turns.
"""

from __future__ import annotations

from collections.abc import Sequence

from dfs.config.schema import Times
from dfs.events import Action, Decision, Event, Now, Received
from dfs.namenode import commands as c
from dfs.namenode.core import NamespaceCore
from dfs.namenode.module import Command, View
from dfs.namenode.nodes import Nodes
from dfs.namenode.server import Companion, NamenodeCore, NamenodeOptions, serve
from dfs.namenode.storage import Storage
from dfs.namenode.table import Table
from mapreduce.commands import MODULE
from mapreduce.master.core import MasterCore

FIRST_TAG = 1000
"""Message tags from here on belong to MapReduce."""


class ComposedCore:
    """The namespace and the master as one core."""

    def __init__(self, namespace: NamespaceCore, master: MasterCore) -> None:
        self._namespace = namespace
        self._master = master
        self._masters_turn = False

    @property
    def nodes(self) -> Nodes:
        """The datanodes."""
        return self._namespace.nodes

    def handle(self, view: View, event: Event, now: Now) -> Decision:
        """Decide one event."""
        if not isinstance(event, Received):
            ours = self._of_master(self._master.handle(view, event, now), now)
            theirs = self._namespace.handle(view, event, now)
            return Decision(theirs.commands + ours.commands, theirs.actions + ours.actions)
        if event.message.TAG >= FIRST_TAG:
            return self._of_master(self._master.handle(view, event, now), now)
        return self._namespace.handle(view, event, now)

    def on_deadline(self, view: View, now: Now) -> Decision:
        """Decide what is due in one of the cores."""
        self._masters_turn = not self._masters_turn
        if self._is_due(self._namespace, now) and not (
            self._masters_turn and self._is_due(self._master, now)
        ):
            return self._namespace.on_deadline(view, now)
        return self._of_master(self._master.on_deadline(view, now), now)

    @staticmethod
    def _is_due(core: NamespaceCore | MasterCore, now: Now) -> bool:
        deadline = core.next_deadline()
        return deadline is not None and deadline <= now.mono_ns

    def _of_master(self, decision: Decision, now: Now) -> Decision:
        """What the master unlinks is reclaimed by the namespace, what it notes is remembered."""
        self._namespace.remember(decision.actions, now)
        if any(_unlinks(command) for command in decision.commands):
            self._namespace.reclaim()
        return decision

    def remember(self, actions: Sequence[Action], now: Now) -> None:
        """Keep what happened, for those who ask the namespace."""
        self._namespace.remember(actions, now)

    def next_deadline(self) -> int | None:
        """The earlier of both (ns, monotonic)."""
        times = (self._namespace.next_deadline(), self._master.next_deadline())
        return min((t for t in times if t is not None), default=None)


def _unlinks(command: Command) -> bool:
    return isinstance(command, c.Removed) or (
        isinstance(command, c.Renamed) and command.replaced > 0
    )


def companion(times: Times) -> Companion:
    """The master as what ``dfs.namenode.server`` may have beside the namespace."""

    def compose(namespace: NamespaceCore, storage: Storage, table: Table, now: Now) -> NamenodeCore:
        return ComposedCore(namespace, MasterCore(storage, times, table, now))

    return Companion((MODULE,), compose)


def serve_namenode(options: NamenodeOptions) -> int:
    """Be a namenode with a master until told to stop; the exit code of the process."""
    return serve(options, companion(options.config.times))
