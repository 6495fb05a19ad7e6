"""Messages between processes over ZeroMQ; the only module that imports ``zmq``.

One ROUTER is bound to every endpoint of this process. Each peer that we speak to
first has a line of its own: a DEALER that never reconnects, and its monitor.

* The handshake happens here. A core sees messages of peers that were welcomed, and
  ``LinkLost``. What is sent before the Welcome waits; nothing is ever sent twice.
* **Loss is told at once.** The monitors show a killed peer or a refused connection
  within milliseconds, in both directions: ZeroMQ names the descriptor of a broken
  connection and of the one that a Hello came over. Heartbeats find a silent network.
* A peer that lets more than a thousand messages pile up breaks the application's
  own credits: its link is lost.
* Undecodable bytes are answered with ``Failed`` and counted; on a link that we
  opened they end it.

Until there are keys, endpoints that other machines or users can reach are refused.
All methods belong to one thread, except ``wake``. The rules of the links stand in
``outgoing`` and ``inbound``; here are the sockets.
"""

from __future__ import annotations

import os
import struct
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeAlias

import zmq

from dfs.endpoints import refuse_open
from dfs.errors import BadArgument, ProtocolError, Unavailable
from dfs.events import Event, Payload, Peer, Reply, Send
from dfs.limits import (
    FIRST_CONTACT_NS,
    LINGER_NS,
    LINK_CHECK_NS,
    MESSAGE_MAX_BYTES,
    MS_NS,
    OUTGOING_LINKS_MAX,
    SECOND_NS,
    SHARED_PAYLOAD_MIN_BYTES,
    SOCKET_QUEUE_MAX_MESSAGES,
)
from dfs.net.handshake import Handshake
from dfs.net.inbound import InboundLinks
from dfs.net.links import BROKE, TOO_SLOW, Frames, Inbox, Line
from dfs.net.outgoing import Outgoing, OutgoingLinks
from dfs.wire.codec import encode
from dfs.wire.common import Failed

_Socket: TypeAlias = "zmq.Socket[bytes]"

_HEARTBEAT_NS = 1 * SECOND_NS
_HEARTBEAT_LOST_NS = 3 * SECOND_NS
_BACKLOG = 1024
_MONITOR_NEWS = struct.Struct("=HI")
_CONNECTED = zmq.Event.HANDSHAKE_SUCCEEDED
_ENDED = (
    zmq.Event.DISCONNECTED
    | zmq.Event.CLOSED
    | zmq.Event.HANDSHAKE_FAILED_NO_DETAIL
    | zmq.Event.HANDSHAKE_FAILED_PROTOCOL
    | zmq.Event.HANDSHAKE_FAILED_AUTH
)


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
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._clock = clock
        self._context = zmq.Context()
        self._context.set(zmq.MAX_SOCKETS, 2 * OUTGOING_LINKS_MAX + 16)
        self._poller = _Poller()
        self._inbox = Inbox()
        handshake = Handshake(me, cluster)
        self._out = OutgoingLinks(handshake, self._inbox, self._dial, clock)
        self._in = InboundLinks(handshake, self._inbox, self._answer, clock)
        self._check_at_ns = clock() + LINK_CHECK_NS
        self._woken = False
        self._wake_read, self.wake_fd = os.pipe()
        for descriptor in (self._wake_read, self.wake_fd):
            os.set_blocking(descriptor, False)
        self._poller.add(self._wake_read, self._on_wake)
        self.endpoints: tuple[str, ...] = ()
        try:
            if bind:
                self._listen(bind)
        except (BadArgument, Unavailable):
            self.close(0)
            raise

    @property
    def is_closed(self) -> bool:
        """Has ``close`` been called?"""
        return self._context.closed

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
        self._poller.run(max(0, wait_ns))
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
        self._context.destroy(linger_ns // MS_NS)
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
        line = _Dealer(self._context, self._poller, link.endpoint)
        self._poller.add(line.socket, partial(self._out.on_messages, link))
        self._poller.add(line.monitor, partial(self._out.on_news, link))
        return line

    # -- the router

    def _listen(self, bind: tuple[str, ...]) -> None:
        router = self._router = self._context.socket(zmq.ROUTER)
        _configure(router)
        router.router_mandatory = 1
        router.backlog = _BACKLOG
        _send_heartbeats(router)
        self._router_monitor = router.get_monitor_socket(zmq.Event.DISCONNECTED)
        found = []
        for endpoint in bind:
            refuse_open(endpoint)
            router.ipv6 = "[" in endpoint  # else the last endpoint would be spelled as IPv6
            try:
                router.bind(endpoint)
            except zmq.ZMQError as error:
                raise Unavailable(
                    f"cannot listen at {endpoint}: {error.strerror}: stop the process that does, "
                    "or choose another address"
                ) from None
            found.append(_as_bound(router.getsockopt_string(zmq.LAST_ENDPOINT)))
        self.endpoints = tuple(found)
        self._poller.add(router, self._on_router)
        self._poller.add(self._router_monitor, self._on_router_monitor)

    def _on_router(self) -> None:
        while self._inbox.has_room:
            parts = _receive(self._router)
            if parts is None:
                return
            identity = parts[0].bytes
            if not self._in.knows(identity):
                # A descriptor may be used again: first hear of the connection that had it.
                self._on_router_monitor()
            self._in.on_message(identity, _descriptor(parts[0]), _contents(parts[1:]))

    def _on_router_monitor(self) -> None:
        while self._router_monitor.poll(0):
            self._in.on_disconnect(_next_news(self._router_monitor)[1])

    def _answer(self, identity: bytes, frames: Frames) -> str:
        """Send to an inbound connection; why it failed, '' when it did not."""
        try:
            if _send(self._router, [identity, *frames]):
                return ""
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            return BROKE
        self.counts["links lost to a full queue"] += 1
        return TOO_SLOW


class _Poller:
    """Waits for sockets and descriptors and calls the handler of each that is readable."""

    def __init__(self) -> None:
        self._poller = zmq.Poller()
        self._handlers: dict[object, Callable[[], None]] = {}

    def add(self, source: Any, handler: Callable[[], None]) -> None:
        self._poller.register(source, zmq.POLLIN)
        self._handlers[source] = handler

    def remove(self, source: Any) -> None:
        self._poller.unregister(source)
        del self._handlers[source]

    def run(self, wait_ns: int) -> None:
        for source, _ in self._poller.poll(-(-wait_ns // MS_NS)):
            handler = self._handlers.get(source)
            if handler is not None:  # else an earlier handler of this round removed it
                handler()


class _Dealer:
    """A line over a DEALER socket; see ``dfs.net.links.Line``."""

    def __init__(self, context: zmq.Context[_Socket], poller: _Poller, endpoint: str) -> None:
        self._poller = poller
        self.socket = context.socket(zmq.DEALER)
        _configure(self.socket)
        self.socket.immediate = 1
        self.socket.reconnect_ivl = -1
        self.socket.ipv6 = True
        if not endpoint.startswith("ipc://"):
            _send_heartbeats(self.socket)
        self.monitor = self.socket.get_monitor_socket(_CONNECTED | _ENDED)
        try:
            self.socket.connect(endpoint)
        except zmq.ZMQError as error:
            self._close_sockets(0)
            raise Unavailable(f"{endpoint} cannot be used: {error.strerror}") from None

    def send(self, frames: Frames) -> bool:
        return _send(self.socket, frames)

    def receive(self) -> list[bytes | memoryview] | None:
        parts = _receive(self.socket)
        return None if parts is None else _contents(parts)

    def has_news(self) -> bool | None:
        if not self.monitor.poll(0):
            return None
        return _next_news(self.monitor)[0] == _CONNECTED

    def close(self, linger_ns: int) -> None:
        self._poller.remove(self.socket)
        self._poller.remove(self.monitor)
        self._close_sockets(linger_ns)

    def _close_sockets(self, linger_ns: int) -> None:
        self.socket.disable_monitor()
        self.monitor.close(linger=0)
        self.socket.close(linger=linger_ns // MS_NS)


def _next_news(monitor: _Socket) -> tuple[int, int]:
    """The event and value of a monitor's message; its second frame names the endpoint."""
    event, value = _MONITOR_NEWS.unpack(monitor.recv_multipart(zmq.DONTWAIT)[0])
    return event, value


def _as_bound(endpoint: str) -> str:
    """An IPv4 address as people write it; sockets that speak both name it as part of IPv6."""
    return endpoint.replace("[::ffff:127.0.0.1]", "127.0.0.1")


def _configure(socket: _Socket) -> None:
    socket.linger = LINGER_NS // MS_NS
    socket.sndhwm = socket.rcvhwm = SOCKET_QUEUE_MAX_MESSAGES
    socket.maxmsgsize = MESSAGE_MAX_BYTES
    socket.handshake_ivl = FIRST_CONTACT_NS // MS_NS
    socket.copy_threshold = SHARED_PAYLOAD_MIN_BYTES


def _send_heartbeats(socket: _Socket) -> None:
    socket.heartbeat_ivl = _HEARTBEAT_NS // MS_NS
    socket.heartbeat_timeout = socket.heartbeat_ttl = _HEARTBEAT_LOST_NS // MS_NS


def _send(socket: _Socket, frames: Frames) -> bool:
    """Send one message; False when the queue of its receiver is full."""
    share = len(frames[-1]) >= SHARED_PAYLOAD_MIN_BYTES and _is_immutable(frames[-1])
    try:
        socket.send_multipart(frames, zmq.DONTWAIT, copy=not share)
    except zmq.Again:
        return False
    return True


def _is_immutable(payload: Payload) -> bool:
    return isinstance(payload, bytes) or payload.readonly


def _receive(socket: _Socket) -> list[zmq.Frame] | None:
    """The frames of the next message, None when there is none."""
    try:
        return socket.recv_multipart(zmq.DONTWAIT, copy=False)
    except zmq.Again:
        return None


def _descriptor(sender: zmq.Frame) -> int:
    """The file descriptor that a message came over, -1 when ZeroMQ cannot tell."""
    try:
        return int(sender.get(zmq.MessageOption.SRCFD))
    except zmq.ZMQError:  # of strangers that speak the oldest protocol, or none
        return -1


def _contents(parts: list[zmq.Frame]) -> list[bytes | memoryview]:
    """The bytes of the head, and views of what follows, which stay valid with the view."""
    return [*(part.bytes for part in parts[:1]), *(p.buffer.toreadonly() for p in parts[1:])]
