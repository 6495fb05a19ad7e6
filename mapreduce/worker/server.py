"""The worker as a process: scratch folder, client of the DFS, task processes, core, loop.

Two connections lead to the namenode: the loop's, on which the worker is ordered about, and that of
the client which reads and writes for tasks. They may break one without the other.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from dfs import daemon
from dfs.client.client import Client
from dfs.client.connection import Connection
from dfs.client.namenode import ClientSettings, Namenode
from dfs.config import Config
from dfs.config_file import role_folder
from dfs.data_folder import DataFolder, Owner, open_data_folder
from dfs.endpoints import bind_endpoints, client_endpoints, host_id
from dfs.errors import ConfigError
from dfs.events import Peer, Role, Send
from dfs.net.loop import Loop, read_clock
from dfs.net.pool import Pool
from dfs.net.step import PlainStep
from dfs.net.transport import ZmqTransport
from dfs.security.credentials import Credentials, own_endpoints
from dfs.security.key_folder import daemon_credentials
from dfs.security.members import Members
from mapreduce.worker.core import WorkerCore
from mapreduce.worker.dfs_storage import DfsStorage
from mapreduce.worker.executor import FOLDERS, AttemptExecutor
from mapreduce.worker.master_link import WorkerSettings
from mapreduce.worker.process_tree import become_reaper
from mapreduce.worker.task_watch import Limits

SHORT_WORK_THREADS = 4
"""Threads for all work but attempts, each of which has its own."""

_NUMBERED = re.compile(r"worker-(\d+)")


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How to start a worker. ``home`` is MINIDFS_HOME, where relative folders lie."""

    config: Config
    home: Path
    worker_id: str
    pid_file: Path | None = None


class Worker:
    """A worker that listens. Its ``loop`` serves until it is stopped."""

    def __init__(self, options: WorkerOptions, log: Callable[[str], None]) -> None:
        config, name = options.config, options.worker_id
        _check(config)
        slots = config.worker.slots or os.cpu_count() or 1
        scratch = role_folder(config.worker.scratch, name, options.home)
        self._folder = _open_scratch(scratch, name, config)
        namenode = client_endpoints(config, options.home)
        me = Peer(Role.WORKER, name)
        credentials = daemon_credentials(config, options.home, me)
        bind = bind_endpoints(config, options.home, me.role, name)
        self._transport = ZmqTransport(me, config.cluster.id, bind, credentials)
        self._client = _connect(config, name, namenode, credentials)
        become_reaper()
        limits = Limits(config.worker.task_memory_bytes, config.datanode.reserve)
        self._executor = AttemptExecutor(scratch, slots, DfsStorage(self._client), limits)
        threads = slots + SHORT_WORK_THREADS
        self._pool = Pool(self._executor.execute, threads, self._transport.wake, "work")
        settings = WorkerSettings(
            name,
            own_endpoints(self._transport.endpoints, credentials),
            host_id(),
            datanode_beside(name),
            slots,
            namenode,
            self._executor.groups,
            credentials.members if credentials is not None else Members(),
        )
        self._core = WorkerCore(settings)
        self.loop = Loop(PlainStep(self._core), self._transport, self._pool, log)
        self.loop.let_part(self._core)
        self.wake_fd = self._transport.wake_fd
        log(f"tasks: {self._executor.groups}")
        log(f"{slots} slots; listening on {' and '.join(self._transport.endpoints)}")

    def close(self) -> None:
        """Say goodbye, end the tasks and the threads, close the connections, free the folder."""
        for action in self._core.goodbye():
            assert isinstance(action, Send), action
            self._transport.send(action)
        self._executor.close()
        self._pool.close()
        self._client.close()
        self._transport.close()
        self._folder.close()


def serve(options: WorkerOptions) -> int:
    """Be a worker until told to stop; the exit code of the process."""
    return daemon.run(options.worker_id, options.pid_file, lambda log: Worker(options, log))


def datanode_beside(worker_id: str) -> str:
    """The datanode that runs on the machine of this worker: the one of its number, or ''."""
    numbered = _NUMBERED.fullmatch(worker_id)
    return f"datanode-{numbered[1]}" if numbered else ""


def _check(config: Config) -> None:
    if not config.cluster.id:
        raise ConfigError("the configuration has no cluster id: make one with 'minidfs init'")
    if find_spec("polars") is None:
        raise ConfigError("a worker needs polars: run pip install 'minidfs[mapreduce]'")


def _open_scratch(path: Path, name: str, config: Config) -> DataFolder:
    owner = Owner("worker", name, config.cluster.id, FOLDERS)
    return open_data_folder(path, owner, read_clock().wall_ns)


def _connect(
    config: Config, name: str, namenode: tuple[str, ...], credentials: Credentials | None
) -> Client:
    """The client that reads and writes for tasks. It proves the worker's key."""
    settings = ClientSettings(config.cluster.id, namenode, host_id())
    transport = ZmqTransport(Peer(Role.CLIENT, name), config.cluster.id, (), credentials)
    return Client(Connection(transport, Namenode(settings)))
