"""What an operation of the client may ask of the world.

An *operation* is a generator. It yields one of the effects below, is suspended, and is
resumed with the effect's value; composition is ``yield from``. It touches no socket, thread
or clock, so the same operations run under the I/O thread, in a simulation and in a test
that plays the other side by hand::

    def read_name(path):
        answer = yield Ask(NAMENODE, Stat(path), endpoints=endpoints)
        return answer.message.entry.path

======================  =======================================  =============================
effect                  resumed with                             raised into the operation
======================  =======================================  =============================
``Ask``                 ``Answer``                               the peer's error, ``LinkDown``,
                                                                 ``Refused``, ``NoAnswer``
``Stream``              the number of a new stream
``Tell``, ``EndStream`` ``None``, at once
``Receive``             ``Heard``, ``StreamLost``, ``Fed`` or
                        ``TimedOut``
``Sleep``               ``None``, later
``CurrentTime``         monotonic time in ns
``ReadLocally``         ``LocalSlices``                          its fault, ``NoAnswer``
======================  =======================================  =============================

A *stream* is a conversation with one peer: any number of messages both ways under one
request number. Its losses are values, not exceptions, because they may arrive at any
moment. Streams that an operation leaves open are forgotten when it ends; what still
arrives on them is dropped.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from dfs.errors import DeadlineExceeded, Unavailable
from dfs.events import Payload, Peer
from dfs.limits import REQUEST_TRY_NS
from dfs.wire.codec import Message

T = TypeVar("T")


class LinkDown(Unavailable):
    """The connection to a peer broke or could not be made; the request may have arrived."""


class NoAnswer(DeadlineExceeded):
    """A peer did not answer a request in time; the request may have arrived."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request and its one answer. Without an answer in ``timeout_ns``: ``NoAnswer``."""

    to: Peer
    message: Message
    payload: Payload = b""
    endpoints: tuple[str, ...] = ()
    timeout_ns: int = REQUEST_TRY_NS


@dataclass(frozen=True, slots=True)
class Stream:
    """Begin a conversation with a peer; nothing is sent yet."""

    to: Peer
    endpoints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tell:
    """Say something on a stream. On a stream that was lost it goes nowhere."""

    stream: int
    message: Message
    payload: Payload = b""


@dataclass(frozen=True, slots=True)
class EndStream:
    """Stop listening to a stream; nothing more of it is received."""

    stream: int


@dataclass(frozen=True, slots=True)
class Receive:
    """Wait for the next thing that happens to this operation.

    ``deadline_ns`` is a moment of monotonic time, None for ever. What was fed in by the
    caller is handed out only with ``take_input``: leaving it makes the caller wait.
    """

    deadline_ns: int | None = None
    take_input: bool = False


@dataclass(frozen=True, slots=True)
class Sleep:
    """Do nothing for a while."""

    duration_ns: int


@dataclass(frozen=True, slots=True)
class CurrentTime:
    """What time is it?"""


@dataclass(frozen=True, slots=True)
class ReadLocally:
    """Read frames, (offset, length), from a chunk's file, which a datanode on this machine opens.

    ``hashes`` are the verified slice hashes of the chunk, b"" when they are not known yet.
    """

    endpoint: str
    cluster: str
    chunk: int
    generation: int
    length: int
    digest: bytes
    hashes: bytes
    frames: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class LocalSlices:
    """Verified frames by offset, and the verified hashes of all slices of the chunk."""

    frames: dict[int, bytes]
    hashes: bytes


Effect: TypeAlias = Ask | Stream | Tell | EndStream | Receive | Sleep | CurrentTime | ReadLocally
Operation: TypeAlias = Generator[Effect, Any, T]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to an ``Ask``."""

    message: Message
    payload: Payload = b""


@dataclass(frozen=True, slots=True)
class Heard:
    """A message on a stream. An error of the peer is a message here too (``Failed``)."""

    stream: int
    message: Message
    payload: Payload = b""


@dataclass(frozen=True, slots=True)
class StreamLost:
    """The connection under a stream broke; the stream is over."""

    stream: int
    reason: str


@dataclass(frozen=True, slots=True)
class Fed:
    """Something that the operation's caller handed in."""

    item: Any


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The deadline of a ``Receive`` passed and nothing happened."""


Happening: TypeAlias = Heard | StreamLost | Fed | TimedOut
