"""``minidfs down``: stop the cluster on this machine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import click

from cli.cluster.look import running
from cli.invocation import Invocation, common, invocation
from dfs.config_file import load, role_folder
from dfs.endpoints import remove_sockets
from dfs.errors import BadArgument
from dfs.local.launch import STOP_GRACE_NS, stop
from dfs.local.layout import NAMENODE_ID, Home, is_keeper, node_process_ids
from dfs.local.notes import clear_notes
from dfs.security.key_folder import KeyFolder

KEEPER_GRACE_NS = STOP_GRACE_NS * 3 // 2
"""A keeper ends when its processes have ended, or been killed."""


@click.command("down")
@click.option("--wipe", is_flag=True, help="Delete the cluster with all its files.")
@click.option("--yes", is_flag=True, help="With --wipe: do not ask.")
@common
@invocation
def command(call: Invocation, wipe: bool, yes: bool) -> None:
    """Stop every process of the cluster on this machine. Its data stays."""
    home = Home(call.home)
    if yes and not wipe:
        raise BadArgument("--yes goes with --wipe: stopping asks nothing")
    if not home.folder.is_dir():
        print(f"there is no cluster in {home.folder}")
        return
    with home.locked():
        if wipe and not yes:
            _ask(home)
        stopped = _stop_all(home)
        left = _wipe(home) if wipe else []
    print(f"stopped {', '.join(stopped)}" if stopped else "nothing ran")
    if wipe:
        print(f"deleted the cluster in {home.folder}")
    for folder in left:
        print(f"left alone, since it lies elsewhere and may hold other things: {folder}")


def _stop_all(home: Home) -> list[str]:
    """Stop all processes; returns those that ran.

    Keepers go first, and take along what they keep; what has lost its keeper follows.
    """
    found = running(home)
    stop((found[name] for name in found if is_keeper(name)), KEEPER_GRACE_NS)
    stop(running(home).values())
    for path in home.run.glob("*.pid"):
        path.unlink()
    clear_notes(home)
    remove_sockets(home.folder)
    return [process_id for process_id in found if not is_keeper(process_id)]


def _ask(home: Home) -> None:
    """Have the cluster's id typed; raises BadArgument for another one."""
    cluster = load(home.config_file).cluster.id
    typed = click.prompt(
        f"This deletes every file of the cluster {cluster}. Type its id to go on", err=True
    )
    if typed.strip() != cluster:
        raise BadArgument(f"{typed!r} is not the cluster's id: nothing was stopped or deleted")


def _wipe(home: Home) -> list[Path]:
    """Delete what the cluster has made below its home, and the home if nothing else is in it.

    Returns the data folders that lie elsewhere; they are left alone.
    """
    folders = {home.run, home.logs, KeyFolder(home.folder).path, *_data_folders(home)}
    inside = {folder for folder in folders if home.folder.resolve() in folder.resolve().parents}
    for folder in inside:
        if folder.exists():
            shutil.rmtree(folder)
    for file in (home.config_file, home.local_file):
        file.unlink(missing_ok=True)
    if not any(home.folder.iterdir()):
        home.folder.rmdir()
    return sorted(folders - inside)


def _data_folders(home: Home) -> Iterator[Path]:
    """Where the processes of this machine keep their data."""
    if not home.config_file.exists():
        return
    config = load(home.config_file)
    local = home.load_local()
    yield role_folder(config.namenode.dir, NAMENODE_ID, home.folder)
    for number in range(1, (local.nodes if local else 0) + 1):
        datanode, worker = node_process_ids(number)
        for setting in config.datanode.dirs:
            yield role_folder(setting, datanode, home.folder)
        yield role_folder(config.worker.scratch, worker, home.folder)
