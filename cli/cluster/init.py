"""``minidfs init``: a new cluster's id, configuration and empty namespace."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace
from pathlib import Path

import click

from cli.cluster.keys import with_first_keys
from cli.invocation import Invocation, common, invocation
from dfs.address import check_address, is_every
from dfs.config import Config, render
from dfs.config_file import load, role_folder
from dfs.errors import BadArgument, Exists
from dfs.local.layout import NAMENODE_ID, Home, write_file
from dfs.namenode.folder import make_namenode_folder


@click.command("init")
@click.option("--listen", metavar="ADDR", help="Address of the namenode (127.0.0.1:9860).")
@common
@invocation
def command(call: Invocation, listen: str | None) -> None:
    """Make the configuration and the namespace of a new cluster; nothing is started.

    Where a configuration with an id is, only the namespace is made, if there is none.
    """
    home = Home(call.home)
    path = call.config_file
    config = _given(path, listen) if path.exists() else _new(listen)
    home.make()
    config = with_first_keys(home, config)
    folder = role_folder(config.namenode.dir, NAMENODE_ID, home.folder)
    if not make_namenode_folder(folder, config.cluster.id, time.time_ns()):
        raise Exists(f"{path} exists: this is a cluster already", str(path))
    if not path.exists():
        write_file(path, render(config).encode())
    print(f"cluster {config.cluster.id} is configured in {path}, its namespace is in {folder}")
    print("next: minidfs namenode    minidfs node --id 1")


def _given(path: Path, listen: str | None) -> Config:
    """The configuration that is there; raises Exists if it is not that of a new cluster."""
    config = load(path)
    if not config.cluster.id or listen is not None:
        raise Exists(
            f"{path} exists: give it a [cluster] id and an address in [namenode], or move it away",
            str(path),
        )
    return config


def _new(listen: str | None) -> Config:
    config = Config()
    address = listen or config.namenode.address
    check_address(address, port_min=1)
    if is_every(address):
        raise BadArgument(
            f"{address} is no place at which others find the namenode: name an address of this"
            " machine, such as 127.0.0.1:9860"
        )
    return replace(
        config,
        cluster=replace(config.cluster, id=secrets.token_hex(8)),
        namenode=replace(config.namenode, address=address),
    )
