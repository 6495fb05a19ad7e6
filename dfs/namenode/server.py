"""The namenode as a process: data folder, log and view, core, sockets, loop.

Another core may live in the same process and the same log: it brings its modules and a
function that composes it with the namespace's core. The file system knows nothing more
about it.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dfs import daemon
from dfs.config import Config
from dfs.config_file import role_folder
from dfs.disk import LocalDisk
from dfs.endpoints import NAMENODE_ID, bind_endpoints, host_id
from dfs.errors import ConfigError
from dfs.events import NAMENODE, Now, Role, Work
from dfs.limits import SNAPSHOT_THREADS
from dfs.namenode.apply import MODULE
from dfs.namenode.changes import FileSettings
from dfs.namenode.core import NamenodeSettings, NamespaceCore
from dfs.namenode.folder import open_namenode_folder
from dfs.namenode.journal import open_journal, table_names
from dfs.namenode.keepers import Keepers
from dfs.namenode.membership import Membership
from dfs.namenode.module import Module
from dfs.namenode.nodes import Nodes
from dfs.namenode.safemode import CheckView
from dfs.namenode.snapshot_store import SnapshotStore
from dfs.namenode.snapshots import Snapshots, Task
from dfs.namenode.storage import Storage
from dfs.namenode.table import Table
from dfs.namenode.view_check import ViewCheck
from dfs.namenode.view_copier import LmdbCopier
from dfs.namenode.view_recovery import VIEW_FOLDER, open_view
from dfs.namenode.writing import GROUP
from dfs.net.loop import Loop, read_clock
from dfs.net.pool import Pool
from dfs.net.step import JournalCore, JournalStep
from dfs.net.transport import ZmqTransport
from dfs.security.credentials import Credentials
from dfs.security.key_folder import KeyFolder, daemon_credentials
from dfs.wire.members import MemberKey


@dataclass(frozen=True, slots=True)
class NamenodeOptions:
    """How to start a namenode. ``home`` is MINIDFS_HOME, where relative folders lie."""

    config: Config
    home: Path
    pid_file: Path | None = None


class NamenodeCore(JournalCore, Protocol):
    """A core that knows the datanodes."""

    @property
    def nodes(self) -> Nodes:
        """The datanodes."""


@dataclass(frozen=True, slots=True)
class Companion:
    """A second core in the process: its modules, and how it is joined to the first."""

    modules: tuple[Module, ...]
    compose: Callable[[NamespaceCore, Storage, Table, Now], NamenodeCore]


class NamenodeProcess:
    """A namenode that listens. Its ``loop`` serves until it is stopped."""

    def __init__(
        self, options: NamenodeOptions, log: Callable[[str], None], beside: Companion | None
    ) -> None:
        config = options.config
        cluster = config.cluster.id
        if not cluster:
            raise ConfigError("the configuration has no cluster id: make one with 'minidfs init'")
        path = role_folder(config.namenode.dir, NAMENODE_ID, options.home)
        self._folder = open_namenode_folder(path, cluster, read_clock().wall_ns)
        disk = self._folder.disk
        modules = (MODULE, *(beside.modules if beside else ()))
        self._copier = LmdbCopier()
        store = SnapshotStore(disk, cluster, self._copier)
        self._table = open_view(disk, cluster, table_names(modules), store, log)
        self._copier.table = self._table
        self._check = ViewCheck(LocalDisk(disk.path(VIEW_FOLDER)))
        journal = open_journal(disk, self._table, modules, cluster)
        store.clean()
        is_checked = self._table.is_checked
        credentials = daemon_credentials(config, options.home, NAMENODE)
        membership = _membership(self._table, options.home, credentials)
        core = compose(config, self._table, beside, membership, read_clock(), is_checked=is_checked)
        self._step = JournalStep(core, modules, journal, self._table)
        min_durable = config.files.min_durable
        keepers = Keepers(host_id(), min_durable, core.nodes, self._table, journal)
        self._step.keep_elsewhere(keepers)
        self._step.run([], read_clock())  # a new namespace gets its root before anybody attends
        snapshots = Snapshots(journal, self._table, store.whole(), is_checked=is_checked)
        self._step.take_snapshots(snapshots)
        keepers.send_newest_of(snapshots)
        bind = bind_endpoints(config, options.home, Role.NAMENODE, NAMENODE_ID)
        self._transport = ZmqTransport(NAMENODE, cluster, bind, credentials)
        self._store = store
        self._pool = Pool(self._execute, SNAPSHOT_THREADS, self._transport.wake, "snapshots")
        if not is_checked:
            self._pool.submit(Work(CheckView(), CheckView()))
        self.loop = Loop(self._step, self._transport, self._pool, log)
        self.wake_fd = self._transport.wake_fd
        where = " and ".join(self._transport.endpoints)
        log(f"log at record {journal.durable_index}; listening on {where}")

    def _execute(self, task: Task | CheckView) -> Any:
        """Do a piece of work, in a thread of the pool."""
        if isinstance(task, CheckView):
            return self._check.run()
        return self._store.execute(task)

    def close(self) -> None:
        """Commit the view, unless something failed; close the sockets; free the folder."""
        self._check.stop()
        self._copier.stop()
        self._pool.close()
        self._step.close()
        self._table.close()
        self._transport.close()
        self._folder.close()


def _membership(table: Table, home: Path, credentials: Credentials | None) -> Membership:
    """The members in the log, and those whose keys lie here."""
    if credentials is None:
        return Membership(table)
    here = KeyFolder(home).public()
    first = [MemberKey(key, peer.role.value, peer.name) for peer, key in here]
    return Membership(table, credentials.members, first)


def compose(
    config: Config,
    table: Table,
    beside: Companion | None,
    membership: Membership,
    now: Now,
    *,
    is_checked: bool,
) -> NamenodeCore:
    """The core of the process: the namespace's, joined with the one beside it."""
    owner = pwd.getpwuid(os.geteuid()).pw_name
    modules = (MODULE, *(beside.modules if beside else ()))
    settings = NamenodeSettings(
        config.cluster.id, owner, config.files, config.times, modules, is_checked, membership
    )
    namespace = NamespaceCore(settings, table, now)
    if beside is None:
        return namespace
    defaults = FileSettings(config.files.replication, config.files.chunk_bytes, 0)
    storage = Storage(namespace.nodes, owner, GROUP, defaults)
    return beside.compose(namespace, storage, table, now)


def serve(options: NamenodeOptions, beside: Companion | None = None) -> int:
    """Be a namenode until told to stop; the exit code of the process."""
    return daemon.run(
        NAMENODE_ID, options.pid_file, lambda log: NamenodeProcess(options, log, beside)
    )
