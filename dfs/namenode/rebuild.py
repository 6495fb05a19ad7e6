"""``minidfs admin rebuild``: a new folder for a namenode that lost its own.

It is made beside its place, as ``NAME.rebuilding``, and gets its name when everything in it is
durable; one that was left by an attempt that ended is removed. Rules: ``dfs.namenode.rebuilder``
and ``dfs.namenode.salvage``.
"""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dfs.config import Config
from dfs.config_file import role_folder
from dfs.data_folder import DataFolder
from dfs.disk import Disk, LocalDisk
from dfs.endpoints import NAMENODE_ID, bind_endpoints
from dfs.errors import ConfigError, DfsError, StorageFault
from dfs.events import NAMENODE, Role
from dfs.namenode.copy_writer import CopyWriter
from dfs.namenode.folder import claim_namenode_folder
from dfs.namenode.journal import apply_table, open_journal, put_applied_index, table_names
from dfs.namenode.keys import EPOCH, NEXT_CHUNK, InodeRow, get_number, load_row
from dfs.namenode.lmdb_table import LmdbTable
from dfs.namenode.log import Log
from dfs.namenode.lost_history import begin_epoch
from dfs.namenode.module import Command, Module
from dfs.namenode.rebuilder import Outcome, Rebuilder, Wanted
from dfs.namenode.salvage import Defaults, Salvage
from dfs.namenode.snapshot_store import data_name, pieces
from dfs.namenode.table import Table, scan_prefix
from dfs.namenode.view_copier import LmdbCopier
from dfs.namenode.view_recovery import VIEW_FOLDER, write_view
from dfs.namenode.writing import GROUP
from dfs.net.loop import Loop, read_clock
from dfs.net.pool import Pool
from dfs.net.step import PlainStep
from dfs.net.transport import ZmqTransport
from dfs.security.key_folder import KeyFolder, daemon_credentials

_COMMIT_EVERY_RECORDS = 10_000


@dataclass(frozen=True, slots=True)
class RebuildOptions:
    """What to rebuild and how. ``home`` is MINIDFS_HOME; ``modules`` are those of the log."""

    config: Config
    home: Path
    modules: tuple[Module, ...]
    wanted: Wanted


def rebuild(options: RebuildOptions, say: Callable[[str], None]) -> str:
    """Rebuild the namenode's folder; one line that says what became of it.

    Raises ``ConfigError`` when there is something in its place, ``Unavailable`` when too few
    datanodes came, ``NotFound`` when none keeps the log, ``Corrupt``, ``StorageFault``.
    """
    cluster = options.config.cluster.id
    if not cluster:
        raise ConfigError("the configuration has no cluster id: bring the cluster's file back")
    place = role_folder(options.config.namenode.dir, NAMENODE_ID, options.home)
    _check_place(place)
    with _new_folder(place, cluster) as folder:
        writer = CopyWriter(folder.disk, cluster, LmdbCopier())
        outcome = _gather(options, writer, say)
        writer.finish(outcome.base)
        path = place.with_name(f"{place.name}.rebuilding")
        text = _finish(options, path, folder.disk, outcome)
    return f"{text}; start it with 'minidfs up' or 'minidfs namenode'"


def _check_place(place: Path) -> None:
    if place.exists() and any(entry.name != "LOCK" for entry in place.iterdir()):
        raise ConfigError(
            f"{place} is not empty: if the namenode cannot start from it, move it away first"
            f" (mv {place} {place}.lost)",
            str(place),
        )


@contextmanager
def _new_folder(place: Path, cluster: str) -> Iterator[DataFolder]:
    """A folder beside the place, that gets the place's name when all went well."""
    path = place.with_name(f"{place.name}.rebuilding")
    if path.exists():
        shutil.rmtree(path)
    folder = claim_namenode_folder(path, cluster, read_clock().wall_ns)
    try:
        yield folder
        if place.exists():
            (place / "LOCK").unlink(missing_ok=True)
        os.rename(path, place)
        descriptor = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except DfsError:
        raise
    except OSError as error:
        raise StorageFault(f"{place} cannot be made: {error}", str(place)) from error
    finally:
        folder.close()


def _gather(options: RebuildOptions, writer: CopyWriter, say: Callable[[str], None]) -> Outcome:
    """Listen in the namenode's place until the datanodes have given what they have."""
    rebuilder = Rebuilder(options.wanted, read_clock())
    credentials = daemon_credentials(options.config, options.home, NAMENODE)
    if credentials is not None:
        for peer, key in KeyFolder(options.home).public():
            credentials.members.enrol(key, peer)
    bind = bind_endpoints(options.config, options.home, Role.NAMENODE, NAMENODE_ID)
    transport = ZmqTransport(NAMENODE, options.config.cluster.id, bind, credentials)
    pool = Pool(writer.execute, 1, transport.wake, "rebuild")
    try:
        loop = Loop(PlainStep(rebuilder), transport, pool, say)
        while rebuilder.outcome is None:
            if rebuilder.error is not None:
                raise rebuilder.error
            loop.turn()
        return rebuilder.outcome
    finally:
        pool.close()
        transport.close()


def _finish(options: RebuildOptions, path: Path, disk: Disk, outcome: Outcome) -> str:
    """Make the view of the log, or the log of the chunks; end it with a higher epoch."""
    modules, cluster = options.modules, options.config.cluster.id
    if outcome.base:
        write_view(LocalDisk(path / VIEW_FOLDER), pieces(disk, data_name(outcome.base)))
    table = LmdbTable.open(path / VIEW_FOLDER, table_names(modules))
    log = open_journal(disk, table, modules, cluster)
    try:
        text = _rebuilt(options, _Journal(modules, table, log), outcome)
    finally:
        log.close()
        table.close()
    return text


class _Journal:
    """Log and view, written together."""

    def __init__(self, modules: tuple[Module, ...], table: Table, log: Log) -> None:
        self.table = table
        self.log = log
        self._apply = apply_table(modules)

    def add(self, commands: list[Command]) -> None:
        """Log a record and apply it."""
        index = self.log.append(commands)
        for command in commands:
            self._apply[type(command)](self.table, index, command)
        if index % _COMMIT_EVERY_RECORDS == 0:
            self.commit()

    def commit(self) -> None:
        """Make everything durable."""
        self.log.sync()
        put_applied_index(self.table, self.log.durable_index)
        self.table.commit()


def _rebuilt(options: RebuildOptions, journal: _Journal, outcome: Outcome) -> str:
    if outcome.kept is not None:
        table = journal.table
        epoch = max(outcome.epoch, get_number(table, EPOCH, 1))
        next_chunk = get_number(table, NEXT_CHUNK, 1)
        journal.add([begin_epoch(epoch, next_chunk, read_clock().wall_ns)])
        journal.commit()
        files = sum(
            not load_row(InodeRow, row).is_dir for _, row in scan_prefix(table, "inodes", b"")
        )
        records = max(0, outcome.kept.last - outcome.base)
        base = f"the snapshot of record {outcome.base} and " if outcome.base else ""
        return f"rebuilt from {outcome.node}: {base}{records} records, {files} files"
    owner = pwd.getpwuid(os.geteuid()).pw_name
    files_config = options.config.files
    wall_ns = read_clock().wall_ns
    defaults = Defaults(owner, GROUP, files_config.replication, files_config.chunk_bytes, wall_ns)
    salvage = Salvage(outcome.chunks, defaults)
    for record in salvage.records(outcome.epoch):
        journal.add(record)
    journal.commit()
    lost = f" and {len(salvage.broken)} pieces in /lost+found" if salvage.broken else ""
    return (
        f"rebuilt from the chunks of {', '.join(outcome.nodes)}: {len(salvage.files)} files{lost};"
        " files up to 8 KiB lay in the lost log and are gone, renamed ones have their first name"
    )
