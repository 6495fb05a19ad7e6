"""What the master may ask of the namespace beside it, and have done to it.

``dfs.namenode.storage.Storage`` is the real one. The builders return commands of module
``dfs`` that the master puts into its own decisions, so that "the task is done" and "its
output is linked" are one record. They look at the view of the decision: the commands of
one call must be applied before another call decides about the same folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from dfs.events import Now
from dfs.namenode.module import Command, View
from dfs.wire.namespace import Entry


class Storage(Protocol):
    """The namespace, as narrow as the master needs it."""

    def stat(self, view: View, path: str) -> Entry:
        """The entry at a path. Raises ``NotFound``, ``NotADirectory``."""

    def exists(self, view: View, path: str) -> bool:
        """Is there anything at this path?"""

    def list_page(self, view: View, path: str, after: str) -> tuple[list[Entry], bool]:
        """A page of a directory's entries behind a name, and whether there are more. Raises
        ``NotFound``."""

    def locate(
        self, view: View, inode: int, offset: int, length: int, now: Now
    ) -> list[tuple[int, int, tuple[str, ...]]]:
        """(start, length, datanodes) of the chunks that cover a range of a file."""

    def rack(self, node: str) -> str:
        """The rack of a datanode, '' when it has not registered since the start."""

    def make_folder(self, view: View, path: str, now: Now) -> list[Command]:
        """Make a directory and those above it; nothing to do when it exists."""

    def link(self, view: View, moves: Sequence[tuple[str, str]], now: Now) -> list[Command]:
        """Give an attempt's files their names, each (source, target), in different folders.
        Missing folders are made, a file that had the name goes. Raises ``NotFound``."""

    def publish(
        self, view: View, folder: str, output: str, overwrite: bool, now: Now
    ) -> list[Command]:
        """Mark a hidden folder complete and give it its public name. Raises ``Exists``."""

    def discard(self, view: View, path: str, now: Now) -> list[Command]:
        """Unlink a folder and all below it; nothing to do when it is not there."""
