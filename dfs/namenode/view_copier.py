"""Copies of the view as LMDB makes them: see ``dfs.namenode.snapshot_store.ViewCopier``."""

from __future__ import annotations

from dfs.disk import Disk, File, LocalDisk, LocalFile
from dfs.errors import Corrupt
from dfs.namenode.journal import META
from dfs.namenode.keys import APPLIED_INDEX
from dfs.namenode.lmdb_table import LmdbTable, read_row
from dfs.namenode.view_check import DataCheck
from dfs.namenode.view_version import VERSION


class LmdbCopier:
    """Copies ``table``, which is set once it is open; checks copies without it."""

    format = VERSION

    def __init__(self) -> None:
        self.table: LmdbTable | None = None
        self._check = DataCheck()

    def used_bytes(self) -> int:
        """How large a copy will be at most."""
        assert self.table is not None
        return self.table.used_bytes()

    def copy_to(self, file: File) -> None:
        """Write the committed view into an empty file."""
        assert self.table is not None
        assert isinstance(file, LocalFile), file
        self.table.copy_to(file.fileno())

    def check(self, disk: Disk, name: str) -> int:
        """The applied index of a copy that is sound; raises ``Corrupt``."""
        assert isinstance(disk, LocalDisk), disk
        path = disk.path(name)
        problem = self._check.problem_of(path)
        if problem:
            raise Corrupt(f"{path} is damaged ({problem})", str(path))
        row = read_row(path, META, APPLIED_INDEX)
        if row is None:
            raise Corrupt(f"{path} does not say which record it ends with", str(path))
        return int.from_bytes(row, "big")

    def stop(self) -> None:
        """Let a check that runs fail at once, so that nothing is waited for at the end."""
        self._check.stop()
