"""Where a cluster on one machine keeps its things, and what it remembers between two starts.

All of it lies in one folder, MINIDFS_HOME, which only its owner may enter::

    cluster.toml            the configuration that every process and every command reads
    local                   how many nodes run here, their slots and their addresses
    run/ID.pid  run/ID.sock  processes that run
    run/ID.stopped  run/ID.ended  processes that do not (``dfs.local.notes``)
    logs/ID.log  logs/ID.log.1  what they print
    namenode/ datanode-1/ worker-1/ …   their data

One ``cluster.toml`` serves all processes; what differs between nodes on the same machine, the
addresses they listen on, stands in ``local`` and takes its place over the file's value; its slots
count where the file leaves them to us. It is a label (``dfs.label``)::

    minidfs local
    format 1
    nodes 3
    slots 2
    datanode-1 127.0.0.1:28033
    worker-1 127.0.0.1:22256
    check 5d5a…
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from dfs.config import Config
from dfs.errors import BadArgument, ConfigError, Corrupt, NotSupported, Refused, Unavailable
from dfs.events import Role
from dfs.label import Kind, parse, render
from dfs.limits import LOCK_PAUSE_NS, SECOND_NS

NAMENODE_ID = "namenode"
KEEPER_ID = "keeper"
"""The process that keeps the namenode; node-1 is the one that keeps datanode-1 and worker-1."""

_KIND = Kind("minidfs local", 1, "remove it, 'minidfs up' makes a new one")

NODES_MAX = 64
"""So many nodes can be started on one machine."""


@dataclass(frozen=True, slots=True)
class LocalCluster:
    """What ``up`` remembers. ``slots`` are those of each worker."""

    nodes: int
    slots: int
    listen: dict[str, str]
    """The address of each datanode and worker by its id."""


class Home:
    """The folders and files of one cluster on this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config_file = folder / "cluster.toml"
        self.local_file = folder / "local"
        self.run = folder / "run"
        self.logs = folder / "logs"

    def pid_file(self, process_id: str) -> Path:
        """Where a process notes its pid."""
        return self.run / f"{process_id}.pid"

    def log_file(self, process_id: str) -> Path:
        """Where a process in the background prints."""
        return self.logs / f"{process_id}.log"

    def make(self) -> None:
        """Make the folders, closed to other users; raises ConfigError."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = self.folder.stat()
        if found.st_uid != os.geteuid():
            raise ConfigError(
                f"{self.folder} belongs to another user: set MINIDFS_HOME to a folder of your own",
                str(self.folder),
            )
        if stat.S_IMODE(found.st_mode) & 0o077:
            self.folder.chmod(0o700)
        for folder in (self.run, self.logs):
            folder.mkdir(mode=0o700, exist_ok=True)

    @contextmanager
    def locked(self, wait_ns: int = 0) -> Iterator[None]:
        """Keep other starts and stops of this cluster out.

        Raises Unavailable when another one is not through within ``wait_ns``.
        """
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self._lock(descriptor, time.monotonic_ns() + wait_ns)
            yield
        finally:
            os.close(descriptor)

    def _lock(self, descriptor: int, deadline_ns: int) -> None:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic_ns() >= deadline_ns:
                    raise Unavailable(
                        f"another 'up', 'down', 'start' or 'stop' works on {self.folder}:"
                        " wait until it has finished",
                        str(self.folder),
                    ) from None
            time.sleep(LOCK_PAUSE_NS / SECOND_NS)

    def load_local(self) -> LocalCluster | None:
        """What ``up`` remembered; None if it never ran here. Raises ConfigError."""
        try:
            content = self.local_file.read_bytes()
        except FileNotFoundError:
            return None
        try:
            found = parse(_KIND, content, str(self.local_file))
            nodes, slots = found.number("nodes"), found.number("slots")
        except (Corrupt, Refused, NotSupported) as error:
            raise ConfigError(error.message, str(self.local_file)) from None
        listen = {name: value for name, value in found.fields.items() if "-" in name}
        return LocalCluster(nodes, slots, listen)

    def save_local(self, local: LocalCluster) -> None:
        """Remember ``local`` for the next start."""
        fields = {"nodes": local.nodes, "slots": local.slots, **local.listen}
        write_file(self.local_file, render(_KIND, fields))


def write_file(path: Path, content: bytes) -> None:
    """Replace a small file at once, durably."""
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def node_process_ids(number: int) -> tuple[str, str]:
    """The ids of the datanode and the worker of a node."""
    return f"datanode-{number}", f"worker-{number}"


def keeper_of(process_id: str) -> str:
    """The id of the process that starts this one again when it ends."""
    _, dash, number = process_id.rpartition("-")
    return f"node-{number}" if dash else KEEPER_ID


def is_keeper(process_id: str) -> bool:
    """Is this a process that keeps others, and that people need not know?"""
    return process_id == KEEPER_ID or process_id.startswith("node-")


def process_id(role: Role | str, given: str) -> str:
    """The id that people mean by ``2`` or ``datanode-2``; raises BadArgument."""
    number = given.removeprefix(f"{role}-")
    if not (number.isascii() and number.isdigit() and len(number) <= 9 and int(number) > 0):
        raise BadArgument(f"{given!r} is not the id of a {role}: write {role}-1 or 1")
    return f"{role}-{int(number)}"


def own_config(config: Config, local: LocalCluster | None, process: str) -> Config:
    """``config`` as it counts for one process of this machine."""
    listen = local.listen.get(process) if local is not None else None
    if local is None or listen is None:
        return config
    if process.startswith(Role.WORKER):
        slots = config.worker.slots or local.slots
        return replace(config, worker=replace(config.worker, listen=listen, slots=slots))
    return replace(config, datanode=replace(config.datanode, listen=listen))
