"""The DFS as tasks use it, through the worker's own client."""

from __future__ import annotations

from typing import BinaryIO, cast

from dfs.client.client import Client
from dfs.client.read_file import OpenChunk, ReadFile
from dfs.errors import NotFound
from mapreduce.worker.serving import OutputFile


class DfsInput:
    """An ``InputFile`` of the DFS."""

    def __init__(self, file: ReadFile) -> None:
        self._file = file

    def open_chunk(self, offset: int) -> OpenChunk | None:
        """The open file of the chunk at a byte, if a datanode of this machine gives it out."""
        return self._file.open_chunk(offset)

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of one chunk: that behind it may lie on this machine."""
        chunk = self._file.chunk_at(offset)
        if chunk is not None:
            length = min(length, chunk.start + chunk.length - offset)
        self._file.seek(offset)
        return self._file.read(length) or b""

    def close(self) -> None:
        """It is not read any more."""
        self._file.close()


class DfsStorage:
    """A ``Storage`` over a client; its methods may be called from any thread."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def open_input(self, path: str, inode: int) -> DfsInput:
        """A file. Raises NotFound when the path names another inode by now.

        An open file is pinned and inode numbers do not come again, so when the path still
        names this inode after the file was opened, it is the one that was opened.
        """
        file = self._client.open_raw(path)
        if self._client.stat(path).inode != inode:
            file.close()
            raise NotFound(f"{path} was replaced after the job was planned: run it again", path)
        return DfsInput(file)

    def create_output(self, path: str, replication: int) -> OutputFile:
        """A new file; what has the name is replaced when it is closed."""
        return cast(OutputFile, self._client.open(path, "wb", replication=replication or None))

    def read(self, path: str) -> bytes:
        """A whole, small file."""
        return self._client.read_bytes(path)

    def open(self, path: str) -> BinaryIO:
        """A file, to be read forward."""
        return cast(BinaryIO, self._client.open(path, "rb"))
