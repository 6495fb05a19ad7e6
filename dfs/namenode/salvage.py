"""Files out of nothing but chunks: what replicas say of themselves becomes a new namespace.

The last resort when neither the namenode's folder, nor a copy of the log, nor a backup is left.
What a chunk knows is its file's inode, its place in the file and the path when it was
made. So:

* of each chunk the highest generation counts; of two chunks for one place the later one;
* a file whose chunks cover it from 0 without a gap gets that path; of several that want one
  path the highest inode does, and the others are called ``NAME.~INODE``;
* otherwise each unbroken stretch becomes a file ``/lost+found/INODE`` or ``INODE.START``;
* what was renamed has its old name again, and what was deleted lately may be there again;
* small files, which lay in the log, are lost, and so are owners, modes and empty directories.

The digest of a whole file is not known any more; each chunk still has its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dfs.errors import BadArgument
from dfs.limits import NAME_MAX_BYTES
from dfs.namenode import commands as c
from dfs.namenode.changes import FILE_MODE
from dfs.namenode.keys import ROOT
from dfs.namenode.lost_history import begin_epoch
from dfs.namenode.module import Command
from dfs.paths import split_path
from dfs.wire.keeper import FoundChunk

LOST_FOUND = "lost+found"
DIRECTORY_MODE = 0o755
CHUNKS_PER_RECORD = 1000


@dataclass(frozen=True, slots=True)
class Defaults:
    """What chunks do not tell of their files."""

    owner: str
    group: str
    replication: int
    chunk_bytes: int
    wall_ns: int


@dataclass(frozen=True, slots=True)
class _File:
    """A file to be made: its name is ``path[-1]`` in the directories before it."""

    inode: int
    path: tuple[str, ...]
    chunks: tuple[FoundChunk, ...]


class Salvage:
    """Counts and records of a new namespace, from all replicas that were found."""

    def __init__(self, found: Iterable[FoundChunk], defaults: Defaults) -> None:
        self._defaults = defaults
        best: dict[int, FoundChunk] = {}
        self._copies: defaultdict[tuple[int, int], int] = defaultdict(int)
        for chunk in found:
            self._copies[chunk.chunk, chunk.generation] += 1
            known = best.get(chunk.chunk)
            if known is None or chunk.generation > known.generation:
                best[chunk.chunk] = chunk
        by_inode: defaultdict[int, list[FoundChunk]] = defaultdict(list)
        for chunk in best.values():
            by_inode[chunk.inode].append(chunk)
        self._highest_chunk = max(best, default=0)
        self._next_inode = max(by_inode, default=ROOT) + 1
        self._folders: dict[tuple[str, ...], int] = {(): ROOT}
        whole, self.broken = self._sort_out(by_inode)
        self.files = self._named(whole)

    def records(self, epoch: int) -> Iterator[list[Command]]:
        """The log of the new namespace, record by record; its epoch is above ``epoch``."""
        owner, wall_ns = self._defaults.owner, self._defaults.wall_ns
        yield [c.Formatted(owner, wall_ns)]
        for file in (*self.files, *self.broken):
            yield from self._records_of(file)
        yield [begin_epoch(epoch, self._highest_chunk + 1, wall_ns)]

    # -- which files there are

    def _sort_out(self, by_inode: dict[int, list[FoundChunk]]) -> tuple[list[_File], list[_File]]:
        whole: list[_File] = []
        broken: list[_File] = []
        for inode, chunks in sorted(by_inode.items()):
            stretches = _stretches(chunks)
            path = _path_of(chunks)
            if len(stretches) == 1 and stretches[0][0].start == 0 and path:
                whole.append(_File(inode, path, stretches[0]))
                continue
            for number, stretch in enumerate(stretches):
                start = stretch[0].start
                name = f"{inode}.{start}" if start else f"{inode}"
                own = inode if number == 0 else self._new_inode()
                broken.append(_File(own, (LOST_FOUND, name), stretch))
        return whole, broken

    def _named(self, whole: list[_File]) -> list[_File]:
        """The files with the names they get, the highest inode first."""
        folders = {file.path[:n] for file in whole for n in range(1, len(file.path))}
        folders.add((LOST_FOUND,))
        taken: set[tuple[str, ...]] = set()
        named = []
        for file in sorted(whole, key=lambda f: f.inode, reverse=True):
            path = file.path
            if path in taken or path in folders:
                path = (*path[:-1], f"{path[-1]}.~{file.inode}")
            if path in taken or path in folders or len(path[-1].encode()) > NAME_MAX_BYTES:
                path = (LOST_FOUND, f"{file.inode}")
            taken.add(path)
            named.append(_File(file.inode, path, file.chunks))
        return named

    def _new_inode(self) -> int:
        self._next_inode += 1
        return self._next_inode - 1

    # -- as commands

    def _records_of(self, file: _File) -> Iterator[list[Command]]:
        commands, parent = self._make_folders(file.path[:-1])
        text = "/" + "/".join(file.path)
        how = self._defaults
        largest = max(chunk.length for chunk in file.chunks)
        begun = c.FileBegun(
            file.inode,
            parent,
            file.path[-1],
            text,
            0,
            how.owner,
            how.group,
            FILE_MODE,
            how.replication,
            max(how.chunk_bytes, largest),
            1,
            False,
            how.wall_ns,
        )
        yield [*commands, begun]
        size = 0
        for at in range(0, len(file.chunks), CHUNKS_PER_RECORD):
            record: list[Command] = []
            for chunk in file.chunks[at : at + CHUNKS_PER_RECORD]:
                record += self._chunk(file.inode, chunk, size)
                size += chunk.length
            yield record
        yield [c.FileClosed(file.inode, size, b"", None, 0, how.wall_ns)]

    def _chunk(self, inode: int, chunk: FoundChunk, start: int) -> list[Command]:
        copies = self._copies[chunk.chunk, chunk.generation]
        key = (chunk.chunk, chunk.generation, start)
        return [
            c.ChunkAllocated(inode, *key, ()),
            c.ChunkCommitted(inode, *key, chunk.length, chunk.digest, copies, 1),
        ]

    def _make_folders(self, path: tuple[str, ...]) -> tuple[list[Command], int]:
        how = self._defaults
        commands: list[Command] = []
        for depth in range(1, len(path) + 1):
            folder = path[:depth]
            if folder not in self._folders:
                inode = self._folders[folder] = self._new_inode()
                commands.append(
                    c.DirectoryMade(
                        self._folders[folder[:-1]],
                        folder[-1],
                        inode,
                        how.owner,
                        how.group,
                        DIRECTORY_MODE,
                        how.wall_ns,
                    )
                )
        return commands, self._folders[path]


def _stretches(chunks: list[FoundChunk]) -> list[tuple[FoundChunk, ...]]:
    """Unbroken runs of chunks; of those for one place the latest, none that overlaps."""
    stretches: list[list[FoundChunk]] = []
    end = -1
    for chunk in sorted(chunks, key=lambda f: (f.start, -f.chunk)):
        if chunk.start < end:
            continue
        if chunk.start > end:
            stretches.append([])
        stretches[-1].append(chunk)
        end = chunk.start + chunk.length
    return [tuple(stretch) for stretch in stretches]


def _path_of(chunks: list[FoundChunk]) -> tuple[str, ...]:
    """The path that the latest chunk with a usable one names; () when none does.

    What was found once is put there again, under its present number.
    """
    for chunk in sorted(chunks, key=lambda f: f.chunk, reverse=True):
        try:
            path = split_path(chunk.path) if chunk.path.startswith("/") else ()
        except BadArgument:
            continue
        if path and path[0] != LOST_FOUND:
            return path
    return ()
