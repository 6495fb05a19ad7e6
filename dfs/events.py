"""What goes into a core and what comes out of it.

A core is a plain object without sockets, files, threads or clocks. The edge
feeds it *events* and carries out the *actions* that it returns. Both are values
and compare with ``==``, so that a test is: this event, those actions.

``Peer`` is who is at the other end, as the transport vouches for it: from the
handshake within one host, from the key between hosts. A core never reads an
identity out of a message.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, TypeAlias

from dfs.wire.codec import Message


class Now(NamedTuple):
    """The time as the edge read it. Deadlines use ``mono_ns``; ``wall_ns`` is only data."""

    mono_ns: int
    wall_ns: int


class Role(StrEnum):
    """The parts a process can play."""

    NAMENODE = "namenode"
    DATANODE = "datanode"
    WORKER = "worker"
    CLIENT = "client"
    ADMIN = "admin"


USERS = frozenset({Role.CLIENT, Role.ADMIN})
"""The roles that people play."""


class Peer(NamedTuple):
    """A process as the transport knows it; the names of clients need not be unique."""

    role: Role
    name: str


NAMENODE = Peer(Role.NAMENODE, "namenode")
"""There is one in a cluster."""


class Origin(NamedTuple):
    """Where a request came from, and so where its reply goes.

    ``link`` is the transport's number for one connection, never reused within a
    process; ``request`` is the sender's number for one request on that link.
    """

    peer: Peer
    link: int
    request: int


Payload: TypeAlias = bytes | memoryview


@dataclass(frozen=True, slots=True)
class Received:
    """A message arrived. ``payload`` is the raw frame behind it, empty when there is none."""

    origin: Origin
    message: Message
    payload: Payload = b""


@dataclass(frozen=True, slots=True)
class LinkLost:
    """A connection broke, was refused or never came up; nothing more arrives on it.

    ``refused``: the other side said no (another cluster, protocol or process), and will again.
    """

    peer: Peer
    link: int
    reason: str
    refused: bool = False


@dataclass(frozen=True, slots=True)
class WorkDone:
    """A piece of work at the edge ended: ``result`` is its value, or ``error`` says why not."""

    token: object
    result: Any = None
    error: Exception | None = None


Event: TypeAlias = Received | LinkLost | WorkDone


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer a request on the connection it came from. A lost connection drops it."""

    origin: Origin
    message: Message
    payload: Payload = b""


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request, or a word that needs no answer (``request`` 0), to a peer.

    The transport uses the open connection to ``to``; without one it connects to
    the first reachable of ``endpoints``. With neither it answers ``LinkLost``.
    Delivery is at most once; loss shows as ``LinkLost`` or not at all, so every
    request has a deadline in the core that sent it.
    """

    to: Peer
    message: Message
    request: int = 0
    payload: Payload = b""
    endpoints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hangup:
    """Close the connection to a peer that is no longer needed or no longer trusted."""

    to: Peer


@dataclass(frozen=True, slots=True)
class Work:
    """Work for the edge: disk, processes. Its end comes back as ``WorkDone(token)``.

    Pieces with the same ``lane`` run one after the other in the order given.
    """

    token: object
    task: Any
    lane: int = 0


@dataclass(frozen=True, slots=True)
class Note:
    """A line for the process's log: what happened, and to what."""

    text: str


Action: TypeAlias = Reply | Send | Hangup | Work | Note


@dataclass(slots=True)
class Decision:
    """What a core with a log decided: commands to make durable, actions to hold until then."""

    commands: list[Any] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
