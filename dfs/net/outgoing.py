"""Links that this process opens to others: from the first message to the last.

::

    DIALING --connected--> GREETING --Welcome--> OPEN
       | next endpoint        | refused, silent    | broken, unused, too slow
       v                      v                    v
    LinkLost               LinkLost             LinkLost

There is at most one link to a peer. Messages wait until the Welcome; a link that is
not open after ``FIRST_CONTACT_NS`` is lost, whichever endpoints are left. A lost link
is gone with all that waited on it; the next message to the peer makes a new one.
``HelloFirst`` from the peer ends the link and begins a new one on the same line.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from dfs.errors import NotSupported, Refused, Unavailable
from dfs.events import Peer, Role
from dfs.limits import (
    FIRST_CONTACT_NS,
    LINGER_NS,
    LINK_IDLE_NS,
    OUTGOING_LINKS_MAX,
    WAITING_MESSAGES_MAX,
)
from dfs.net.handshake import Handshake
from dfs.net.links import BROKE, TOO_SLOW, UNUSED, Clock, Frames, Inbox, Line, News
from dfs.security.keys import without_key
from dfs.wire.codec import Frame, encode
from dfs.wire.common import Failed, HelloFirst, Welcome

_KEEP_UNUSED_NS = LINK_IDLE_NS * 4 // 5
"""Our side ends an unused link first, so that the peer need not answer HelloFirst."""


_NO_PROOF = "{} does not prove the key that it is known by, or wants one from us"


class State(Enum):
    """How far an outgoing link is."""

    DIALING = "dialing"
    GREETING = "greeting"
    OPEN = "open"
    ENDED = "ended"


@dataclass(slots=True, eq=False)
class Outgoing:
    """A link that we open. ``waiting`` are the messages for after the Welcome."""

    number: int
    peer: Peer
    endpoints: tuple[str, ...]
    give_up_ns: int
    used_ns: int
    attempt: int = 0
    reached: bool = False
    state: State = State.DIALING
    line: Line | None = None
    waiting: deque[Frames] = field(default_factory=deque)

    @property
    def endpoint(self) -> str:
        """The endpoint that is tried or in use."""
        return self.endpoints[self.attempt]

    def send(self, frames: Frames) -> bool:
        """Send on the line; False when its queue is full."""
        assert self.line is not None, f"link {self.number} to {self.peer} is {self.state}"
        return self.line.send(frames)


class OutgoingLinks:
    """``dial`` opens a line to a link's endpoint, or raises ``Unavailable`` or ``Refused``."""

    def __init__(
        self, handshake: Handshake, inbox: Inbox, dial: Callable[[Outgoing], Line], clock: Clock
    ) -> None:
        self._handshake = handshake
        self._inbox = inbox
        self._dial = dial
        self._clock = clock
        self._by_peer: dict[Peer, Outgoing] = {}
        self._by_number: dict[int, Outgoing] = {}

    def __iter__(self) -> Iterator[Outgoing]:
        return iter(list(self._by_peer.values()))

    def to(self, peer: Peer) -> Outgoing | None:
        """The link to a peer."""
        return self._by_peer.get(peer)

    def of_number(self, number: int) -> Outgoing | None:
        """The link with this number."""
        return self._by_number.get(number)

    def open(self, peer: Peer, endpoints: tuple[str, ...], frames: Frames) -> None:
        """Connect to a peer and send the first message."""
        number, now_ns = self._inbox.new_number(), self._clock()
        if not endpoints:
            self._inbox.lose(peer, number, "it is not connected")
        elif len(self._by_peer) >= OUTGOING_LINKS_MAX:
            self._inbox.lose(peer, number, "too many connections are open")
        else:
            link = Outgoing(number, peer, endpoints, now_ns + FIRST_CONTACT_NS, now_ns)
            link.waiting.append(frames)
            self._by_peer[peer] = self._by_number[number] = link
            self._connect(link)

    def send(self, link: Outgoing, frames: Frames) -> None:
        """Send now, or when the link is open."""
        link.used_ns = self._clock()
        if link.state is not State.OPEN:
            if len(link.waiting) < WAITING_MESSAGES_MAX:
                link.waiting.append(frames)
            else:
                self.lose(link, TOO_SLOW)
        elif not link.send(frames):
            self._inbox.counts["links lost to a full queue"] += 1
            self.lose(link, TOO_SLOW)

    def hangup(self, link: Outgoing) -> None:
        """End a link that is no longer wanted, without a word."""
        self._end(link, LINGER_NS)

    def lose(self, link: Outgoing, reason: str, refused: bool = False) -> None:
        """End a link and report it."""
        if link.state is not State.ENDED:
            self._end(link, 0)
            self._inbox.lose(link.peer, link.number, reason, refused)

    def check(self, now_ns: int) -> int | None:
        """End the links that are overdue; when to look again, None if only for unused ones."""
        for link in self:
            if link.state is not State.OPEN and now_ns >= link.give_up_ns:
                self.lose(link, _silence(link))
            elif link.state is State.OPEN and now_ns >= link.used_ns + _KEEP_UNUSED_NS:
                self.lose(link, UNUSED)
        return min((x.give_up_ns for x in self if x.state is not State.OPEN), default=None)

    # -- what the line tells

    def on_news(self, link: Outgoing) -> None:
        """The line was connected or has ended."""
        while link.line is not None and (news := link.line.news()) is not None:
            if news is News.REACHED:
                link.reached = True
            elif news is News.CONNECTED:
                self._greet(link)
            elif news is News.UNWELCOME:
                self._turned_away(link)
            elif link.state is State.DIALING:
                self._next(link)
            else:
                self.on_messages(link)  # what came before the end still counts
                self.lose(link, BROKE)

    def on_messages(self, link: Outgoing) -> None:
        """Messages arrived."""
        while link.line is not None and self._inbox.has_room:
            parts = link.line.receive()
            if parts is None:
                return
            link.used_ns = self._clock()
            frame = self._inbox.decode(parts)
            if isinstance(frame, Frame):
                self._take(link, frame)
            elif isinstance(frame.error, NotSupported):
                link.send(frame.answer)
            else:
                self.lose(link, f"it broke the protocol: {frame.error.message}")

    # -- inside

    def _turned_away(self, link: Outgoing) -> None:
        """The namenode knows all members; others may not have heard of a new one yet."""
        reason = (
            f"{link.peer.name} at {_address(link)} does not know our key: it was never"
            " enrolled in this cluster, or revoked"
        )
        self.lose(link, reason, refused=link.peer.role is Role.NAMENODE)

    def _next(self, link: Outgoing) -> None:
        """The endpoint in use is no good: try the next."""
        assert link.line is not None, f"link {link.number} to {link.peer} has no line"
        link.line.close(0)
        link.line = None
        link.attempt += 1
        reason = _NO_PROOF.format(_address(link, -1)) if link.reached else ""
        link.reached = False
        self._connect(link, reason)

    def _connect(self, link: Outgoing, reason: str = "") -> None:
        """Dial the current endpoint, or the first one after it that can be dialled.

        ``reason`` is what was wrong with the one before.
        """
        refused = False
        while link.attempt < len(link.endpoints):
            try:
                link.line = self._dial(link)
                return
            except (Unavailable, Refused) as error:
                reason, refused = error.message, isinstance(error, Refused)
                link.attempt += 1
        everywhere = ", ".join(without_key(endpoint) for endpoint in link.endpoints)
        self.lose(link, reason or f"nobody listens at {everywhere}", refused)

    def _greet(self, link: Outgoing) -> None:
        link.state = State.GREETING
        link.send(encode(self._handshake.hello()))

    def _take(self, link: Outgoing, frame: Frame) -> None:
        match frame.message:
            case HelloFirst():
                if link.state is State.OPEN:
                    self._greet_again(link)
            case Welcome():
                if link.state is State.GREETING:
                    self._welcomed(link, frame.message)
            case Failed() if link.state is State.GREETING:
                self.lose(link, frame.message.text, refused=True)
            case _ if link.state is State.OPEN:
                self._inbox.deliver(link.peer, link.number, frame)
            case _:
                self._inbox.counts["messages before the handshake"] += 1

    def _welcomed(self, link: Outgoing, welcome: Welcome) -> None:
        try:
            self._handshake.check(welcome, link.peer, _address(link))
        except Refused as error:
            self.lose(link, error.message, refused=True)
            return
        link.state = State.OPEN
        while link.waiting and link.state is State.OPEN:
            self.send(link, link.waiting.popleft())

    def _greet_again(self, link: Outgoing) -> None:
        """The peer does not know this link: end it, and begin a new one on its line."""
        reason = "it has restarted or forgotten this connection"
        self._inbox.lose(link.peer, link.number, reason)
        del self._by_number[link.number]
        link.number = self._inbox.new_number()
        self._by_number[link.number] = link
        link.give_up_ns = self._clock() + FIRST_CONTACT_NS
        self._greet(link)

    def _end(self, link: Outgoing, linger_ns: int) -> None:
        del self._by_peer[link.peer]
        del self._by_number[link.number]
        link.state = State.ENDED
        if link.line is not None:
            link.line.close(linger_ns)
            link.line = None


def _silence(link: Outgoing) -> str:
    """Why a link that is not open is given up."""
    if link.reached and link.state is State.DIALING:
        return _NO_PROOF.format(_address(link))
    return f"no answer at {_address(link)}"


def _address(link: Outgoing, before: int = 0) -> str:
    """The endpoint in use, or the one ``before`` it, without its key."""
    return without_key(link.endpoints[link.attempt + before])
