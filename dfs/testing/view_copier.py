"""Snapshots of a view in memory: its rows, on the disk in memory."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from dfs.disk import Disk, File
from dfs.errors import Corrupt
from dfs.manifest import Manifest
from dfs.namenode.journal import META
from dfs.namenode.keys import APPLIED_INDEX
from dfs.namenode.snapshot_store import data_name
from dfs.namenode.table import MemoryTable

Rows = dict[str, dict[bytes, bytes]]


class MemoryCopier:
    """A ``dfs.namenode.snapshot_store.ViewCopier``; ``table`` tells which view is copied."""

    format = "rows in memory"

    def __init__(self, table: Callable[[], MemoryTable]) -> None:
        self._table = table

    def used_bytes(self) -> int:
        """Nothing: the disk in memory is never close to full."""
        return 0

    def copy_to(self, file: File) -> None:
        """Write the committed rows into an empty file."""
        file.write_at(0, msgspec.msgpack.encode(self._table().committed_rows()))

    def check(self, disk: Disk, name: str) -> int:
        """The applied index of a copy; raises ``Corrupt``."""
        return int.from_bytes(_read(disk, name)[META].get(APPLIED_INDEX, b""), "big")


def read_rows(disk: Disk, source: Manifest | None, tables: tuple[str, ...]) -> MemoryTable:
    """A view as in a snapshot, or an empty one; no loss of power takes it back."""
    table = MemoryTable(tables)
    if source is not None:
        for name, rows in _read(disk, data_name(source.index)).items():
            for key, value in rows.items():
                table.put(name, key, value)
        table.commit()
        table.commit()
    return table


def _read(disk: Disk, name: str) -> Rows:
    file = disk.open(name)
    try:
        data = file.read_at(0, file.size())
    finally:
        file.close()
    try:
        return msgspec.msgpack.decode(data, type=Rows)
    except msgspec.MsgspecError as error:
        raise Corrupt(f"{name} is damaged ({error})") from error
