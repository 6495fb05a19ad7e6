"""Starting processes of the cluster on this machine and waiting until they serve.

What runs is left alone, what is paused goes on, and what does not run is started by its keeper,
which is started first if it does not run itself. It is over when the namenode answers, each
datanode has reported and each worker has registered. Where the namenode does not run and is not
to be started, nothing can serve; then it is over when the processes run.

A process that ends meanwhile fails the start: its keeper notes that it ended, and all that this
start has begun is stopped again. Keepers that ran before go on trying.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cli.cluster.health import LIVE, PAUSED, ClusterHealth
from cli.cluster.look import look, running
from cli.cluster.programs import program
from cli.invocation import Invocation
from dfs.config import Config
from dfs.errors import DfsError
from dfs.events import Role
from dfs.limits import MS_NS, SECOND_NS
from dfs.local.launch import log_size, log_tail, start, stop
from dfs.local.layout import KEEPER_ID, NAMENODE_ID, Home, keeper_of
from dfs.local.notes import forget_end, last_end, unmark_stopped
from dfs.local.processes import Process, is_paused, read_pid_file, send_signal

START_LIMIT_NS = 90 * SECOND_NS
"""Longer than the namenode waits for the reports of datanodes that do not come."""

LOOK_PAUSE_NS = 50 * MS_NS


class StartError(DfsError):
    """A process of the cluster has ended, or hangs, while it should start."""

    code = "start_failed"


@dataclass(slots=True)
class Startup:
    """One start of those of ``roles`` that do not run."""

    call: Invocation
    config: Config
    home: Home
    roles: Sequence[str]
    resumed: list[str] = field(default_factory=list)
    _before: Mapping[str, Process] = field(default_factory=dict)
    _begun_ns: int = field(default_factory=time.monotonic_ns)
    _begun: dict[str, Process] = field(default_factory=dict)
    _log_start: dict[str, int] = field(default_factory=dict)

    @property
    def started(self) -> list[str]:
        """Those of ``roles`` that did not run before."""
        return [name for name in self.roles if name not in self._before]

    def run(self) -> ClusterHealth:
        """Start what is dead and wait until all serve; raises StartError."""
        self._before = running(self.home)
        self._log_start = {name: log_size(self.home, name) for name in self.roles}
        keepers = dict.fromkeys(map(keeper_of, self.roles))
        for process_id in (*keepers, *self.roles):
            self._resume(process_id)
        for process_id in self.started:
            unmark_stopped(self.home, process_id)
            forget_end(self.home, process_id)
        for keeper in keepers:
            if keeper not in self._before:
                self._begin(keeper)
            elif any(keeper_of(process_id) == keeper for process_id in self.started):
                send_signal(self._before[keeper], signal.SIGUSR1)
        return self._wait()

    def undo(self) -> None:
        """Stop what this start has begun, keepers with what they keep."""
        stop(self._begun.values())
        for process_id in self._begun:
            self.home.pid_file(process_id).unlink(missing_ok=True)

    def _resume(self, process_id: str) -> None:
        process = self._before.get(process_id)
        if process is not None and is_paused(process) and send_signal(process, signal.SIGCONT):
            self.resumed += [process_id] if process_id in self.roles else []

    def _begin(self, keeper: str) -> None:
        self._log_start[keeper] = log_size(self.home, keeper)
        start(self.home, keeper, _keeper_program(keeper))
        process = read_pid_file(self.home.pid_file(keeper))
        if process is None:
            raise self._failure(keeper, "ended while it started")
        self._begun[keeper] = process

    def _wait(self) -> ClusterHealth:
        deadline_ns = time.monotonic_ns() + START_LIMIT_NS
        while True:
            self._check_alive()
            health = look(self.call, self.config, self.home)
            late = self._late(health)
            if not late:
                return health
            if time.monotonic_ns() >= deadline_ns:
                raise self._failure(late[0], "does not serve after 90 s")
            time.sleep(LOOK_PAUSE_NS / SECOND_NS)

    def _late(self, health: ClusterHealth) -> list[str]:
        """The processes that do not serve yet."""
        if health.status is None and NAMENODE_ID not in self.roles:
            now = running(self.home)
            return [name for name in self.roles if name not in now]
        live = {role.id for role in health.roles if role.state == LIVE}
        late = [name for name in self.roles if name not in live]
        if NAMENODE_ID in self.roles:  # those that ran on without it come back to it
            there = [role.id for role in health.roles if role.pid and role.state != PAUSED]
            late += [name for name in there if name not in (*live, *late)]
        reported = all(role.id in live for role in health.roles if role.role == Role.DATANODE)
        if not late and reported and health.status is not None and health.status.safe_mode:
            return [NAMENODE_ID]
        return late

    def _check_alive(self) -> None:
        """Raise StartError if something that had begun to run has ended."""
        now = running(self.home)
        for keeper, process in self._begun.items():
            if now.get(keeper) != process:
                raise self._failure(keeper, "ended while it started")
        for process_id in self.roles:
            end = last_end(self.home, process_id)
            if process_id not in now and end is not None and end.started_ns >= self._begun_ns:
                raise self._failure(process_id, "ended while it started")

    def _failure(self, process_id: str, what: str) -> StartError:
        log = self.home.log_file(process_id)
        lines = log_tail(self.home, process_id, self._log_start.get(process_id, 0))
        said = "".join(f"\n  {line}" for line in lines) or " nothing"
        return StartError(f"{process_id} {what}; its log {log} says:{said}", str(log))


def _keeper_program(keeper: str) -> list[str]:
    if keeper == KEEPER_ID:
        return program("namenode", "--keep")
    return program("node", "--id", keeper.removeprefix("node-"))
