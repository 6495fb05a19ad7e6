"""The datanode as a process: data folders, stores, core, sockets, disk threads, loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dfs import daemon
from dfs.address import endpoint
from dfs.config import Config
from dfs.datanode.core import DatanodeCore, DatanodeSettings
from dfs.datanode.folders import DataFolders, DiskThreads, open_folders
from dfs.datanode.kept_log import LogCopies
from dfs.endpoints import bind_endpoints, client_endpoints, descriptor_socket, host_id
from dfs.errors import ConfigError
from dfs.events import Peer, Role
from dfs.net.descriptors import DescriptorService
from dfs.net.loop import Loop, read_clock
from dfs.net.step import PlainStep
from dfs.net.transport import ZmqTransport
from dfs.quantities import counted
from dfs.security.credentials import own_endpoints
from dfs.security.key_folder import daemon_credentials
from dfs.security.members import Members


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
        self._folders = open_folders(config, node, options.home, now.wall_ns)
        for remark in self._folders.remarks:
            log(remark)
        me = Peer(Role.DATANODE, node)
        credentials = daemon_credentials(config, options.home, me)
        bind = bind_endpoints(config, options.home, me.role, node)
        self._transport = ZmqTransport(me, cluster, bind, credentials)
        self._descriptors = _serve_descriptors(
            descriptor_socket(options.home, node), self._folders, log
        )
        settings = DatanodeSettings(
            cluster=cluster,
            node=node,
            host=host_id(),
            rack=config.datanode.rack,
            endpoints=(
                *own_endpoints(_reachable_at(config, self._transport.endpoints), credentials),
                *([self._descriptors.endpoint] if self._descriptors is not None else ()),
            ),
            namenode_endpoints=client_endpoints(config, options.home),
            members=credentials.members if credentials is not None else Members(),
        )
        log_copies = LogCopies(self._folders.first_disk, cluster)
        self._threads = DiskThreads(self._folders.stores, log_copies.execute, self._transport.wake)
        core = DatanodeCore(settings, self._folders.volumes, now)
        self.loop = Loop(PlainStep(core), self._transport, self._threads, log)
        self.wake_fd = self._transport.wake_fd
        count = sum(len(volume.scan.replicas) for volume in self._folders.volumes)
        log(f"{counted(count, 'replica')}; listening on {' and '.join(self._transport.endpoints)}")

    def close(self) -> None:
        """End the disk threads, close the sockets, free the folders."""
        if self._descriptors is not None:
            self._descriptors.close()
        self._threads.close()
        self._transport.close()
        self._folders.close()


def serve(options: DatanodeOptions) -> int:
    """Be a datanode until told to stop; the exit code of the process."""
    return daemon.run(options.node_id, options.pid_file, lambda log: Datanode(options, log))


def _serve_descriptors(
    path: Path, folders: DataFolders, log: Callable[[str], None]
) -> DescriptorService | None:
    """Clients on this machine read faster with it and are served without it."""
    try:
        return DescriptorService(path, folders.open_sealed)
    except OSError as error:
        log(f"{path}: no descriptors are given out: {error}")
        return None


def _reachable_at(config: Config, bound: tuple[str, ...]) -> tuple[str, ...]:
    """The endpoints that others are told: the bound ones, or what the configuration says."""
    advertised = config.datanode.advertise
    if advertised is None:
        return bound
    local = tuple(e for e in bound if e.startswith("ipc:"))
    return tuple(dict.fromkeys((*local, endpoint(advertised))))
