"""Messages between processes over ZeroMQ.

One ROUTER is bound to every endpoint of this process. Each peer that we speak to
first has a line of its own: a DEALER that never reconnects (``sockets``).

* The handshake happens here. A core sees messages of peers that were welcomed, and
  ``LinkLost``. What is sent before the Welcome waits; nothing is ever sent twice.
* **Loss is told at once.** A killed peer or a refused connection shows within
  milliseconds, in both directions.
* A peer that lets more than a thousand messages pile up breaks the application's
  own credits: its link is lost.
* Undecodable bytes are answered with ``Failed`` and counted; on a link that we
  opened they end it.
* **Keys.** With credentials, whoever comes over TCP proves by CURVE (ZeroMQ's RFC 26) that he has a
  member's key, and we connect only to whoever has the key that stands behind the endpoint. Within
  a socket file's folder, which only one user may enter, nobody has to prove anything. Before the
  first message is taken, a stranger's key and none at all are tried on each endpoint. Without
  credentials, endpoints that other machines can reach are refused.

All methods belong to one thread, except ``wake``. The rules of the links stand in
``outgoing`` and ``inbound``; here they meet the sockets.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from dfs.address import IPC
from dfs.endpoints import refuse_open
from dfs.errors import BadArgument, ProtocolError, Refused, Unavailable
from dfs.events import Event, Peer, Reply, Send
from dfs.limits import FIRST_CONTACT_NS, LINGER_NS, LINK_CHECK_NS
from dfs.net.handshake import Handshake
from dfs.net.inbound import InboundLinks, Source
from dfs.net.links import TOO_SLOW, Frames, Inbox, Line, News
from dfs.net.outgoing import Outgoing, OutgoingLinks
from dfs.net.sockets import Dealer, Message, Proof, Router, Sockets, is_file, make_key_pair
from dfs.security.credentials import Credentials
from dfs.security.keys import KeyPair, split_key
from dfs.security.members import NOBODY, Members
from dfs.wire.codec import encode
from dfs.wire.common import Failed


class ZmqTransport:
    """The links of process ``me`` of ``cluster``; see the module's text.

    ``bind`` are the endpoints to listen on, ``clock`` gives monotonic ns. Raises
    ``BadArgument`` for an endpoint that is refused, ``Unavailable`` for one in use.
    """

    def __init__(
        self,
        me: Peer,
        cluster: str,
        bind: tuple[str, ...] = (),
        credentials: Credentials | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._clock = clock
        self._credentials = credentials
        self._sockets = Sockets()
        self._inbox = Inbox()
        handshake = Handshake(me, cluster)
        self._out = OutgoingLinks(handshake, self._inbox, self._dial, clock)
        members = credentials.members if credentials is not None else Members()
        self._in = InboundLinks(handshake, self._inbox, self._answer, members, clock)
        self._check_at_ns = clock() + LINK_CHECK_NS
        self._woken = False
        self._wake_read, self.wake_fd = os.pipe()
        for descriptor in (self._wake_read, self.wake_fd):
            os.set_blocking(descriptor, False)
        self._sockets.watch(self._wake_read, self._on_wake)
        self.endpoints: tuple[str, ...] = ()
        try:
            if bind:
                self._listen(bind)
        except (BadArgument, Refused, Unavailable):
            self.close(0)
            raise

    @property
    def is_closed(self) -> bool:
        """Has ``close`` been called?"""
        return self._sockets.context.closed

    @property
    def counts(self) -> Counter[str]:
        """What should not happen and did, by its name."""
        return self._inbox.counts

    def send(self, action: Send) -> None:
        """Send to a peer, connecting if need be; a failure shows as ``LinkLost``."""
        frames = encode(action.message, action.request, action.payload)
        outgoing = self._out.to(action.to)
        inbound = self._in.newest(action.to)
        if outgoing is not None:
            self._out.send(outgoing, frames)
        elif inbound is not None:
            self._in.send(inbound, frames)
        else:
            self._out.open(action.to, action.endpoints, frames)
            self._check_at_ns = min(self._check_at_ns, self._clock() + FIRST_CONTACT_NS)

    def reply(self, action: Reply) -> None:
        """Answer on the link that the request came from; dropped when that is gone."""
        origin = action.origin
        try:
            frames = encode(action.message, origin.request, action.payload)
        except ProtocolError as error:
            frames = encode(Failed.of(error), origin.request)
        outgoing = self._out.of_number(origin.link)
        inbound = self._in.of_number(origin.link)
        if outgoing is not None:
            self._out.send(outgoing, frames)
        elif inbound is not None:
            self._in.send(inbound, frames)
        else:
            self.counts["replies to lost links"] += 1

    def hangup(self, peer: Peer) -> None:
        """Close our link to a peer, and forget the peer's own until it says Hello again."""
        outgoing = self._out.to(peer)
        if outgoing is not None:
            self._out.hangup(outgoing)
        self._in.forget(peer)

    def poll(self, timeout_ns: int | None = None) -> list[Event]:
        """Wait for something to happen, at most ``timeout_ns`` (None: for ever).

        May return early and empty-handed: after ``wake``, and when links had to be checked.
        """
        now_ns = self._clock()
        if now_ns >= self._check_at_ns:
            self._check_links(now_ns)
        wait_ns = 0 if self._inbox else self._check_at_ns - now_ns
        if timeout_ns is not None:
            wait_ns = min(wait_ns, max(0, timeout_ns))
        self._sockets.run(max(0, wait_ns))
        return self._inbox.take()

    def wake(self) -> None:
        """Let ``poll`` return now. May be called from any thread."""
        if not self._woken:
            self._woken = True
            with suppress(BlockingIOError):
                os.write(self.wake_fd, b"\0")

    def close(self, linger_ns: int = LINGER_NS) -> None:
        """Close every link; what was sent gets ``linger_ns`` to leave."""
        for link in self._out:
            self._out.hangup(link)
        self._sockets.close(linger_ns)
        for descriptor in (self._wake_read, self.wake_fd):
            os.close(descriptor)

    def _check_links(self, now_ns: int) -> None:
        self._in.check(now_ns)
        soonest_ns = self._out.check(now_ns)
        usual_ns = now_ns + LINK_CHECK_NS
        self._check_at_ns = usual_ns if soonest_ns is None else min(usual_ns, soonest_ns)

    def _on_wake(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._wake_read, 4096)
        self._woken = False

    def _dial(self, link: Outgoing) -> Line:
        """A new line to the link's endpoint."""
        try:
            address, key = split_key(link.endpoint)
        except BadArgument as error:
            raise Refused(error.message) from None
        own = self._credentials.pair if self._credentials is not None else None
        _check_dialled(address, key, own)
        proof = Proof(own, key) if own is not None and key is not None else None
        line = Dealer(self._sockets, address, proof)
        line.watch(partial(self._out.on_messages, link), partial(self._out.on_news, link))
        return line

    # -- the router

    def _listen(self, bind: tuple[str, ...]) -> None:
        credentials = self._credentials
        for endpoint in bind:
            refuse_open(endpoint, has_keys=credentials is not None)
        self._router = Router(self._sockets)
        files = [endpoint for endpoint in bind if endpoint.startswith(IPC)]
        bound = [self._router.bind(endpoint) for endpoint in files]
        addresses = [endpoint for endpoint in bind if endpoint not in files]
        if addresses and credentials is not None:
            self._router.demand_keys(credentials)
        bound += [self._router.bind(endpoint) for endpoint in addresses]
        self._sockets.watch(self._router.socket, self._on_router)
        self._sockets.watch(self._router.monitor, self._on_ends)
        self.endpoints = tuple(bound)
        if credentials is not None:
            for endpoint in bound[len(files) :]:
                self._try_strangers(endpoint, credentials.pair.public)

    def _try_strangers(self, endpoint: str, key: bytes) -> None:
        """Raise ``Refused`` if someone with no member's key, or without any, can connect."""
        for proof in (Proof(make_key_pair(), key), None):
            line = Dealer(self._sockets, endpoint, proof)
            found: list[News | None] = []
            line.watch(_nothing, partial(_note_news, line, found))
            give_up_ns = self._clock() + FIRST_CONTACT_NS
            while set(found) <= {News.REACHED} and self._clock() < give_up_ns:
                self._sockets.run(FIRST_CONTACT_NS)
            line.close(0)
            if News.CONNECTED in found:
                raise Refused(f"a stranger may connect to {endpoint}: this is a fault of minidfs")

    def _on_router(self) -> None:
        while self._inbox.has_room:
            message = self._router.receive()
            if message is None:
                return
            if not self._in.knows(message.identity):
                # A descriptor may be used again: first hear of the connection that had it.
                self._on_ends()
                key = self._proved_key(message)
            else:
                key = None
            source = Source(message.identity, message.descriptor, key)
            self._in.on_message(source, message.parts)

    def _proved_key(self, message: Message) -> bytes | None:
        """None where nobody has to prove anything: over a socket file, or without keys."""
        key = message.key()
        if key is None and self._credentials is not None and not is_file(message.descriptor):
            return NOBODY
        return key

    def _on_ends(self) -> None:
        while (descriptor := self._router.next_end()) is not None:
            self._in.on_disconnect(descriptor)

    def _answer(self, identity: bytes, frames: Frames) -> str:
        """Send to an inbound connection; why it failed, '' when it did not."""
        reason = self._router.send(identity, frames)
        if reason == TOO_SLOW:
            self.counts["links lost to a full queue"] += 1
        return reason


def _check_dialled(address: str, key: bytes | None, own: KeyPair | None) -> None:
    """Raise ``Refused`` unless an endpoint can be used with what is known."""
    if key is not None and own is None:
        raise Refused(
            f"{address} is reached with keys, and there are none here: 'minidfs join' makes them"
        )
    if key is None and own is not None and not address.startswith(IPC):
        raise Refused(f"it is not known which key {address} has: name it in cluster.toml")


def _nothing() -> None:
    """What is done with messages that a stranger gets: there are none."""


def _note_news(line: Dealer, found: list[News | None]) -> None:
    found.append(line.news())
