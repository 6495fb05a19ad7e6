"""Framed messages between a worker and one of its task processes.

    frame = head_bytes:u32 payload_bytes:u32 head payload        (big-endian)

The head is a msgpack array ``[tag, field, …]`` of a struct in ``task_messages``; the payload is
raw bytes. Nothing on either side is ever pickled: the task runs the user's code and is not
trusted, so the worker checks both sizes before it makes room for them and decodes only into
the structs it expects.

``FrameReader`` is the receiving half without the socket: it says where the next bytes belong
and returns a frame when one is whole, so a payload is received into its place and not copied.
``Channel`` is both halves over a blocking socket. A frame may have an open file beside it, whose
descriptor goes with its first byte (SCM_RIGHTS). Only the task takes descriptors
(``TakingChannel``); the kernel closes those that come to anybody else. A closed or torn connection
is ``ChannelClosed``; bytes that are no frame are ``ProtocolError``, after which nothing more can
be read.
"""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress
from typing import Generic, NamedTuple, Protocol, TypeVar

import msgspec

from dfs.errors import ProtocolError
from dfs.limits import MIB

HEAD_MAX_BYTES = 16 * MIB
"""A task order holds a job and its map outputs; an outcome holds counts for each partition."""
PAYLOAD_MAX_BYTES = 1 * MIB

_SIZES = struct.Struct(">II")
_DESCRIPTOR = struct.Struct("i")
_BESIDE_BYTES = socket.CMSG_SPACE(_DESCRIPTOR.size)

T = TypeVar("T")


class ChannelClosed(Exception):  # noqa: N818 - it is how a conversation ends, not only an error
    """The other side is gone."""


class HasDescriptor(Protocol):
    """An open file."""

    def fileno(self) -> int:
        """Its descriptor."""


class RawFrame(NamedTuple):
    """One frame as it came: the head is not decoded yet."""

    head: bytearray
    payload: bytearray


def encode_frame(message: object, payload: bytes | memoryview = b"") -> list[bytes | memoryview]:
    """The pieces of one frame; raises ProtocolError when it is over the limits."""
    head = msgspec.msgpack.encode(message)
    _check_sizes(len(head), len(payload))
    return [_SIZES.pack(len(head), len(payload)) + head, payload]


class FrameReader:
    """Puts frames together from bytes that arrive in any pieces."""

    def __init__(self) -> None:
        self._sizes = bytearray(_SIZES.size)
        self._head = self._payload = bytearray()
        self._part, self._filled = self._sizes, 0

    @property
    def in_frame(self) -> bool:
        """Has a frame begun that is not whole yet?"""
        return self._part is not self._sizes or self._filled > 0

    def space(self) -> memoryview:
        """Where the next bytes belong; never empty. Report them with ``received``."""
        return memoryview(self._part)[self._filled :]

    def received(self, count: int) -> RawFrame | None:
        """``count`` bytes were put into ``space()``; the frame they complete, if they do.

        Raises ProtocolError for sizes over the limits, before any room is made for them.
        """
        self._filled += count
        while self._filled == len(self._part):
            if self._part is self._sizes:
                head_bytes, payload_bytes = _SIZES.unpack(self._sizes)
                _check_sizes(head_bytes, payload_bytes)
                self._head, self._payload = bytearray(head_bytes), bytearray(payload_bytes)
                self._part, self._filled = self._head, 0
            elif self._part is self._head and self._payload:
                self._part, self._filled = self._payload, 0
            else:
                frame = RawFrame(self._head, self._payload)
                self._begin()
                return frame
        return None

    def _begin(self) -> None:
        self._head = self._payload = bytearray()
        self._part, self._filled = self._sizes, 0


def _check_sizes(head_bytes: int, payload_bytes: int) -> None:
    if not 0 < head_bytes <= HEAD_MAX_BYTES or payload_bytes > PAYLOAD_MAX_BYTES:
        raise ProtocolError(
            f"a frame of {head_bytes} and {payload_bytes} bytes is outside the limits of "
            f"{HEAD_MAX_BYTES} and {PAYLOAD_MAX_BYTES}"
        )


class Channel(Generic[T]):
    """One end of the conversation; receives messages of the union ``incoming``.

    Sending and receiving may happen in two threads, each in one at a time.
    """

    def __init__(self, connection: socket.socket, incoming: type[T]) -> None:
        self._socket = connection
        self._reader = FrameReader()
        self._decoder: msgspec.msgpack.Decoder[T] = msgspec.msgpack.Decoder(incoming)

    def fileno(self) -> int:
        """The descriptor of the socket."""
        return self._socket.fileno()

    def send(
        self,
        message: object,
        payload: bytes | memoryview = b"",
        file: HasDescriptor | None = None,
    ) -> None:
        """Send one message; blocks while the other side does not read. It gets a descriptor of its
        own of ``file``."""
        head, body = encode_frame(message, payload)
        try:
            if file is not None:
                head = memoryview(head)[self._send_beside(head, file) :]
            self._socket.sendall(head)
            if len(body):
                self._socket.sendall(body)
        except OSError as error:
            raise ChannelClosed(str(error)) from None

    def receive(self) -> tuple[T, bytearray]:
        """The next message and its payload; blocks until it is whole."""
        frame = None
        while frame is None:
            try:
                count = self._receive_into(self._reader.space())
            except OSError as error:
                raise ChannelClosed(str(error)) from None
            if not count:
                torn = " in the middle of a message" if self._reader.in_frame else ""
                raise ChannelClosed(f"the connection was closed{torn}")
            frame = self._reader.received(count)
        try:
            return self._decoder.decode(frame.head), frame.payload
        except (msgspec.DecodeError, RecursionError) as error:
            raise ProtocolError(f"a message does not decode: {error}") from None

    def _send_beside(self, head: bytes | memoryview, file: HasDescriptor) -> int:
        """Send some of these bytes and a descriptor; how many."""
        beside = (socket.SOL_SOCKET, socket.SCM_RIGHTS, _DESCRIPTOR.pack(file.fileno()))
        return self._socket.sendmsg([head], [beside])

    def _receive_into(self, space: memoryview) -> int:
        return self._socket.recv_into(space)

    def hang_up(self) -> None:
        """End the conversation while another thread may wait in it: both sides see the end."""
        with suppress(OSError):  # it has ended
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the conversation and free the socket; nobody may be waiting in it."""
        self._socket.close()


class TakingChannel(Channel[T]):
    """The end that takes descriptors: that of the task."""

    _taken: int | None = None

    def take_descriptor(self) -> int | None:
        """The descriptor that came with the last message, which is now the caller's to close; None
        when none came, as in a process that may open no more files."""
        taken, self._taken = self._taken, None
        return taken

    def _receive_into(self, space: memoryview) -> int:
        count, beside, _, _ = self._socket.recvmsg_into([space], _BESIDE_BYTES, _CLOSE_ON_EXEC)
        for level, kind, data in beside:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                self._keep(*_DESCRIPTOR.unpack(data))
        return count

    def receive(self) -> tuple[T, bytearray]:
        """The next message and its payload; blocks until it is whole."""
        self._drop()
        return super().receive()

    def close(self) -> None:
        """End the conversation and free what it holds; nobody may be waiting in it."""
        super().close()
        self._drop()

    def _keep(self, descriptor: int) -> None:
        self._drop()
        os.set_inheritable(descriptor, False)
        self._taken = descriptor

    def _drop(self) -> None:
        unwanted = self.take_descriptor()
        if unwanted is not None:
            os.close(unwanted)


_CLOSE_ON_EXEC: int = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
