"""The client: a file system as Python's users know it, over the operations of this package.

A ``Client`` may be shared by threads. Each call blocks until it is done, its deadline is over,
or it is interrupted. DFS paths are absolute; ``a/b`` means ``/a/b``.
"""

from __future__ import annotations

import builtins
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, TypeVar, Unpack, cast

from dfs.checksum import FileDigest
from dfs.client import listing
from dfs.client.connection import Connection
from dfs.client.effects import Operation
from dfs.client.entries import ChunkLocation, Entry, Stored, Usage
from dfs.client.local import LocalPath, open_local, read_block, replace_local
from dfs.client.namenode import UNSENT, Namenode
from dfs.client.options import FileKeywords, FileOptions
from dfs.client.read_file import ReadFile
from dfs.client.reading import open_file
from dfs.client.write_file import TextWriteFile, WriteFile
from dfs.errors import BadArgument, NotADirectory, NotFound
from dfs.limits import FRAME_BYTES, READ_AGAIN_MAX, SLICE_BYTES
from dfs.paths import child_path, join_path, split_path
from dfs.wire import namespace as wire
from dfs.wire.appending import Append

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

T = TypeVar("T")

_READ_MODES = {"rb", "r", "rt"}
_WRITE_MODES = {"wb", "xb", "ab", "w", "wt", "x", "xt", "a", "at"}


class Client:
    """A connection to a cluster; see ``dfs.connect``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the session and all connections; files still open for writing are discarded."""
        self._connection.close()

    @property
    def namenode(self) -> Namenode:
        """The namenode, for operations of one's own; see ``run``."""
        return self._connection.namenode

    def run(self, operation: Operation[T]) -> T:
        """The result of any operation (see ``dfs.client.effects``), run by the I/O thread."""
        return self._connection.run(operation)

    # Whole files.

    def put(
        self,
        local: LocalPath,
        dst: str,
        *,
        overwrite: bool = False,
        **options: Unpack[FileKeywords],
    ) -> Stored:
        """Copy a local file to ``dst``; missing parents are made."""
        with open_local(local) as source:
            size = os.fstat(source.fileno()).st_size
            return self.put_stream(source, dst, overwrite=overwrite, size_hint=size, **options)

    def put_stream(
        self,
        source: IO[bytes] | io.RawIOBase,
        dst: str,
        *,
        overwrite: bool = False,
        size_hint: int = 0,
        **options: Unpack[FileKeywords],
    ) -> Stored:
        """Copy all that can be read from ``source`` to ``dst``; if that fails, nothing is made.

        ``size_hint`` is the expected length in bytes, 0 when it is not known.
        """
        wanted = FileOptions(**options)
        block = read_block(source)
        if wanted.may_be_inline(len(block)):
            return self._put_inline(dst, block, wanted, overwrite)
        with self._create(dst, wanted, overwrite, size_hint) as file:
            while block:
                file.write(block)
                block = read_block(source)
        assert file.stored is not None
        return file.stored

    def get(self, src: str, local: LocalPath, *, overwrite: bool = False) -> None:
        """Copy a DFS file to a local one, which appears whole or not at all."""
        with self.open_raw(src) as source, replace_local(local, overwrite) as target:
            while pieces := source.read(4 * FRAME_BYTES):
                target.write(pieces)

    def read_bytes(self, path: str) -> bytes:
        """The whole content of a file; one that is replaced meanwhile is read from its start."""
        for _ in range(READ_AGAIN_MAX):
            with self.open_raw(path) as file, suppress(NotFound):
                return file.readall()
        with self.open_raw(path) as file:
            return file.readall()

    def write_bytes(
        self,
        path: str,
        data: ReadableBuffer,
        *,
        overwrite: bool = True,
        **options: Unpack[FileKeywords],
    ) -> Stored:
        """Make a file with this content; an existing one is replaced, as by ``pathlib``."""
        wanted = FileOptions(**options)
        length = memoryview(data).nbytes
        if wanted.may_be_inline(length):
            return self._put_inline(path, bytes(memoryview(data)), wanted, overwrite)
        with self._create(path, wanted, overwrite, length) as file:
            file.write(data)
        assert file.stored is not None
        return file.stored

    def open(
        self,
        path: str,
        mode: str = "r",
        *,
        encoding: str = "utf-8",
        errors: str | None = None,
        newline: str | None = None,
        **options: Unpack[FileKeywords],
    ) -> IO[Any]:
        """Open a file as Python's ``open`` does: ``rb wb xb ab``, and ``r w x a`` for text.

        A file that is written becomes visible when it is closed, not before; a ``with`` block
        left by an exception discards it. ``w`` replaces an existing file, ``x`` refuses to.
        ``a`` adds to the end of one, or makes it: until it is closed, or its ``sync`` is called,
        readers see the old content, and only one writer at a time may do so.
        """
        if mode in _READ_MODES:
            reader = io.BufferedReader(self.open_raw(path), SLICE_BYTES)
            return reader if mode == "rb" else io.TextIOWrapper(reader, encoding, errors, newline)
        if mode not in _WRITE_MODES:
            known = " ".join(sorted(_READ_MODES | _WRITE_MODES))
            raise BadArgument(f"mode {mode!r} is not one of {known}", path)
        wanted = FileOptions(**options)
        if mode.startswith("a"):
            file = self._append(path, wanted)
        else:
            file = self._create(path, wanted, overwrite=mode.startswith("w"))
        if mode.endswith("b"):
            return cast("IO[bytes]", file)
        return TextWriteFile(file, encoding, errors, newline)

    def open_raw(self, path: str) -> ReadFile:
        """Open a file for reading, without a buffer."""
        opened = self.run(open_file(self.namenode, _clean(path)))
        return ReadFile(self._connection, opened)

    # The namespace.

    def stat(self, path: str) -> Entry:
        """What is at a path. Raises ``NotFound``."""
        found = self.run(self.namenode.ask(wire.Stat(_clean(path))))
        assert isinstance(found, wire.Found), found
        return Entry.of(found.entry)

    def stat_many(self, paths: Sequence[str]) -> builtins.list[Entry | None]:
        """What is at each of these paths, None where nothing is; hundreds cost one request."""
        found = self.run(listing.stat_many(self.namenode, [_clean(path) for path in paths]))
        return [None if entry is None else Entry.of(entry) for entry in found]

    def exists(self, path: str) -> bool:
        """Is there a file or directory?"""
        try:
            self.stat(path)
        except (NotFound, NotADirectory):
            return False
        return True

    def list(self, path: str = "/") -> builtins.list[Entry]:
        """The entries of a directory, sorted by name; of a file: the file itself."""
        found = self.run(listing.list_directory(self.namenode, _clean(path)))
        return [Entry.of(entry) for entry in found]

    def glob(self, pattern: str) -> builtins.list[Entry]:
        """The entries that match ``* ? [] {a,b} **``, sorted by path; none is no error."""
        rooted = pattern if pattern.startswith("/") else f"/{pattern}"
        found = self.run(listing.glob(self.namenode, rooted))
        return [Entry.of(entry) for entry in found]

    def walk(self, path: str = "/") -> Iterator[tuple[str, builtins.list[str], builtins.list[str]]]:
        """(directory, names of directories, names of files) from ``path`` down, as os.walk.

        Names removed from the second list are not descended into.
        """
        top = self.stat(path)
        if top.is_dir:
            yield from self._walk(top.path)

    def mkdir(self, path: str, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Make a directory. Raises ``Exists``, ``NotFound`` (without ``parents``)."""
        self._change(wire.Mkdir(*UNSENT, _clean(path), parents, exist_ok))

    def remove(self, path: str, *, recursive: bool = False) -> None:
        """Remove a file, an empty directory or, with ``recursive``, a whole tree."""
        self._change(wire.Remove(*UNSENT, _clean(path), recursive))

    def rename(self, source: str, target: str, *, overwrite: bool = False) -> None:
        """Move a file or tree to exactly ``target``, at once."""
        self._change(wire.Rename(*UNSENT, _clean(source), _clean(target), overwrite))

    def locations(self, path: str) -> builtins.list[ChunkLocation]:
        """The chunks of a file and the nodes that hold them; none for a small file, which
        lies in the namespace."""
        chunks = self.run(listing.locate_all(self.namenode, _clean(path)))
        return [ChunkLocation.of(chunk) for chunk in chunks]

    def usage(self, path: str = "/") -> Usage:
        """How much lies at and below a path: bytes, files, directories, bytes on disk."""
        folders = self.run(listing.usage(self.namenode, path))
        return Usage(
            sum(folder.size for folder in folders),
            sum(folder.files for folder in folders),
            sum(folder.directories for folder in folders),
            sum(folder.stored for folder in folders),
        )

    def _walk(self, folder: str) -> Iterator[tuple[str, builtins.list[str], builtins.list[str]]]:
        entries = self._list_if_there(folder)
        folders = [entry.name for entry in entries if entry.is_dir]
        yield folder, folders, [entry.name for entry in entries if not entry.is_dir]
        for name in folders:
            yield from self._walk(child_path(folder, name))

    def _list_if_there(self, folder: str) -> builtins.list[Entry]:
        """The entries of a directory that was seen and may have gone since."""
        try:
            return self.list(folder)
        except NotFound:
            return []

    def _change(self, change: wire.Change) -> None:
        self.run(self.namenode.change(change))

    def _create(
        self, path: str, options: FileOptions, overwrite: bool, size_hint: int = 0
    ) -> WriteFile:
        path = _clean(path)
        create = wire.Create(
            *UNSENT,
            path,
            overwrite,
            options.replication or 0,
            options.chunk_size or 0,
            options.min_durable or 0,
        )
        created = self.run(self.namenode.change(create))
        assert isinstance(created, wire.Created), created
        return WriteFile(self._connection, path, created, size_hint)

    def _append(self, path: str, options: FileOptions) -> WriteFile:
        path = _clean(path)
        append = Append(
            *UNSENT,
            path,
            options.replication or 0,
            options.chunk_size or 0,
            options.min_durable or 0,
        )
        created = self.run(self.namenode.change(append))
        assert isinstance(created, wire.Created), created
        return WriteFile(self._connection, path, created, mode="ab")

    def _put_inline(
        self, path: str, content: bytes, options: FileOptions, overwrite: bool
    ) -> Stored:
        put = wire.PutInline(
            *UNSENT,
            _clean(path),
            content,
            FileDigest(content).digest(),
            overwrite,
            options.replication or 0,
            options.chunk_size or 0,
        )
        closed = self.run(self.namenode.change(put))
        assert isinstance(closed, wire.Closed), closed
        return Stored.of(closed)


def _clean(path: str) -> str:
    """The one spelling of a path. Raises ``BadArgument``."""
    return join_path(split_path(path))
