"""Whole files as operations of a client, for code that itself runs as one."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, TypeVar

from dfs.checksum import FileDigest
from dfs.client.effects import Fed, Operation, Receive
from dfs.client.frames import Close, FrameCutter
from dfs.client.namenode import UNSENT, Namenode
from dfs.client.reading import open_file, read_range
from dfs.client.writing import FileWriter, close_inline
from dfs.errors import NotFound
from dfs.wire.namespace import Create, Created

T = TypeVar("T")


def read_file(namenode: Namenode, path: str, inode: int) -> Operation[bytes]:
    """The content of a file. Raises NotFound when the path names another inode."""
    opened = yield from open_file(namenode, path)
    if opened.entry.inode != inode:
        raise NotFound(f"{path} was replaced", path)
    pieces = yield from read_range(namenode, opened, 0, opened.entry.size)
    return b"".join(pieces)


def write_file(namenode: Namenode, path: str, data: bytes, replication: int = 0) -> Operation[None]:
    """Make a file with this content; what has the name is replaced."""
    created = yield from namenode.change(Create(*UNSENT, path, True, replication, 0, 0))
    assert isinstance(created, Created), created
    if len(data) <= created.inline_max_bytes:
        yield from close_inline(namenode, path, created, data)
        return
    cutter = FrameCutter(created.chunk_bytes)
    frames = [*cutter.push(data), *cutter.flush()]
    writer = FileWriter(namenode, path, created, len(data))
    yield from _fed(writer.run(), [*frames, Close(FileDigest(data).digest())])


def _fed(operation: Operation[T], items: Iterable[Any]) -> Operation[T]:
    """Run an operation that is fed by its caller with these items as what it is fed."""
    queue = deque(items)
    value: Any = None
    error: Exception | None = None
    while True:
        try:
            effect = operation.send(value) if error is None else operation.throw(error)
        except StopIteration as end:
            result: T = end.value
            return result
        value, error = None, None
        if isinstance(effect, Receive) and effect.take_input and queue:
            value = Fed(queue.popleft())
            continue
        try:
            value = yield effect
        except Exception as raised:  # noqa: BLE001 - it is the operation's, and passed on to it
            error = raised
