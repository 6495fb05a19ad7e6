"""``minidfs admin restore``: a backup in the place of the namenode's metadata."""

from __future__ import annotations

import time
from pathlib import Path

import click

from cli.invocation import Invocation, common, invocation
from cli.render import json_line
from dfs.config_file import role_folder
from dfs.local.layout import NAMENODE_ID, Home
from dfs.namenode.backup_folder import restore


@click.command("restore")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@common
@invocation
def command(call: Invocation, folder: Path) -> None:
    """Put the backup in DIR in the place of the metadata, on the namenode's machine.

    The namenode must be stopped. What it has now is moved aside.
    """
    config = call.config()
    place = role_folder(config.namenode.dir, NAMENODE_ID, Home(call.home).folder)
    done = restore(place, config.cluster.id, folder, time.time_ns())
    if call.json:
        aside = None if done.aside is None else str(done.aside)
        print(json_line({"path": str(place), "index": done.manifest.index, "aside": aside}))
        return
    old = "" if done.aside is None else f"; what was there is in {done.aside}"
    print(f"restored record {done.manifest.index} in {place}{old}")
