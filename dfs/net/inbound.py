"""Links that others open to this process: known from their Hello on, until they end.

A connection is found by its *identity*, which the socket gives it, and, when it ends,
by its *descriptor*, which is what the kernel calls it. A connection without a link is
told HelloFirst whatever it says. At most ``LINKS_MAX`` links exist; one on which
nothing moves for ``LINK_IDLE_NS`` is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dfs.errors import Refused, Unavailable
from dfs.events import Peer
from dfs.limits import LINK_IDLE_NS, LINKS_MAX
from dfs.net.handshake import Handshake
from dfs.net.links import BROKE, UNUSED, Clock, Frames, Inbox, Undecodable
from dfs.wire.codec import encode
from dfs.wire.common import Failed, Hello, HelloFirst


@dataclass(slots=True, eq=False)
class Inbound:
    """A connection that a peer opened and said Hello on."""

    number: int
    peer: Peer
    identity: bytes
    descriptor: int
    used_ns: int


class InboundLinks:
    """``answer`` sends frames to an identity: '' when it did, else why it could not."""

    def __init__(
        self,
        handshake: Handshake,
        inbox: Inbox,
        answer: Callable[[bytes, Frames], str],
        clock: Clock,
    ) -> None:
        self._handshake = handshake
        self._inbox = inbox
        self._answer = answer
        self._clock = clock
        self._by_identity: dict[bytes, Inbound] = {}
        self._by_number: dict[int, Inbound] = {}
        self._by_descriptor: dict[int, Inbound] = {}
        self._by_peer: dict[Peer, dict[int, Inbound]] = {}

    def __len__(self) -> int:
        return len(self._by_identity)

    def knows(self, identity: bytes) -> bool:
        """Has this connection said Hello?"""
        return identity in self._by_identity

    def newest(self, peer: Peer) -> Inbound | None:
        """The link that a peer opened last."""
        links = self._by_peer.get(peer)
        return links[next(reversed(links))] if links else None

    def of_number(self, number: int) -> Inbound | None:
        """The link with this number."""
        return self._by_number.get(number)

    def send(self, link: Inbound, frames: Frames) -> None:
        """Send to a peer; a failure ends the link."""
        link.used_ns = self._clock()
        reason = self._answer(link.identity, frames)
        if reason:
            self._lose(link, reason)

    def forget(self, peer: Peer) -> None:
        """Forget all links of a peer, which has to say Hello again."""
        for link in list(self._by_peer.get(peer, {}).values()):
            self._remove(link)

    def check(self, now_ns: int) -> None:
        """End the links that are unused."""
        for link in list(self._by_identity.values()):
            if now_ns >= link.used_ns + LINK_IDLE_NS:
                self._lose(link, UNUSED)

    def on_message(
        self, identity: bytes, descriptor: int, parts: Sequence[bytes | memoryview]
    ) -> None:
        """A message arrived on some connection."""
        frame = self._inbox.decode(parts)
        link = self._by_identity.get(identity)
        if isinstance(frame, Undecodable):
            self._answer(identity, frame.answer)
        elif isinstance(frame.message, Hello):
            self._accept(identity, descriptor, frame.message)
        elif link is None:
            self._answer(identity, encode(HelloFirst(), frame.request))
        else:
            link.used_ns = self._clock()
            self._inbox.deliver(link.peer, link.number, frame)

    def on_disconnect(self, descriptor: int) -> None:
        """A connection has ended."""
        link = self._by_descriptor.get(descriptor)
        if link is not None:
            self._lose(link, BROKE)

    def _accept(self, identity: bytes, descriptor: int, hello: Hello) -> None:
        try:
            peer, welcome = self._handshake.accept(hello)
            if len(self._by_identity) >= LINKS_MAX:
                raise Unavailable("too many connections are open here: try again later")
        except (Refused, Unavailable) as error:
            self._answer(identity, encode(Failed.of(error)))
            return
        known = self._by_identity.get(identity)
        if known is not None and known.peer != peer:
            self._lose(known, "it has become another process")
            known = None
        if known is None:
            self._add(Inbound(self._inbox.new_number(), peer, identity, descriptor, self._clock()))
        self._answer(identity, encode(welcome))

    def _lose(self, link: Inbound, reason: str) -> None:
        self._remove(link)
        self._inbox.lose(link.peer, link.number, reason)

    def _add(self, link: Inbound) -> None:
        self._by_identity[link.identity] = link
        self._by_number[link.number] = link
        self._by_descriptor[link.descriptor] = link
        self._by_peer.setdefault(link.peer, {})[link.number] = link

    def _remove(self, link: Inbound) -> None:
        del self._by_identity[link.identity]
        del self._by_number[link.number]
        if self._by_descriptor.get(link.descriptor) is link:
            del self._by_descriptor[link.descriptor]
        siblings = self._by_peer[link.peer]
        del siblings[link.number]
        if not siblings:
            del self._by_peer[link.peer]
