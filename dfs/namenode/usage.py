"""How much lies in a tree: sums by directory, a page of bounded work at a time."""

from __future__ import annotations

from dfs.limits import USAGE_MAX_FOLDERS, USAGE_MAX_ROWS
from dfs.namenode.table import Table
from dfs.namenode.walking import walk
from dfs.wire.admin import FolderUsage, UsagePage


class _Sums:
    """Of one directory, what stands in it: files, directories, bytes, bytes times copies."""

    def __init__(self) -> None:
        self.files = self.directories = self.size = self.stored = 0


def usage_page(table: Table, path: str, after: str) -> UsagePage:
    """The next page of a walk over all below ``path``. Raises ``NotFound``, ``NotADirectory``."""
    folders: dict[str, _Sums] = {}
    rows, last = 0, after
    for here, _, row in walk(table, path, after, with_system=False):
        folder = here
        if not row.is_dir and last:
            folder = here.rpartition("/")[0] or "/"
        is_new = folder not in folders
        if rows == USAGE_MAX_ROWS or (is_new and len(folders) == USAGE_MAX_FOLDERS):
            return UsagePage(_listed(folders), True, last)
        rows, last = rows + 1, here
        sums = folders.setdefault(folder, _Sums())
        if row.is_dir:
            sums.directories += 1
            continue
        sums.files += 1
        sums.size += row.size
        sums.stored += row.size * row.replication
    return UsagePage(_listed(folders), False)


def _listed(folders: dict[str, _Sums]) -> tuple[FolderUsage, ...]:
    return tuple(
        FolderUsage(path, s.files, s.directories, s.size, s.stored) for path, s in folders.items()
    )
