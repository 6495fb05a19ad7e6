"""The namenode's process with the master in it: two cores, one log, one loop.

A message goes to the core that its tag belongs to: 1000 and above is MapReduce. A lost
connection concerns both. Each deadline is one decision of one core, so that what one decides
is applied before the other looks; when both are due they take turns.

The master is made once the metadata are known to be sound: it reads jobs from them and gives
workers time from then on. Until that it has no workers, and whoever wants something of it waits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dfs.config.schema import Times
from dfs.errors import Unavailable
from dfs.events import Action, Decision, Event, Now, Received, Reply, Role
from dfs.namenode import commands as c
from dfs.namenode.core import NamespaceCore
from dfs.namenode.module import Command, View
from dfs.namenode.nodes import Nodes
from dfs.namenode.safemode import CHECKING
from dfs.namenode.server import Companion, NamenodeCore, NamenodeOptions, serve
from dfs.namenode.storage import Storage
from dfs.namenode.table import Table
from dfs.wire.codec import Message
from dfs.wire.common import Failed
from mapreduce.commands import MODULE
from mapreduce.master.core import MasterCore
from mapreduce.wire import ListWorkers, WorkerList

FIRST_TAG = 1000
"""Message tags from here on belong to MapReduce."""


class ComposedCore:
    """The namespace and the master as one core; ``make_master`` is called once, when it may be."""

    def __init__(
        self, namespace: NamespaceCore, make_master: Callable[[Now], MasterCore], now: Now
    ) -> None:
        self._namespace = namespace
        self._make_master = make_master
        self._master = None if namespace.is_checking else make_master(now)
        self._masters_turn = False

    @property
    def nodes(self) -> Nodes:
        """The datanodes."""
        return self._namespace.nodes

    def handle(self, view: View, event: Event, now: Now) -> Decision:
        """Decide one event."""
        master = self._master
        if not isinstance(event, Received):
            theirs = self._namespace.handle(view, event, now)
            if master is None:
                if not self._namespace.is_checking:
                    self._master = self._make_master(now)
                return theirs
            ours = self._of_master(master.handle(view, event, now), now)
            return Decision(theirs.commands + ours.commands, theirs.actions + ours.actions)
        if event.message.TAG < FIRST_TAG:
            return self._namespace.handle(view, event, now)
        if master is None:
            return Decision(actions=[Reply(event.origin, _without_master(event))])
        decision = self._of_master(master.handle(view, event, now), now)
        decision.actions += self._namespace.greet(event)
        return decision

    def on_deadline(self, view: View, now: Now) -> Decision:
        """Decide what is due in one of the cores."""
        self._masters_turn = not self._masters_turn
        master = self._master
        if master is None or (
            self._is_due(self._namespace, now)
            and not (self._masters_turn and self._is_due(master, now))
        ):
            return self._namespace.on_deadline(view, now)
        return self._of_master(master.on_deadline(view, now), now)

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
        cores = (self._namespace, *(() if self._master is None else (self._master,)))
        times = [core.next_deadline() for core in cores]
        return min((t for t in times if t is not None), default=None)


def _without_master(event: Received) -> Message:
    """What is answered before there is a master."""
    if isinstance(event.message, ListWorkers) and event.origin.peer.role is Role.CLIENT:
        return WorkerList(())
    return Failed.of(Unavailable(CHECKING))


def _unlinks(command: Command) -> bool:
    return isinstance(command, c.Removed) or (
        isinstance(command, c.Renamed) and command.replaced > 0
    )


def companion(times: Times) -> Companion:
    """The master as what ``dfs.namenode.server`` may have beside the namespace."""

    def compose(namespace: NamespaceCore, storage: Storage, table: Table, now: Now) -> NamenodeCore:
        return ComposedCore(namespace, lambda now: MasterCore(storage, times, table, now), now)

    return Companion((MODULE,), compose)


def serve_namenode(options: NamenodeOptions) -> int:
    """Be a namenode with a master until told to stop; the exit code of the process."""
    return serve(options, companion(options.config.times))
