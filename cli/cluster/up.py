"""``minidfs up``: a cluster on this machine, in the background.

Every start is the same, the first one and one after everything was killed: what runs is left
alone, what is paused goes on, what was stopped or is dead is started (``startup``).
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace

import click

from cli.cluster.health import DEGRADED, ClusterHealth
from cli.cluster.keys import make_node_keys, node_peers, with_first_keys
from cli.cluster.look import role_ids, running
from cli.cluster.plan import Plan, Wanted, make_plan
from cli.cluster.programs import JOBS_MISSING, jobs_possible
from cli.cluster.startup import Startup
from cli.invocation import SIZE, Invocation, common, invocation
from cli.render import json_line
from dfs.config import render
from dfs.errors import BadArgument
from dfs.events import Role
from dfs.local.layout import Home, write_file
from dfs.namenode.folder import make_namenode_folder
from dfs.quantities import counted


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
        plan = make_plan(home, wanted, bool(running(home)), os.cpu_count() or 1)
        if plan.is_new:
            plan = replace(plan, config=with_first_keys(home, plan.config))
        write_file(home.config_file, render(plan.config).encode())
        if plan.is_new:
            make_namenode_folder(plan.namenode_folder(home), plan.config.cluster.id, time.time_ns())
        home.save_local(plan.local)
        make_node_keys(home, plan.config, home.config_file, node_peers(plan.nodes))
        jobs = jobs_possible()
        roles = [n for n in role_ids(plan.local.nodes) if jobs or not n.startswith(Role.WORKER)]
        startup = Startup(call, plan.config, home, roles)
        try:
            health = startup.run()
        except BaseException:
            startup.undo()
            raise
    _report(call, plan, startup, health)


def _report(call: Invocation, plan: Plan, startup: Startup, health: ClusterHealth) -> None:
    started, resumed, home = startup.started, startup.resumed, startup.home
    if call.json:
        print(json_line({**health.fields(), "started": started, "resumed": resumed}))
        return
    if resumed:
        print(f"resumed {', '.join(resumed)}")
    if started or not resumed:
        print(f"started {', '.join(started)}" if started else "everything runs already")
    if not jobs_possible():
        print(JOBS_MISSING, file=sys.stderr)
    if health.state == DEGRADED:
        print(f"degraded: {'; '.join(health.reasons)}")
    nodes = plan.local.nodes
    print(
        f"cluster {health.cluster} serves at {plan.config.namenode.address}:"
        f" {counted(nodes, 'node')},"
        f" replication {plan.config.files.replication}, data in {home.folder}"
    )
    print("next: minidfs put FILE /    minidfs ls    minidfs status    minidfs down")
