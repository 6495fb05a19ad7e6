"""``minidfs namenode|datanode|node`` and ``minimr worker``: a role in the foreground.

The process is the daemon itself until it gets TERM or Ctrl-C; ``node`` is the keeper of a
datanode and a worker, ``namenode --keep`` that of a namenode.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

import click

from cli.cluster.keys import make_node_keys, node_peers
from cli.cluster.programs import JOBS_MISSING, jobs_possible, program, worker_program
from cli.invocation import Invocation, common, invocation
from dfs.config import Config
from dfs.errors import ConfigError
from dfs.events import Peer, Role
from dfs.local.keeper import Keeper
from dfs.local.layout import (
    KEEPER_ID,
    NAMENODE_ID,
    Home,
    node_process_ids,
    own_config,
    process_id,
)
from dfs.local.processes import write_pid_file

id_option = click.option(
    "--id", "given", default="1", show_default=True, metavar="ID", help="Which one: 1, 2, …"
)


@click.command("namenode")
@click.option("--keep", is_flag=True, help="As a process of its own that is started again.")
@common
@invocation
def namenode(call: Invocation, keep: bool) -> None:
    """Run a namenode in the foreground, with the master of jobs in the same process."""
    from dfs.namenode.server import NamenodeOptions

    home = _prepared_home(call)
    config = _own_config(call, home, NAMENODE_ID)
    if keep:
        command = program("namenode", "--cluster", str(call.config_file))
        _keep(home, KEEPER_ID, {NAMENODE_ID: command})
    options = NamenodeOptions(config, home.folder, home.pid_file(NAMENODE_ID))
    if jobs_possible():
        from mapreduce.master.server import serve_namenode

        raise click.exceptions.Exit(serve_namenode(options))
    from dfs.namenode.server import serve

    print(JOBS_MISSING, file=sys.stderr)
    raise click.exceptions.Exit(serve(options))


@click.command("datanode")
@id_option
@common
@invocation
def datanode(call: Invocation, given: str) -> None:
    """Run a datanode in the foreground."""
    from dfs.datanode.server import DatanodeOptions, serve

    home, name = _prepared_home(call), process_id(Role.DATANODE, given)
    config = _own_config(call, home, name)
    make_node_keys(home, config, call.config_file, [Peer(Role.DATANODE, name)])
    options = DatanodeOptions(config, home.folder, name, home.pid_file(name))
    raise click.exceptions.Exit(serve(options))


@click.command("worker")
@id_option
@common
@invocation
def worker(call: Invocation, given: str) -> None:
    """Run a worker in the foreground."""
    from mapreduce.worker.server import WorkerOptions, serve

    home, name = _prepared_home(call), process_id(Role.WORKER, given)
    config = _own_config(call, home, name)
    make_node_keys(home, config, call.config_file, [Peer(Role.WORKER, name)])
    options = WorkerOptions(config, home.folder, name, home.pid_file(name))
    raise click.exceptions.Exit(serve(options))


@click.command("node")
@id_option
@common
@invocation
def node(call: Invocation, given: str) -> None:
    """Run and keep a datanode and a worker; the one that ends is started again."""
    home, name = _prepared_home(call), process_id("node", given)
    number = name.removeprefix("node-")
    config = _own_config(call, home, name)
    make_node_keys(home, config, call.config_file, node_peers([int(number)]))
    datanode_id, worker_id = node_process_ids(int(number))
    common_options = ["--cluster", str(call.config_file)]
    commands = {datanode_id: program("datanode", "--id", number, *common_options)}
    if jobs_possible():
        commands[worker_id] = worker_program("worker", "--id", number, *common_options)
    else:
        print(JOBS_MISSING, file=sys.stderr)
    _keep(home, name, commands)


def _keep(home: Home, name: str, commands: Mapping[str, Sequence[str]]) -> NoReturn:
    pid_file = home.pid_file(name)
    write_pid_file(pid_file, os.getpid())
    try:
        raise click.exceptions.Exit(Keeper(home, name, commands).run())
    finally:
        pid_file.unlink(missing_ok=True)


def _prepared_home(call: Invocation) -> Home:
    home = Home(call.home)
    home.make()
    return home


def _own_config(call: Invocation, home: Home, name: str) -> Config:
    """The configuration as it counts for one process; raises ConfigError without an id."""
    config = call.config()
    if not config.cluster.id:
        raise ConfigError(
            f"{call.config_file}: cluster.id is empty: 'minidfs init' makes a new one",
            str(call.config_file),
        )
    here = call.config_file == home.config_file
    return own_config(config, home.load_local() if here else None, name)
