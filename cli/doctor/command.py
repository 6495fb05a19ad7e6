"""``minidfs doctor``: one line for each thing that was looked at."""

from __future__ import annotations

from collections.abc import Iterator

import click

from cli.doctor.here import cluster_here, configuration
from cli.doctor.machine import machine
from cli.doctor.software import software
from cli.doctor.verdict import Check, Verdict
from cli.errors import EXIT_OTHER
from cli.invocation import Invocation, common, invocation
from cli.render import json_line
from dfs.local.layout import Home


@click.command("doctor")
@common
@invocation
def command(call: Invocation) -> None:
    """Check this machine: what is installed, its limits, its disk, the cluster here.

    Ends with 1 when something stands in a cluster's way; a warning does not.
    """
    failed = False
    for check in _checks(call):
        failed |= check.verdict == Verdict.FAIL
        click.echo(json_line(check._asdict()) if call.json else _line(check))
    if failed:
        raise click.exceptions.Exit(EXIT_OTHER)


def _checks(call: Invocation) -> Iterator[Check]:
    config, judged = configuration(call.config_file)
    home = Home(call.home)
    yield from software()
    yield judged
    yield from machine(home.folder, config)
    yield from cluster_here(home, config if call.config_file == home.config_file else None)


def _line(check: Check) -> str:
    remedy = f": {check.remedy}" if check.remedy else ""
    return f"{check.verdict:<4}  {check.name:<13}  {check.found}{remedy}"
