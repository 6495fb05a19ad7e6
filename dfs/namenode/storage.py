"""The namenode as the MapReduce master beside it sees it: one narrow protocol.

Both cores live in one process and one log. The master never touches the tables of
dfs: it asks what is where, and it gets *commands* of dfs to put into its own
decisions, so that "the task is done" and "its output is linked" are one record.
All functions look at the view of the decision; commands of one call must be applied
before the next call decides, unless both calls touch different folders.
"""

from __future__ import annotations

from collections.abc import Sequence

from dfs.checksum import FileDigest
from dfs.errors import Exists
from dfs.events import Now
from dfs.namenode import changes
from dfs.namenode import commands as c
from dfs.namenode.changes import FileSettings, Ids, Maker
from dfs.namenode.module import Command, View
from dfs.namenode.namespace import (
    Place,
    file_chunks,
    find_deepest,
    find_entry,
    list_directory,
    stat,
)
from dfs.namenode.nodes import Nodes
from dfs.wire.namespace import Entry

SUCCESS = "_SUCCESS"
"""The name of the empty file that marks a complete output."""

LOCATE_MAX_CHUNKS = 1000


class Storage:
    """What the master may ask of the namespace and have done to it."""

    def __init__(self, nodes: Nodes, owner: str, group: str, defaults: FileSettings) -> None:
        self._nodes = nodes
        self._owner = owner
        self._group = group
        self._defaults = defaults

    def stat(self, view: View, path: str) -> Entry:
        """The entry at a path. Raises ``NotFound``, ``NotADirectory``."""
        return stat(view.table, path)

    def exists(self, view: View, path: str) -> bool:
        """Is there anything at this path?"""
        place, rest = find_deepest(view.table, path)
        return not rest and place.entry is not None

    def list_page(self, view: View, path: str, after: str) -> tuple[list[Entry], bool]:
        """A page of a directory's entries behind a name, and whether there are more. Raises
        ``NotFound``."""
        return list_directory(view.table, path, after)

    def locate(
        self, view: View, inode: int, offset: int, length: int, now: Now
    ) -> list[tuple[int, int, tuple[str, ...]]]:
        """(start, length, datanodes) of the chunks that cover a range of a file."""
        rows, _ = file_chunks(view.table, inode, offset, offset + length, LOCATE_MAX_CHUNKS)
        return [
            (start, row.length, self._holders(row.chunk, row.generation, now))
            for start, row in rows
        ]

    def _holders(self, chunk: int, generation: int, now: Now) -> tuple[str, ...]:
        states = self._nodes.holders(chunk, generation, now.mono_ns)
        return tuple(state.address.node for state in states)

    def rack(self, node: str) -> str:
        """The rack of a datanode, '' when it has not registered since the start."""
        state = self._nodes.get(node)
        return "" if state is None else state.address.rack

    def make_folder(self, view: View, path: str, now: Now) -> list[Command]:
        """Make a directory and those above it; nothing to do when it exists."""
        return changes.mkdir(view.table, path, True, True, self._maker(now))

    def link(self, view: View, moves: Sequence[tuple[str, str]], now: Now) -> list[Command]:
        """Give an attempt's files their names: pairs of source and target, in different folders.

        Missing folders are made; a file that has the name already is replaced, since its task
        ran again. Raises ``NotFound``, ``NotADirectory``, ``Exists`` for a folder of that name.
        """
        ids, maker = Ids(view.table), self._maker(now)
        commands: list[Command] = []
        for path, name in moves:
            source, entry = find_entry(view.table, path)
            assert not entry.is_dir, f"{path} is a directory and not an attempt's file"
            target, made = changes.make_parents(view.table, name, ids, maker)
            if target.entry is not None and target.entry.is_dir:
                raise Exists(f"{name} is a directory", name)
            replaced = 0 if target.entry is None else target.entry.inode
            moved = c.Renamed(
                source.parent, source.name, target.parent, target.name, replaced, now.wall_ns
            )
            commands += [*made, moved]
        return commands

    def publish(
        self, view: View, folder: str, output: str, overwrite: bool, now: Now
    ) -> list[Command]:
        """Mark a hidden folder complete and give it its public name, in one record.

        Raises ``Exists`` when there is something at ``output`` and not ``overwrite``; a file
        there is never replaced by the folder.
        """
        ids = Ids(view.table)
        maker = self._maker(now)
        source, entry = find_entry(view.table, folder)
        target, commands = changes.make_parents(view.table, output, ids, maker)
        replaced = _replaced_output(target, overwrite)
        mark = c.FilePut(
            entry.inode,
            SUCCESS,
            ids.take(),
            maker.owner,
            maker.group,
            changes.FILE_MODE,
            self._defaults.replication,
            self._defaults.chunk_bytes,
            b"",
            FileDigest(b"").digest(),
            0,
            now.wall_ns,
        )
        move = c.Renamed(
            source.parent, source.name, target.parent, target.name, replaced, now.wall_ns
        )
        return [*commands, mark, move]

    def discard(self, view: View, path: str, now: Now) -> list[Command]:
        """Unlink a folder and all below it; nothing to do when it is not there."""
        if not self.exists(view, path):
            return []
        return changes.remove(view.table, path, True, False, now.wall_ns)

    def _maker(self, now: Now) -> Maker:
        return Maker(self._owner, self._group, now.wall_ns)


def _replaced_output(target: Place, overwrite: bool) -> int:
    if target.is_root:
        raise Exists("/ exists and cannot be an output", "/")
    if target.entry is None:
        return 0
    if not target.entry.is_dir:
        raise Exists(f"{target.path} is a file; an output is a directory", target.path)
    if not overwrite:
        raise Exists(f"{target.path} exists; --overwrite replaces it", target.path)
    return target.entry.inode
