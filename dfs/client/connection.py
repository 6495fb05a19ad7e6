"""One connection to a cluster, shared by a client and the files that it opened."""

from __future__ import annotations

import weakref
from typing import TypeVar

from dfs.client.core import ClientCore
from dfs.client.effects import Operation
from dfs.client.io_thread import IoThread, Running, Transport
from dfs.client.namenode import Namenode

T = TypeVar("T")


class Connection:
    """An I/O thread and the namenode as its operations see it.

    It keeps its session alive, and ends when it is closed, when nobody holds it any more, or
    with the interpreter.
    """

    def __init__(self, transport: Transport, namenode: Namenode) -> None:
        self.namenode = namenode
        self._io = IoThread(ClientCore(), transport)
        self._io.start(namenode.keep_session())
        self._closer = weakref.finalize(self, _close, self._io, namenode)

    def start(self, operation: Operation[T]) -> Running[T]:
        """Begin an operation."""
        return self._io.start(operation)

    def run(self, operation: Operation[T]) -> T:
        """The result of an operation. Interrupted, it is abandoned."""
        return self._io.run(operation)

    def close(self) -> None:
        """End the session and the thread. May be called twice."""
        self._closer()


def _close(io_thread: IoThread, namenode: Namenode) -> None:
    io_thread.stop(namenode.close_session())
