"""The datanode as a process: data folder, store, core, sockets, disk threads, loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dfs import daemon
from dfs.address import endpoint
from dfs.config import Config
from dfs.config_file import role_folder
from dfs.data_folder import DataFolder, Owner, open_data_folder
from dfs.datanode.core import DatanodeCore, DatanodeSettings
from dfs.datanode.kept_log import FOLDER as KEEPER_FOLDER
from dfs.datanode.kept_log import LogCopies, with_log
from dfs.datanode.store import FOLDERS, ChunkStore
from dfs.datanode.tasks import Scan, SpaceMeasured
from dfs.endpoints import bind_endpoints, client_endpoints, host_id
from dfs.errors import ConfigError, StorageFault
from dfs.events import Peer, Role
from dfs.limits import DISK_THREADS
from dfs.net.loop import Loop, read_clock
from dfs.net.pool import Pool
from dfs.net.step import PlainStep
from dfs.net.transport import ZmqTransport


@dataclass(frozen=True, slots=True)
class DatanodeOptions:
    """How to start a datanode. ``home`` is MINIDFS_HOME, where relative folders lie."""

    config: Config
    home: Path
    node_id: str
    pid_file: Path | None = None


class Datanode:
    """A datanode that listens. Its ``loop`` serves until it is stopped."""

    def __init__(self, options: DatanodeOptions, log: Callable[[str], None]) -> None:
        config, node = options.config, options.node_id
        cluster = config.cluster.id
        if not cluster:
            raise ConfigError("the configuration has no cluster id: make one with 'minidfs init'")
        now = read_clock()
        self._folder, store, scan = _open_folder(options, now.wall_ns)
        for remark in scan.remarks:
            log(remark)
        space = SpaceMeasured(*self._folder.disk.space())
        self._transport = ZmqTransport(
            Peer(Role.DATANODE, node),
            cluster,
            bind_endpoints(config, options.home, Role.DATANODE, node),
        )
        settings = DatanodeSettings(
            cluster=cluster,
            node=node,
            host=host_id(),
            rack=config.datanode.rack,
            endpoints=_reachable_at(config, self._transport.endpoints),
            namenode_endpoints=client_endpoints(config, options.home),
            reserve_bytes=config.datanode.reserve.of(space.capacity_bytes),
        )
        execute = with_log(store.execute, LogCopies(self._folder.disk, cluster))
        self._pool = Pool(execute, DISK_THREADS, self._transport.wake, "disk")
        step = PlainStep(DatanodeCore(settings, scan, space, now))
        self.loop = Loop(step, self._transport, self._pool, log)
        self.wake_fd = self._transport.wake_fd
        log(f"{len(scan.replicas)} replicas; listening on {' and '.join(settings.endpoints)}")

    def close(self) -> None:
        """End the disk threads, close the sockets, free the folder."""
        self._pool.close()
        self._transport.close()
        self._folder.close()


def serve(options: DatanodeOptions) -> int:
    """Be a datanode until told to stop; the exit code of the process."""
    return daemon.run(options.node_id, options.pid_file, lambda log: Datanode(options, log))


def _open_folder(options: DatanodeOptions, wall_ns: int) -> tuple[DataFolder, ChunkStore, Scan]:
    settings, node = options.config.datanode, options.node_id
    cluster = options.config.cluster.id
    if len(settings.dirs) > 1:
        raise ConfigError(f"[datanode] dirs names {len(settings.dirs)} folders: name one, for now")
    path = role_folder(settings.dirs[0], node, options.home)
    folder = open_data_folder(
        path, Owner("datanode", node, cluster, (*FOLDERS, KEEPER_FOLDER)), wall_ns
    )
    try:
        store = ChunkStore(folder.disk, cluster)
        return folder, store, store.scan()
    except OSError as error:
        folder.close()
        raise StorageFault(f"{path} cannot be used: {error.strerror}", str(path)) from error


def _reachable_at(config: Config, bound: tuple[str, ...]) -> tuple[str, ...]:
    """The endpoints that others are told: the bound ones, or what the configuration says."""
    advertised = config.datanode.advertise
    if advertised is None:
        return bound
    local = tuple(e for e in bound if e.startswith("ipc:"))
    return tuple(dict.fromkeys((*local, endpoint(advertised))))
