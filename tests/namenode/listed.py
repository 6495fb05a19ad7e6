"""Everything that a table names, for tests that compare whole namespaces."""

from __future__ import annotations

from dfs.namenode.keys import ROOT, ChunkRow, EntryRow, entry_name, load_row, number_key
from dfs.namenode.table import Table, scan_prefix


def listed(table: Table, folder: int = ROOT, above: str = "") -> dict[str, list[int] | None]:
    """Path to the chunks of a file, None for a directory."""
    found: dict[str, list[int] | None] = {}
    for key, data in scan_prefix(table, "entries", number_key(folder)):
        entry, path = load_row(EntryRow, data), f"{above}/{entry_name(key)}"
        if entry.is_dir:
            found |= {path: None, **listed(table, entry.inode, path)}
        else:
            rows = scan_prefix(table, "chunks", number_key(entry.inode))
            found[path] = [load_row(ChunkRow, row).chunk for _, row in rows]
    return found
