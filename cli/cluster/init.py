"""``minidfs init``: a new cluster's id and configuration."""

from __future__ import annotations

import secrets
from dataclasses import replace

import click

from cli.invocation import Invocation, common, invocation
from dfs.address import check_local
from dfs.config import Config, render
from dfs.errors import Exists
from dfs.local.layout import Home, write_file


@click.command("init")
@click.option("--listen", metavar="ADDR", help="Address of the namenode (127.0.0.1:9860).")
@common
@invocation
def command(call: Invocation, listen: str | None) -> None:
    """Make the configuration of a new cluster; nothing is started."""
    home = Home(call.home)
    path = call.config_file
    if path.exists():
        raise Exists(f"{path} exists: this is a cluster already", str(path))
    config = Config()
    address = listen or config.namenode.address
    check_local(address, port_min=1)
    config = replace(
        config,
        cluster=replace(config.cluster, id=secrets.token_hex(8)),
        namenode=replace(config.namenode, address=address),
    )
    home.make()
    write_file(path, render(config).encode())
    print(f"cluster {config.cluster.id} is configured in {path}")
    print("next: minidfs namenode    minidfs node --id 1")
