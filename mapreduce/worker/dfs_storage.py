"""The DFS as tasks use it, through the worker's own client."""

from __future__ import annotations

from typing import BinaryIO, cast

from dfs.client.client import Client
from dfs.errors import NotFound
from mapreduce.worker.serving import OutputFile


class DfsStorage:
    """A ``Storage`` over a client; its methods may be called from any thread."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def open_input(self, path: str, inode: int, offset: int) -> BinaryIO:
        """A file from a byte on. Raises NotFound when the path names another inode by now.

        An open file is pinned and inode numbers do not come again, so when the path still
        names this inode after the file was opened, it is the one that was opened.
        """
        file = cast(BinaryIO, self._client.open(path, "rb"))
        if self._client.stat(path).inode != inode:
            file.close()
            raise NotFound(f"{path} was replaced after the job was planned: run it again", path)
        file.seek(offset)
        return file

    def create_output(self, path: str, replication: int) -> OutputFile:
        """A new file; what has the name is replaced when it is closed."""
        return cast(OutputFile, self._client.open(path, "wb", replication=replication or None))

    def read(self, path: str) -> bytes:
        """A whole, small file."""
        return self._client.read_bytes(path)

    def open(self, path: str) -> BinaryIO:
        """A file, to be read forward."""
        return cast(BinaryIO, self._client.open(path, "rb"))
