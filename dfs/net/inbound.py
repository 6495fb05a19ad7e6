"""Links that others open to this process: known from their Hello on, until they end.

A connection is found by its *identity*, which the socket gives it, and, when it ends,
by its *descriptor*, which is what the kernel calls it. A connection without a link is
told HelloFirst whatever it says. A link whose key was revoked ends with the next message
that comes over it. At most ``LINKS_MAX`` links exist; one on which
nothing moves for ``LINK_IDLE_NS`` is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dfs.errors import Refused, Unavailable
from dfs.events import Peer
from dfs.limits import LINK_IDLE_NS, LINKS_MAX
from dfs.net.handshake import Handshake
from dfs.net.links import BROKE, UNUSED, Clock, Frames, Inbox, Undecodable
from dfs.security.members import Members
from dfs.wire.codec import encode
from dfs.wire.common import Failed, Hello, HelloFirst


class Source(NamedTuple):
    """The connection that a message came over.

    ``key`` is the one that was proved on it, None where none is needed; it matters for the first
    message alone.
    """

    identity: bytes
    descriptor: int
    key: bytes | None = None


@dataclass(slots=True, eq=False)
class Inbound:
    """A connection that a peer opened and said Hello on."""

    number: int
    peer: Peer
    identity: bytes
    descriptor: int
    key: bytes | None
    used_ns: int
    members_version: int


class InboundLinks:
    """``answer`` sends frames to an identity: '' when it did, else why it could not."""

    def __init__(
        self,
        handshake: Handshake,
        inbox: Inbox,
        answer: Callable[[bytes, Frames], str],
        members: Members,
        clock: Clock,
    ) -> None:
        self._handshake = handshake
        self._inbox = inbox
        self._answer = answer
        self._members = members
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

    def on_message(self, source: Source, parts: Sequence[bytes | memoryview]) -> None:
        """A message arrived on some connection."""
        frame = self._inbox.decode(parts)
        link = self._by_identity.get(source.identity)
        if isinstance(frame, Undecodable):
            self._answer(source.identity, frame.answer)
        elif isinstance(frame.message, Hello):
            self._accept(source, frame.message)
        elif link is None:
            self._answer(source.identity, encode(HelloFirst(), frame.request))
        elif self._is_revoked(link):
            error = Refused(f"the key of {link.peer.name} ({link.peer.role}) was revoked")
            self._answer(source.identity, encode(Failed.of(error), frame.request))
            self._lose(link, error.message)
        else:
            link.used_ns = self._clock()
            self._inbox.deliver(link.peer, link.number, frame)

    def on_disconnect(self, descriptor: int) -> None:
        """A connection has ended."""
        link = self._by_descriptor.get(descriptor)
        if link is not None:
            self._lose(link, BROKE)

    def _accept(self, source: Source, hello: Hello) -> None:
        known = self._by_identity.get(source.identity)
        if known is not None:
            source = source._replace(key=known.key)
        try:
            peer, welcome = self._handshake.accept(hello, self._member(source))
            if len(self._by_identity) >= LINKS_MAX:
                raise Unavailable("too many connections are open here: try again later")
        except (Refused, Unavailable) as error:
            self._answer(source.identity, encode(Failed.of(error)))
            return
        if known is not None and known.peer != peer:
            self._lose(known, "it has become another process")
            known = None
        if known is None:
            number, now_ns = self._inbox.new_number(), self._clock()
            self._add(Inbound(number, peer, *source, now_ns, self._members.version))
        self._answer(source.identity, encode(welcome))

    def _member(self, source: Source) -> Peer | None:
        """Whose key was proved; None where none is needed."""
        if source.key is None:
            return None
        member = self._members.find(source.key)
        if member is None:
            raise Refused("this key is not a member's, or was revoked")
        return member

    def _is_revoked(self, link: Inbound) -> bool:
        """Has the link's key become nobody's? Looked up when the members have changed."""
        if link.key is None or link.members_version == self._members.version:
            return False
        link.members_version = self._members.version
        return self._members.find(link.key) != link.peer

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
