"""``minidfs stop|start|pause|resume``: break a cluster made by ``up`` on purpose.

A stopped process stays stopped until ``start``, ``up`` or ``down``: its mark is there before it
is told to end. A paused one keeps its sockets and its place, and answers nobody. Everything can
be said twice.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence

import click

from cli.cluster.look import role_ids, running
from cli.cluster.programs import jobs_possible
from cli.cluster.startup import Startup
from cli.invocation import Invocation, common, invocation
from dfs.errors import BadArgument, NotFound, Unavailable
from dfs.events import Role
from dfs.limits import LOCK_WAIT_NS
from dfs.local.launch import kill, stop
from dfs.local.layout import Home, keeper_of
from dfs.local.notes import mark_stopped
from dfs.local.processes import Process, is_paused, send_signal

operands = click.argument("ids", nargs=-1, required=True, metavar="ID...")


@click.command("stop")
@click.option("--kill", "at_once", is_flag=True, help="KILL, without a chance to finish anything.")
@operands
@common
@invocation
def stop_command(call: Invocation, at_once: bool, ids: tuple[str, ...]) -> None:
    """Stop processes; they stay stopped until they are started.

    ID is namenode, datanode-1, worker-1 and so on; node-1 is datanode-1 and worker-1.
    """
    home = _home(call)
    with home.locked(LOCK_WAIT_NS):
        names = _expand(home, ids)
        marked = {name: mark_stopped(home, name) for name in names}
        found = running(home)
        targets = [found[name] for name in names if name in found]
        killed = kill(targets) if at_once else stop(targets)
        for name in names:
            _forget(home, name)
            print(_stopped_line(name, found.get(name), killed, at_once, marked[name]))


@click.command("start")
@operands
@common
@invocation
def start_command(call: Invocation, ids: tuple[str, ...]) -> None:
    """Start processes that were stopped or are dead; returns when they serve.

    ID is namenode, datanode-1, worker-1 and so on; node-1 is datanode-1 and worker-1.
    """
    home = _home(call)
    with home.locked(LOCK_WAIT_NS):
        names = _expand(home, ids)
        startup = Startup(call, call.config(), home, names)
        try:
            startup.run()
        except BaseException:
            startup.undo()
            raise
    for name in names:
        did = "resumed" if name in startup.resumed else "started"
        changed = name in startup.started or name in startup.resumed
        print(f"{did} {name}" if changed else f"{name} runs already")


@click.command("pause")
@operands
@common
@invocation
def pause_command(call: Invocation, ids: tuple[str, ...]) -> None:
    """Have processes stand still (STOP): they keep their connections and answer nobody.

    ID is namenode, datanode-1, worker-1 and so on; node-1 is datanode-1 and worker-1.
    """
    home = _home(call)
    with home.locked(LOCK_WAIT_NS):
        for name, process in _running_targets(home, ids):
            if is_paused(process):
                print(f"{name} is paused already")
            else:
                _signal(name, process, signal.SIGSTOP)
                print(f"paused {name}")


@click.command("resume")
@operands
@common
@invocation
def resume_command(call: Invocation, ids: tuple[str, ...]) -> None:
    """Let paused processes go on (CONT).

    ID is namenode, datanode-1, worker-1 and so on; node-1 is datanode-1 and worker-1.
    """
    home = _home(call)
    with home.locked(LOCK_WAIT_NS):
        for name, process in _running_targets(home, ids):
            if is_paused(process):
                _signal(name, process, signal.SIGCONT)
                print(f"resumed {name}")
            else:
                print(f"{name} is not paused")


def _home(call: Invocation) -> Home:
    """The folder of the cluster on this machine; raises what forbids to touch its processes."""
    home = Home(call.home)
    if call.config_file != home.config_file:
        raise BadArgument(
            "only processes of a cluster made by 'up' can be stopped and started here, and"
            f" {call.config_file} is configured: unset MINIDFS_CLUSTER and --cluster, or set"
            " MINIDFS_HOME"
        )
    if home.load_local() is None:
        raise Unavailable(
            f"there is no cluster made by 'up' in {home.folder}: start one with 'minidfs up',"
            " or set MINIDFS_HOME",
            str(home.folder),
        )
    return home


def _expand(home: Home, ids: Sequence[str]) -> list[str]:
    """The processes that are meant, each once; raises NotFound for an unknown id."""
    local = home.load_local()
    there_are = [
        name
        for name in role_ids(local.nodes if local else 0)
        if jobs_possible() or not name.startswith(Role.WORKER)
    ]
    names: dict[str, None] = {}
    for given in ids:
        meant = [name for name in there_are if given in (name, keeper_of(name))]
        if not meant:
            raise NotFound(f"there is no process {given!r}: it can be {', '.join(there_are)}")
        names.update(dict.fromkeys(meant))
    return list(names)


def _running_targets(home: Home, ids: Sequence[str]) -> list[tuple[str, Process]]:
    """The processes that are meant; raises Unavailable when one does not run."""
    found = running(home)
    names = _expand(home, ids)
    for name in names:
        if name not in found:
            raise Unavailable(f"{name} does not run: 'minidfs start {name}' starts it")
    return [(name, found[name]) for name in names]


def _signal(name: str, process: Process, number: signal.Signals) -> None:
    if not send_signal(process, number):
        raise Unavailable(f"{name} has just ended: 'minidfs status' shows how")


def _forget(home: Home, process_id: str) -> None:
    """Nothing says any more that the process runs."""
    home.pid_file(process_id).unlink(missing_ok=True)


def _stopped_line(
    name: str, process: Process | None, killed: Sequence[Process], at_once: bool, marked: bool
) -> str:
    if process is None:
        return f"stopped {name}, which did not run" if marked else f"{name} is stopped already"
    if at_once:
        return f"killed {name}"
    return f"killed {name}: it did not end in time" if process in killed else f"stopped {name}"
