"""The log and the view together: opening them so that they agree.

The log is the truth and the view is what it says, up to ``applied_index``, a number
that stands in the view itself and is committed together with the rows. After a crash
the view is at its last commit; the records behind it are applied again. A view that is
ahead of the log is corruption: it holds what no log can justify.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dfs.disk import Disk
from dfs.limits import COMMIT_MAX_COMMANDS, LOG_SEGMENT_BYTES
from dfs.namenode.command_codec import CommandCodec
from dfs.namenode.keys import APPLIED_INDEX, get_number, put_number
from dfs.namenode.log import Log
from dfs.namenode.module import Command, Module
from dfs.namenode.table import Table

META = "meta"


def table_names(modules: tuple[Module, ...]) -> tuple[str, ...]:
    """The tables that a view for these modules has."""
    owner = {META: ""}
    for module in modules:
        for table in module.tables:
            assert table == META or table not in owner, (
                f"table {table} belongs to {owner[table]} and to {module.name}"
            )
            owner[table] = module.name
    return tuple(owner)


def apply_table(modules: tuple[Module, ...]) -> dict[type[Command], Callable[..., Any]]:
    """Which function applies which command."""
    return {cls: module.apply for module in modules for cls in module.commands}


def get_applied_index(table: Table) -> int:
    """The last record in the committed view, 0 in a new one."""
    return get_number(table, APPLIED_INDEX, 0)


def put_applied_index(table: Table, index: int) -> None:
    """Note the last record applied; to be committed together with its rows."""
    put_number(table, APPLIED_INDEX, index)


def open_journal(
    disk: Disk,
    table: Table,
    modules: tuple[Module, ...],
    cluster: str,
    segment_bytes: int = LOG_SEGMENT_BYTES,
) -> Log:
    """Open the log on this disk and bring the view up to its end.

    Raises as ``Log.open`` does, and ``NotSupported`` or ``Corrupt`` for a record that these
    modules cannot read; the view then holds nothing of that record or of any behind it.
    """
    log = Log.open(disk, CommandCodec(modules), cluster, get_applied_index(table), segment_bytes)
    _replay(log, table, modules)
    return log


def _replay(log: Log, table: Table, modules: tuple[Module, ...]) -> None:
    apply = apply_table(modules)
    pending = 0
    for index, commands in log.replay(get_applied_index(table) + 1):
        for command in commands:
            apply[type(command)](table, index, command)
        pending += len(commands)
        if pending >= COMMIT_MAX_COMMANDS:
            _commit(table, index)
            pending = 0
    _commit(table, log.durable_index)


def _commit(table: Table, index: int) -> None:
    put_applied_index(table, index)
    table.commit()
