"""``minidfs status``: processes and health, with the reason."""

from __future__ import annotations

import time

import click

from cli.admin.ask import ask
from cli.admin.report import work_lines
from cli.cluster.health import EXIT_CODES, ClusterHealth
from cli.cluster.look import look
from cli.invocation import Invocation, common, invocation
from cli.render import human_size, json_line, table
from dfs.limits import FIRST_CONTACT_NS
from dfs.local.layout import Home
from dfs.wire.admin import GetReport, Report

WATCH_PAUSE_S = 1.0
ANSWER_LIMIT_NS = 2 * FIRST_CONTACT_NS
"""A namenode that was reached and does not answer for so long is as good as not there."""


@click.command("status")
@click.option("-w", "watch", is_flag=True, help="Show it again each second until Ctrl-C.")
@common
@invocation
def command(call: Invocation, watch: bool) -> None:
    """Show the processes of the cluster and how it is.

    Ends with 0 when it serves, 8 when it is degraded, 5 when it does not run.
    """
    call.timeout_ns = min(call.timeout_ns, ANSWER_LIMIT_NS)
    config = call.config()
    home = Home(call.home)
    here = home if call.config_file == home.config_file else None
    while True:
        health = look(call, config, here)
        _show(call, health)
        if not watch:
            raise click.exceptions.Exit(EXIT_CODES[health.state])
        time.sleep(WATCH_PAUSE_S)
        if not call.json:
            click.echo()


def _show(call: Invocation, health: ClusterHealth) -> None:
    if call.json:
        click.echo(json_line(health.fields()))
        return
    click.echo(f"cluster {health.cluster}: {health.state}")
    for reason in health.reasons:
        click.echo(f"  {reason}")
    rows = [
        (role.id, role.state, "" if role.pid is None else str(role.pid), role.address)
        for role in health.roles
    ]
    for line in table([("ID", "STATE", "PID", "ADDRESS"), *rows], frozenset({2})):
        click.echo(line)
    if call.verbose and health.status is not None:
        status = health.status
        click.echo(
            f"chunks: {status.chunks}, with too few copies: {status.under_replicated},"
            f" without any: {status.missing}{', as far as looked at' if status.walking else ''}"
        )
        for line in work_lines(ask(call.client(), GetReport(), Report))[1:]:
            click.echo(line)
        disks = [
            (
                node.node,
                human_size(node.used_bytes),
                human_size(node.free_bytes),
                str(node.replicas),
            )
            for node in status.nodes
        ]
        for line in table([("ID", "USED", "FREE", "REPLICAS"), *disks], frozenset({1, 2, 3})):
            click.echo(line)
