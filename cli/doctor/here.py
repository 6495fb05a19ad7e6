"""The cluster in MINIDFS_HOME: its folder, configuration, sockets, ports and processes."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

import dfs.version
from cli.cluster.look import role_ids, running
from cli.cluster.programs import jobs_possible
from cli.doctor.verdict import Check, fail, ok, warn
from dfs.config import Config
from dfs.config_file import load
from dfs.endpoints import socket_folder
from dfs.errors import ConfigError
from dfs.events import Role
from dfs.local.layout import NAMENODE_ID, Home
from dfs.local.notes import is_stopped
from dfs.local.ports import is_free
from dfs.local.processes import Process


def configuration(path: Path) -> tuple[Config | None, Check]:
    """The configuration, if there is a right one, and the check of it."""
    if not path.exists():
        return None, ok("configuration", f"{path} does not exist: there is no cluster yet")
    try:
        return load(path), ok("configuration", str(path))
    except ConfigError as error:
        return None, fail("configuration", error.message, "correct the file")


def cluster_here(home: Home, config: Config | None) -> Iterator[Check]:
    """All checks of the cluster in ``home``; ``config`` is None where there is none."""
    yield judge_folder(home.folder)
    sockets = socket_folder(home.folder)
    near = sockets.parent == home.folder.absolute()
    yield ok("sockets", f"in {sockets}" + ("" if near else ", since the home's path is too long"))
    try:
        local = home.load_local()
    except ConfigError as error:
        yield fail("local", error.message, "remove it")
        return
    found = running(home)
    yield judge_age(_running_since_ns(found), Path(dfs.version.__file__).stat().st_mtime_ns)
    if config is None or local is None:
        return
    addresses = {NAMENODE_ID: config.namenode.address, **local.listen}
    yield judge_ports({n: a for n, a in addresses.items() if n not in found and not is_free(a)})
    expected = [
        n for n in role_ids(local.nodes) if jobs_possible() or not n.startswith(Role.WORKER)
    ]
    stopped = [name for name in expected if is_stopped(home, name)]
    dead = [name for name in expected if name not in found and name not in stopped]
    yield judge_processes(len(expected), dead, stopped)


def judge_folder(folder: Path) -> Check:
    """Is the home ours alone?"""
    if not folder.exists():
        return ok("home", f"{folder} does not exist: 'minidfs up' makes it")
    found = folder.stat()
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid != os.geteuid():
        return fail("home", f"{folder} belongs to another user", "set MINIDFS_HOME to your own")
    if mode & 0o077:
        return warn("home", f"{folder} has mode {mode:o}", f"chmod 700 {folder}")
    return ok("home", str(folder))


def judge_ports(taken: Mapping[str, str]) -> Check:
    """``taken``: the addresses of our processes on which somebody else listens."""
    if not taken:
        return ok("ports", "free, or ours")
    found = ", ".join(f"{address} of {name}" for name, address in taken.items())
    return fail("ports", f"taken by others: {found}", "end that program; 'minidfs up' takes others")


def judge_processes(expected: int, dead: list[str], stopped: list[str]) -> Check:
    """Do all processes of the cluster run?"""
    if len(dead) + len(stopped) == expected:
        return ok("processes", "none runs")
    if dead or stopped:
        found = "; ".join(
            f"{word}: {', '.join(names)}"
            for word, names in (("dead", dead), ("stopped", stopped))
            if names
        )
        return warn("processes", found, "'minidfs up' starts them")
    return ok("processes", f"all {expected} run")


def judge_age(since_ns: Mapping[str, int], installed_ns: int) -> Check:
    """Do daemons run code that is older than what is installed?"""
    old = [name for name, began_ns in since_ns.items() if began_ns < installed_ns]
    if old:
        remedy = "'minidfs down' and 'minidfs up' start the new version"
        return warn("version", f"installed after the start of {', '.join(old)}", remedy)
    return ok("version", f"minidfs {dfs.version.VERSION}")


def _running_since_ns(found: Mapping[str, Process]) -> dict[str, int]:
    """When each process started; those whose system does not tell are left out."""
    try:
        uptime = Path("/proc/stat").read_text(encoding="ascii")
    except FileNotFoundError:
        return {}
    boot = next(int(line.split()[1]) for line in uptime.splitlines() if line.startswith("btime "))
    ticks = os.sysconf("SC_CLK_TCK")
    return {
        name: boot * 10**9 + int(process.started) * 10**9 // ticks
        for name, process in found.items()
    }
