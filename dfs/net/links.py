"""What is common to the links of one process: their numbers, and what they hand to the step.

A link number is given to each connection in either direction, never twice in a
process. A connection that has to say Hello again gets a new number, because what
was asked under the old one will not be answered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, Protocol, TypeAlias

from dfs.errors import NotSupported, ProtocolError
from dfs.events import Event, LinkLost, Origin, Peer, Received
from dfs.limits import STEP_MAX_EVENTS, STEP_MAX_PAYLOAD_BYTES
from dfs.wire.codec import HEADER_BYTES, Frame, decode, encode, request_of
from dfs.wire.common import Failed

Frames: TypeAlias = list[Any]
Clock: TypeAlias = Callable[[], int]

TOO_SLOW = "it does not take its messages"
BROKE = "the connection broke"
UNUSED = "it was unused for a long time"


class News(Enum):
    """What became of a line."""

    REACHED = "something listens there"
    CONNECTED = "both sides have the right keys, where keys are used"
    UNWELCOME = "our key is not a member's"
    ENDED = "it could not be connected, or has ended"


class Line(Protocol):
    """The connection under an outgoing link."""

    def send(self, frames: Frames) -> bool:
        """Send one message; False when the queue is full."""

    def receive(self) -> Sequence[bytes | memoryview] | None:
        """The frames of the next message, None when there is none."""

    def news(self) -> News | None:
        """What became of it since this was asked; None: nothing changed."""

    def close(self, linger_ns: int) -> None:
        """Close it; what was sent gets ``linger_ns`` to leave."""


class Inbox:
    """What happened since the last poll, and the counters of one transport."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._events: list[Event] = []
        self._payload_bytes = 0
        self._last_number = 0

    def __len__(self) -> int:
        return len(self._events)

    @property
    def has_room(self) -> bool:
        """May one more message be handed to this step?"""
        room = len(self._events) < STEP_MAX_EVENTS
        return room and self._payload_bytes < STEP_MAX_PAYLOAD_BYTES

    def new_number(self) -> int:
        """A number for a new link."""
        self._last_number += 1
        return self._last_number

    def deliver(self, peer: Peer, number: int, frame: Frame) -> None:
        """A message arrived on a link."""
        self._payload_bytes += len(frame.payload)
        origin = Origin(peer, number, frame.request)
        self._events.append(Received(origin, frame.message, frame.payload))

    def lose(self, peer: Peer, number: int, reason: str, refused: bool = False) -> None:
        """A link has ended."""
        self._events.append(LinkLost(peer, number, reason, refused))

    def take(self) -> list[Event]:
        """Everything that happened, for the step."""
        events, self._events, self._payload_bytes = self._events, [], 0
        return events

    def decode(self, parts: Sequence[bytes | memoryview]) -> Frame | Undecodable:
        """The message in ``parts``, or what to answer to it."""
        try:
            return decode(parts)
        except (NotSupported, ProtocolError) as error:
            self.counts["undecodable messages"] += 1
            request = request_of([bytes(parts[0][:HEADER_BYTES])] if parts else [])
            return Undecodable(error, encode(Failed.of(error), request))


class Undecodable:
    """A message that could not be decoded: the error, and the frames that tell its sender."""

    def __init__(self, error: NotSupported | ProtocolError, answer: Frames) -> None:
        self.error = error
        self.answer = answer
