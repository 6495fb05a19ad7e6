"""Where a job's files are: on this machine, or in the DFS (`minidfs:` paths).

One face for both. An input is a file, a directory (its files, not deeper; names that begin
with `_` or `.` are skipped) or a glob. An output is a directory that must not exist: parts are
written beside it under a hidden name, and a rename at the end makes it appear whole.
"""

from __future__ import annotations

import glob
import io
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, cast

from dfs.config_file import locate
from dfs.errors import BadArgument, DfsError, Exists, NotFound, PermissionDenied
from mapreduce.splits import InputFile
from mapreduce.worker.serving import OutputFile

if TYPE_CHECKING:
    from dfs.client.client import Client
    from dfs.client.entries import Entry

DFS_SCHEME = "minidfs:"
SUCCESS = "_SUCCESS"


class Files(Protocol):
    """One place where files are."""

    def expand(self, path: str) -> list[InputFile]:
        """The files that an input means, in order; raises NotFound."""
        ...

    def open(self, path: str) -> BinaryIO:
        """A file for reading."""
        ...

    def create(self, path: str) -> OutputFile:
        """A file for writing; one that has the name is replaced."""
        ...

    def exists(self, path: str) -> bool:
        """Whether there is anything at the path."""
        ...

    def is_directory(self, path: str) -> bool:
        """Whether there is a directory at the path."""
        ...

    def make_directory(self, path: str) -> None:
        """A directory with its parents; it may be there already."""
        ...

    def rename(self, source: str, target: str) -> None:
        """Give a directory another name that is free."""
        ...

    def remove(self, path: str) -> None:
        """Delete a file, or a directory and all in it, if it is there."""
        ...


def files_of(path: str) -> Files:
    """The place of an input or an output as the caller names it, by its scheme."""
    return DfsFiles() if path.startswith(DFS_SCHEME) else LocalFiles()


def skipped(name: str) -> bool:
    """Whether a file of an input directory is not meant as input."""
    return name.startswith(("_", "."))


class LocalOutput(io.BufferedWriter):
    """A file of this machine while it is written."""

    def __init__(self, path: str) -> None:
        super().__init__(io.FileIO(path, "wb"))
        self._path = path

    def discard(self) -> None:
        """It shall never have been."""
        with suppress(OSError):  # what it still held goes nowhere, as it should
            self.close()
        os.unlink(self._path)


class LocalFiles:
    """Files of this machine; `file:` before a path is allowed."""

    def expand(self, path: str) -> list[InputFile]:
        """The files that an input means, in order."""
        local = self._local(path)
        names = [local] if os.path.exists(local) else sorted(glob.glob(local, recursive=True))
        found = [file for name in names for file in self._files(name)]
        if not names:
            raise NotFound(f"no such file or directory: {path}", path)
        for file in found:
            if not os.access(file.path, os.R_OK):
                raise PermissionDenied(f"cannot read {file.path}", file.path)
        return found

    def _files(self, name: str) -> Iterator[InputFile]:
        if not os.path.isdir(name):
            yield InputFile(name, os.path.getsize(name))
            return
        try:
            entries = sorted(os.scandir(name), key=lambda entry: entry.name)
        except PermissionError:
            raise PermissionDenied(f"cannot list the directory {name}", name) from None
        for entry in entries:
            if entry.is_file() and not skipped(entry.name):
                yield InputFile(entry.path, entry.stat().st_size)

    def open(self, path: str) -> BinaryIO:
        """A file for reading."""
        return open(self._local(path), "rb")

    def create(self, path: str) -> OutputFile:
        """A file for writing."""
        return LocalOutput(self._local(path))

    def exists(self, path: str) -> bool:
        """Whether there is anything at the path."""
        return os.path.lexists(self._local(path))

    def is_directory(self, path: str) -> bool:
        """Whether there is a directory at the path; a link to one is none."""
        local = self._local(path)
        return os.path.isdir(local) and not os.path.islink(local)

    def make_directory(self, path: str) -> None:
        """A directory with its parents."""
        os.makedirs(self._local(path), exist_ok=True)

    def rename(self, source: str, target: str) -> None:
        """Give a directory another name; one that appeared there meanwhile is refused."""
        try:
            os.rename(self._local(source), self._local(target))
        except OSError as error:
            if self.exists(target):
                raise Exists(f"the output {target} appeared meanwhile", target) from error
            raise

    def remove(self, path: str) -> None:
        """Delete a file, or a directory and all in it."""
        if self.is_directory(path):
            shutil.rmtree(self._local(path))
        elif self.exists(path):
            os.unlink(self._local(path))

    @staticmethod
    def _local(path: str) -> str:
        return path.removeprefix("file://").removeprefix("file:")


class DfsFiles:
    """Files of the configured cluster, through the ordinary client."""

    def _fs(self) -> Client:
        return _connected(locate(None, os.environ, Path.home()))

    def expand(self, path: str) -> list[InputFile]:
        """The files that an input means, in order, by the paths that the cluster knows."""
        found = dfs_entries(self._fs(), dfs_path(path))
        return [InputFile(file.path, file.size, file.chunk_size) for file in found]

    def open(self, path: str) -> BinaryIO:
        """A file for reading."""
        return cast(BinaryIO, self._fs().open(dfs_path(path), "rb"))

    def create(self, path: str) -> OutputFile:
        """A file for writing."""
        return cast(OutputFile, self._fs().open(dfs_path(path), "wb"))

    def exists(self, path: str) -> bool:
        """Whether there is anything at the path."""
        return self._fs().exists(dfs_path(path))

    def is_directory(self, path: str) -> bool:
        """Whether there is a directory at the path."""
        return self.exists(path) and self._fs().stat(dfs_path(path)).is_dir

    def make_directory(self, path: str) -> None:
        """A directory with its parents."""
        self._fs().mkdir(dfs_path(path), parents=True, exist_ok=True)

    def rename(self, source: str, target: str) -> None:
        """Give a directory another name."""
        self._fs().rename(dfs_path(source), dfs_path(target))

    def remove(self, path: str) -> None:
        """Delete a file, or a directory and all in it."""
        if self.exists(path):
            self._fs().remove(dfs_path(path), recursive=True)


@cache
def _connected(config_file: Path) -> Client:
    """One connection to each cluster, for as long as this process lives."""
    import dfs

    return dfs.connect(config_file)


def all_dfs_entries(fs: Client, paths: Sequence[str]) -> list[list[Entry]]:
    """The files that each input of the DFS means, see ``dfs_entries``. However many inputs are
    named, looking for them costs few requests."""
    return [
        _files_at(fs, entry) if entry is not None else dfs_entries(fs, path)
        for path, entry in zip(paths, fs.stat_many(paths), strict=True)
    ]


def dfs_entries(fs: Client, path: str) -> list[Entry]:
    """The files that an input of the DFS means, in order: a file, a directory's, or a glob's."""
    try:
        found = [fs.stat(path)]
    except NotFound:
        found = list(fs.glob(path))
    if not found:
        raise NotFound(f"no such file or directory: {path}", path)
    return [file for entry in found for file in _files_at(fs, entry)]


def _files_at(fs: Client, entry: Entry) -> list[Entry]:
    if not entry.is_dir:
        return [entry]
    return [e for e in fs.list(entry.path) if not e.is_dir and not skipped(e.name)]


def dfs_path(path: str) -> str:
    """The absolute path of `minidfs:/a/b` or `minidfs:///a/b`."""
    inside = path.removeprefix(DFS_SCHEME)
    if inside.startswith("//") and not inside.startswith("///"):
        raise BadArgument(f"{path}: only the default cluster can be named here: minidfs:/PATH")
    return "/" + inside.lstrip("/")


class OutputDirectory:
    """An output that appears whole or not at all."""

    def __init__(self, path: str, overwrite: bool = False) -> None:
        self.path = path.rstrip("/") or "/"
        self._files = files_of(path)
        self._overwrite = overwrite
        if self._files.exists(self.path):
            self._check_replaceable()
        parent, slash, name = self.path.rpartition("/")
        self._hidden = f"{parent}{slash}.{name}.{os.getpid()}.unfinished"
        self._old = f"{parent}{slash}.{name}.{os.getpid()}.replaced"

    def _check_replaceable(self) -> None:
        if not self._overwrite:
            raise Exists(
                f"the output {self.path} exists: choose another, delete it, or give --overwrite",
                self.path,
            )
        if not self._files.is_directory(self.path):
            raise Exists(f"{self.path} is no directory, and an output is one", self.path)

    def begin(self) -> None:
        """Make the hidden directory; what a dead process of this id left there goes."""
        self._files.remove(self._hidden)
        self._files.make_directory(self._hidden)

    def create(self, name: str) -> OutputFile:
        """A part, or a file of a side output (`errors/part-m-00000`); one that has the name is
        replaced."""
        output, slash, _ = name.partition("/")
        if slash:
            self._files.make_directory(f"{self._hidden}/{output}")
        return self._files.create(f"{self._hidden}/{name}")

    def remove(self, name: str) -> None:
        """Remove what was created under a name, if it is there."""
        self._files.remove(f"{self._hidden}/{name}")

    def commit(self) -> None:
        """Put `_SUCCESS` beside the parts and give the directory its name."""
        self.create(SUCCESS).close()
        replaces = self._overwrite and self._files.exists(self.path)
        if replaces:
            self._files.rename(self.path, self._old)
        try:
            self._files.rename(self._hidden, self.path)
        except (DfsError, OSError):
            if replaces:
                self._files.rename(self._old, self.path)
            raise
        if replaces:
            self._files.remove(self._old)

    def discard(self) -> None:
        """Forget everything."""
        self._files.remove(self._hidden)

    def open_part(self, name: str) -> BinaryIO:
        """A part of the committed output."""
        return self._files.open(f"{self.path}/{name}")
