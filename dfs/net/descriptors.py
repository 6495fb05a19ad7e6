"""Open descriptors of chunk files for clients on the same machine, over an AF_UNIX socket.

One connection carries one request and one answer::

    client    magic 4 bytes, version u16, zero u16, chunk u64, generation u64   (big-endian)
    datanode  one byte: 1 with the descriptor beside it (SCM_RIGHTS), 0: it is not held here

The descriptor is open for reading only. Both sides ask the kernel who is at the other end and
leave unless it is their own user; where the system cannot tell, nothing is served. What the
file holds proves itself: the reader checks it against the digest that the namenode gave it.

The service is one thread that waits for all connections at once. A client that sends nothing, half
a request or garbage loses its connection; when there are too many, the oldest goes.
"""

from __future__ import annotations

import os
import selectors
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from dfs.disk import LocalFile
from dfs.errors import DfsError, NotFound, StorageFault
from dfs.limits import (
    DESCRIPTOR_ANSWER_NS,
    DESCRIPTOR_CONNECTIONS_MAX,
    SECOND_NS,
)

SCHEME = "fd:"
_REQUEST = struct.Struct(">4sHHQQ")
_MAGIC = b"mDFd"
_VERSION = 1
_HERE, _NOT_HERE = b"\x01", b"\x00"
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid
_BACKLOG = 128
_TICK_S = 0.1

Opener = Callable[[int, int], LocalFile]
"""Opens the sealed file of (chunk, generation); raises ``DfsError`` or ``OSError``."""


class _Connection(NamedTuple):
    socket: socket.socket
    until_ns: int
    request: bytearray


class DescriptorService:
    """Gives out what ``opener`` opens. Raises ``OSError`` when it cannot listen."""

    def __init__(self, path: Path, opener: Opener) -> None:
        self.endpoint = f"{SCHEME}{path}"
        self._path = path
        self._opener = opener
        self._stopping = False
        self._connections: dict[int, _Connection] = {}  # oldest first
        path.unlink(missing_ok=True)  # of a process that was killed: the folder has one owner
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._listener.bind(str(path))
            self._listener.listen(_BACKLOG)
        except OSError:
            self._listener.close()
            raise
        self._listener.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, name="descriptors", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving and remove the socket file."""
        self._stopping = True
        self._thread.join(10 * _TICK_S)
        self._path.unlink(missing_ok=True)

    def _serve(self) -> None:
        while not self._stopping:
            for key, _ in self._selector.select(_TICK_S):
                if key.fileobj is self._listener:
                    self._accept()
                else:
                    self._hear(self._connections[key.fd])
            now_ns = time.monotonic_ns()
            for connection in list(self._connections.values()):
                if connection.until_ns <= now_ns:
                    self._drop(connection)
        for connection in list(self._connections.values()):
            self._drop(connection)
        self._selector.close()
        self._listener.close()

    def _accept(self) -> None:
        try:
            accepted, _ = self._listener.accept()
        except OSError:  # no descriptor is left: the rest of the process needs them more
            time.sleep(_TICK_S)
            return
        accepted.setblocking(False)
        if not _is_own_user(accepted):
            accepted.close()
            return
        if len(self._connections) >= DESCRIPTOR_CONNECTIONS_MAX:
            self._drop(next(iter(self._connections.values())))
        until_ns = time.monotonic_ns() + DESCRIPTOR_ANSWER_NS
        self._connections[accepted.fileno()] = _Connection(accepted, until_ns, bytearray())
        self._selector.register(accepted, selectors.EVENT_READ)

    def _hear(self, connection: _Connection) -> None:
        with suppress(OSError):  # it has left, and waits for no answer
            data = connection.socket.recv(_REQUEST.size - len(connection.request))
            connection.request.extend(data)
            if data and len(connection.request) < _REQUEST.size:
                return
            if data:
                self._answer(connection)
        self._drop(connection)

    def _answer(self, connection: _Connection) -> None:
        magic, version, _, chunk, generation = _REQUEST.unpack(connection.request)
        if (magic, version) != (_MAGIC, _VERSION):
            return
        try:
            file = self._opener(chunk, generation)
        except (DfsError, OSError):
            connection.socket.send(_NOT_HERE)
            return
        try:
            socket.send_fds(connection.socket, [_HERE], [file.fileno()])
        finally:
            file.close()

    def _drop(self, connection: _Connection) -> None:
        del self._connections[connection.socket.fileno()]
        self._selector.unregister(connection.socket)
        connection.socket.close()


def open_chunk(endpoint: str, chunk: int, generation: int) -> LocalFile:
    """The file of a chunk, from the datanode that serves ``endpoint`` on this machine.

    Raises ``NotFound`` when it is not held there, ``StorageFault`` for everything else.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(DESCRIPTOR_ANSWER_NS / SECOND_NS)
            connection.connect(endpoint.removeprefix(SCHEME))
            if not _is_own_user(connection):
                raise PermissionError("it is served by another user")
            connection.sendall(_REQUEST.pack(_MAGIC, _VERSION, 0, chunk, generation))
            answer, descriptors, _, _ = socket.recv_fds(connection, 1, 1, _CLOSE_ON_EXEC)
    except OSError as error:
        raise StorageFault(f"{endpoint}: {error}") from error
    if not descriptors:
        raise NotFound(f"{endpoint} does not give out chunk {chunk} ({answer!r})")
    os.set_inheritable(descriptors[0], False)
    return LocalFile(descriptors[0])


def _is_own_user(connection: socket.socket) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    uid: int = _CREDENTIALS.unpack(found)[1]
    return uid == os.geteuid()


_CLOSE_ON_EXEC: int = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
