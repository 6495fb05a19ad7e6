"""``minidfs up``: a cluster on this machine, in the background.

Every start is the same, the first one and one after everything was killed: what runs is left
alone, what does not is started, and the command returns when the namenode answers, each datanode
has reported and each worker has registered. A process that ends meanwhile fails the start; then
all that this call has started is stopped again.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import click

from cli.cluster.health import DEGRADED, LIVE, ClusterHealth
from cli.cluster.look import is_namenode_running, look, running
from cli.cluster.plan import Plan, Wanted, make_plan
from cli.cluster.programs import JOBS_MISSING, jobs_possible, program
from cli.invocation import SIZE, Invocation, common, invocation
from cli.render import json_line
from dfs.config import render
from dfs.errors import BadArgument, DfsError
from dfs.limits import MS_NS, SECOND_NS
from dfs.local.launch import log_size, log_tail, start, stop
from dfs.local.layout import NAMENODE_ID, Home, node_process_ids, write_file
from dfs.local.processes import Process, read_pid_file, send_signal

START_LIMIT_NS = 90 * SECOND_NS
"""Longer than the namenode waits for the reports of datanodes that do not come."""

LOOK_PAUSE_NS = 50 * MS_NS


class StartError(DfsError):
    """A process of the cluster has ended, or hangs, while it should start."""

    code = "start_failed"


@click.command("up")
@click.option("--nodes", type=click.IntRange(1), metavar="N", help="As last time, else 3.")
@click.option(
    "--replication", type=click.IntRange(1), metavar="R", help="Copies of each chunk (up to 3)."
)
@click.option("--chunk-size", type=SIZE, metavar="S", help="Largest size of a chunk (64M).")
@common
@invocation
def command(
    call: Invocation, nodes: int | None, replication: int | None, chunk_size: int | None
) -> None:
    """Start a cluster on this machine, or what is dead of it; returns when it serves.

    Data, ids and ports are kept in MINIDFS_HOME (~/.minidfs) and used again.
    """
    home = Home(call.home)
    if call.config_file != home.config_file:
        raise BadArgument(
            f"'up' makes and uses {home.config_file}, and {call.config_file} is configured:"
            " unset MINIDFS_CLUSTER and --cluster, or set MINIDFS_HOME"
        )
    home.make()
    with home.locked():
        wanted = Wanted(nodes, replication, chunk_size)
        plan = make_plan(home, wanted, is_namenode_running(home), os.cpu_count() or 1)
        home.save_local(plan.local)
        write_file(home.config_file, render(plan.config).encode())
        startup = Startup(call, home, plan)
        try:
            health = startup.run()
        except BaseException:
            startup.undo()
            raise
    _report(call, home, startup, health)


@dataclass(slots=True)
class Startup:
    """One start of what is not running."""

    call: Invocation
    home: Home
    plan: Plan
    jobs: bool = field(default_factory=jobs_possible)
    _before: Mapping[str, Process] = field(default_factory=dict)
    _begun: dict[str, Process] = field(default_factory=dict)
    _log_start: dict[str, int] = field(default_factory=dict)
    _seen: dict[str, Process] = field(default_factory=dict)

    @property
    def roles(self) -> list[str]:
        """The processes that people know, which shall run at the end."""
        nodes = [name for n in self.plan.nodes for name in node_process_ids(n)]
        return [NAMENODE_ID, *(n for n in nodes if self.jobs or not n.startswith("worker"))]

    @property
    def started(self) -> list[str]:
        """Those of ``roles`` that did not run before."""
        return [name for name in self.roles if name not in self._before]

    def run(self) -> ClusterHealth:
        """Start what is dead and wait until all serve; raises StartError."""
        self._before = running(self.home)
        self._log_start = {name: log_size(self.home, name) for name in self.roles}
        if NAMENODE_ID not in self._before:
            self._start(NAMENODE_ID, program("namenode"))
        for number in self.plan.nodes:
            keeper = f"node-{number}"
            if keeper not in self._before:
                self._start(keeper, program("node", "--id", str(number)))
            elif any(name not in self._before for name in node_process_ids(number)):
                send_signal(self._before[keeper], signal.SIGUSR1)
        return self._wait()

    def undo(self) -> None:
        """Stop what this start has begun, keepers with what they keep."""
        stop(self._begun.values())
        for process_id in self._begun:
            self.home.pid_file(process_id).unlink(missing_ok=True)

    def _start(self, process_id: str, command: list[str]) -> None:
        self._log_start.setdefault(process_id, log_size(self.home, process_id))
        start(self.home, process_id, command)
        process = read_pid_file(self.home.pid_file(process_id))
        if process is None:
            raise self._failure(process_id, "ended while it started")
        self._begun[process_id] = process

    def _wait(self) -> ClusterHealth:
        deadline_ns = time.monotonic_ns() + START_LIMIT_NS
        while True:
            self._check_alive()
            health = look(self.call, self.plan.config, self.home)
            late = self._late(health)
            if not late:
                return health
            if time.monotonic_ns() >= deadline_ns:
                raise self._failure(late[0], "does not serve after 90 s")
            time.sleep(LOOK_PAUSE_NS / SECOND_NS)

    def _late(self, health: ClusterHealth) -> list[str]:
        """The processes that do not serve yet."""
        live = {role.id for role in health.roles if role.state == LIVE}
        late = [name for name in self.roles if name not in live]
        if not late and health.status is not None and health.status.safe_mode:
            return [NAMENODE_ID]
        return late

    def _check_alive(self) -> None:
        """Raise StartError if something that had begun to run has ended."""
        now = running(self.home)
        for process_id in (*self._begun, *self.roles):
            seen = self._seen.get(process_id) or self._begun.get(process_id)
            if seen is not None and now.get(process_id) != seen:
                raise self._failure(process_id, "ended while it started")
            if process_id in now and process_id not in self._before:
                self._seen[process_id] = now[process_id]

    def _failure(self, process_id: str, what: str) -> StartError:
        log = self.home.log_file(process_id)
        lines = log_tail(self.home, process_id, self._log_start.get(process_id, 0))
        said = "".join(f"\n  {line}" for line in lines) or " nothing"
        return StartError(f"{process_id} {what}; its log {log} says:{said}", str(log))


def _report(call: Invocation, home: Home, startup: Startup, health: ClusterHealth) -> None:
    started, plan = startup.started, startup.plan
    if call.json:
        print(json_line({**health.fields(), "started": started}))
        return
    print(f"started {', '.join(started)}" if started else "everything runs already")
    if not startup.jobs:
        print(JOBS_MISSING, file=sys.stderr)
    if health.state == DEGRADED:
        print(f"degraded: {'; '.join(health.reasons)}")
    nodes = plan.local.nodes
    print(
        f"cluster {health.cluster} serves at {plan.config.namenode.address}:"
        f" {nodes} node{'' if nodes == 1 else 's'},"
        f" replication {plan.config.files.replication}, data in {home.folder}"
    )
    print("next: minidfs put FILE /    minidfs ls    minidfs status    minidfs down")
