"""ZeroMQ sockets: a ROUTER that is bound, DEALERs that connect once; the only importer of ``zmq``.

A DEALER never connects again by itself, and each socket has a monitor: ZeroMQ names the
descriptor of a connection that broke, and of the one that a message came over, so loss is told
at once. Heartbeats find a silent network.

**Keys** (CURVE: ZeroMQ's RFC 26). What a ROUTER is told counts for the endpoints that it binds
from then on. So it binds its socket files first, whose folder only one user may enter and where
nobody has to prove anything; then keys are demanded, then it binds to addresses. ZeroMQ asks about
each key over a socket of ours, which is answered by whoever polls: no thread, and one answer
for the whole process (ZAP).
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import zmq
from zmq.utils import z85

from dfs.errors import Unavailable
from dfs.events import Payload
from dfs.limits import (
    FIRST_CONTACT_NS,
    LINGER_NS,
    MESSAGE_MAX_BYTES,
    MS_NS,
    OUTGOING_LINKS_MAX,
    SECOND_NS,
    SHARED_PAYLOAD_MIN_BYTES,
    SOCKET_QUEUE_MAX_MESSAGES,
)
from dfs.net.links import BROKE, TOO_SLOW, Frames, News
from dfs.security import zap
from dfs.security.credentials import Credentials
from dfs.security.keys import KeyPair, parse_key

_Socket: TypeAlias = "zmq.Socket[bytes]"

_HEARTBEAT_NS = 1 * SECOND_NS
_HEARTBEAT_LOST_NS = 3 * SECOND_NS
_BACKLOG = 1024
_ZAP_ENDPOINT = "inproc://zeromq.zap.01"
_MONITOR_NEWS = struct.Struct("=HI")
_NEWS = {
    int(zmq.Event.CONNECTED): News.REACHED,
    int(zmq.Event.HANDSHAKE_SUCCEEDED): News.CONNECTED,
    int(zmq.Event.HANDSHAKE_FAILED_AUTH): News.UNWELCOME,
    int(zmq.Event.HANDSHAKE_FAILED_PROTOCOL): News.ENDED,
    int(zmq.Event.HANDSHAKE_FAILED_NO_DETAIL): News.ENDED,
    int(zmq.Event.DISCONNECTED): News.ENDED,
    int(zmq.Event.CLOSED): News.ENDED,
}


def make_key_pair() -> KeyPair:
    """A new key pair."""
    public, secret = zmq.curve_keypair()
    return KeyPair(z85.decode(public), z85.decode(secret))


@dataclass(frozen=True, slots=True)
class Message:
    """What came over a ROUTER: from which connection, and its frames."""

    identity: bytes
    descriptor: int
    parts: list[bytes | memoryview]
    _sender: zmq.Frame

    def key(self) -> bytes | None:
        """The key that was proved on the connection; None on one that ZeroMQ asked nobody about."""
        try:
            return parse_key(str(self._sender.get("User-Id")))
        except zmq.ZMQError:
            return None


@dataclass(frozen=True, slots=True)
class Proof:
    """What to connect with where keys are demanded: our keys, and the one that is expected."""

    own: KeyPair
    server: bytes


class Sockets:
    """All sockets of a process, and what waits for them."""

    def __init__(self) -> None:
        self.context = zmq.Context()
        self.context.set(zmq.MAX_SOCKETS, 2 * OUTGOING_LINKS_MAX + 16)
        self._poller = zmq.Poller()
        self._handlers: dict[object, Callable[[], None]] = {}

    def watch(self, source: Any, handler: Callable[[], None]) -> None:
        """Call ``handler`` whenever ``source``, a socket or descriptor, is readable."""
        self._poller.register(source, zmq.POLLIN)
        self._handlers[source] = handler

    def forget(self, source: Any) -> None:
        """Look at ``source`` no more."""
        self._poller.unregister(source)
        del self._handlers[source]

    def run(self, wait_ns: int) -> None:
        """Wait, at most ``wait_ns``, and call the handlers of what is readable."""
        for source, _ in self._poller.poll(-(-wait_ns // MS_NS)):
            handler = self._handlers.get(source)
            if handler is not None:  # else an earlier handler of this round removed it
                handler()

    def close(self, linger_ns: int) -> None:
        """Close every socket; what was sent gets ``linger_ns`` to leave."""
        self.context.destroy(linger_ns // MS_NS)


class Router:
    """The socket that others connect to."""

    def __init__(self, sockets: Sockets) -> None:
        self._sockets = sockets
        self.socket = sockets.context.socket(zmq.ROUTER)
        _configure(self.socket)
        self.socket.router_mandatory = 1
        self.socket.backlog = _BACKLOG
        _send_heartbeats(self.socket)
        self.monitor = self.socket.get_monitor_socket(zmq.Event.DISCONNECTED)

    def bind(self, endpoint: str) -> str:
        """Listen; the endpoint as it is bound. Raises ``Unavailable``."""
        self.socket.ipv6 = "[" in endpoint  # else the last endpoint would be spelled as IPv6
        try:
            self.socket.bind(endpoint)
        except zmq.ZMQError as error:
            raise Unavailable(
                f"cannot listen at {endpoint}: {error.strerror}: stop the process that does, "
                "or choose another address"
            ) from None
        return _as_bound(self.socket.getsockopt_string(zmq.LAST_ENDPOINT))

    def demand_keys(self, credentials: Credentials) -> None:
        """What is bound from now on is for those who prove a member's key."""
        asked = self._sockets.context.socket(zmq.ROUTER)
        asked.bind(_ZAP_ENDPOINT)
        self._sockets.watch(asked, partial(_answer_all, asked, credentials))
        self.socket.curve_server = 1
        self.socket.curve_secretkey = credentials.pair.secret
        self.socket.zap_domain = zap.DOMAIN
        self.socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)

    def receive(self) -> Message | None:
        """The next message, None when there is none."""
        parts = _receive(self.socket)
        if parts is None:
            return None
        sender, *contents = parts
        return Message(sender.bytes, _descriptor_of(sender), _contents(contents), sender)

    def next_end(self) -> int | None:
        """The descriptor of the next connection that has ended; None when there is none."""
        return _next_news(self.monitor)[1] if self.monitor.poll(0) else None

    def send(self, identity: bytes, frames: Frames) -> str:
        """Send to a connection; why it failed, '' when it did not."""
        try:
            return "" if _send(self.socket, [identity, *frames]) else TOO_SLOW
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            return BROKE


class Dealer:
    """A line over a DEALER socket; see ``dfs.net.links.Line``."""

    def __init__(self, sockets: Sockets, endpoint: str, proof: Proof | None) -> None:
        self._sockets = sockets
        self.socket = sockets.context.socket(zmq.DEALER)
        _configure(self.socket)
        self.socket.immediate = 1
        self.socket.reconnect_ivl = -1
        self.socket.ipv6 = True
        if not endpoint.startswith("ipc://"):
            _send_heartbeats(self.socket)
        if proof is not None:
            self.socket.curve_serverkey = proof.server
            self.socket.curve_publickey = proof.own.public
            self.socket.curve_secretkey = proof.own.secret
        self.monitor = self.socket.get_monitor_socket(sum(_NEWS))
        try:
            self.socket.connect(endpoint)
        except zmq.ZMQError as error:
            self._close_sockets(0)
            raise Unavailable(f"{endpoint} cannot be used: {error.strerror}") from None

    def watch(self, on_messages: Callable[[], None], on_news: Callable[[], None]) -> None:
        """Whom to call when there are messages or news."""
        self._sockets.watch(self.socket, on_messages)
        self._sockets.watch(self.monitor, on_news)

    def send(self, frames: Frames) -> bool:
        return _send(self.socket, frames)

    def receive(self) -> list[bytes | memoryview] | None:
        parts = _receive(self.socket)
        return None if parts is None else _contents(parts)

    def news(self) -> News | None:
        return _NEWS[_next_news(self.monitor)[0]] if self.monitor.poll(0) else None

    def close(self, linger_ns: int) -> None:
        self._sockets.forget(self.socket)
        self._sockets.forget(self.monitor)
        self._close_sockets(linger_ns)

    def _close_sockets(self, linger_ns: int) -> None:
        self.socket.disable_monitor()
        self.monitor.close(linger=0)
        self.socket.close(linger=linger_ns // MS_NS)


def _answer_all(asked: _Socket, credentials: Credentials) -> None:
    """Answer what ZeroMQ asks about keys."""
    while asked.poll(0):
        asked.send_multipart(zap.answer(credentials.members, asked.recv_multipart()))


def _next_news(monitor: _Socket) -> tuple[int, int]:
    """The event and value of a monitor's message; its second frame names the endpoint."""
    event, value = _MONITOR_NEWS.unpack(monitor.recv_multipart(zmq.DONTWAIT)[0])
    return event, value


def _as_bound(endpoint: str) -> str:
    """An IPv4 address as people write it; sockets that speak both name it as part of IPv6."""
    return endpoint.replace("[::ffff:127.0.0.1]", "127.0.0.1")


def _configure(made: _Socket) -> None:
    made.linger = LINGER_NS // MS_NS
    made.sndhwm = made.rcvhwm = SOCKET_QUEUE_MAX_MESSAGES
    made.maxmsgsize = MESSAGE_MAX_BYTES
    made.handshake_ivl = FIRST_CONTACT_NS // MS_NS
    made.copy_threshold = SHARED_PAYLOAD_MIN_BYTES


def _send_heartbeats(made: _Socket) -> None:
    made.heartbeat_ivl = _HEARTBEAT_NS // MS_NS
    made.heartbeat_timeout = made.heartbeat_ttl = _HEARTBEAT_LOST_NS // MS_NS


def _send(to: _Socket, frames: Frames) -> bool:
    """Send one message; False when the queue of its receiver is full."""
    share = len(frames[-1]) >= SHARED_PAYLOAD_MIN_BYTES and _is_immutable(frames[-1])
    try:
        to.send_multipart(frames, zmq.DONTWAIT, copy=not share)
    except zmq.Again:
        return False
    return True


def _is_immutable(payload: Payload) -> bool:
    return isinstance(payload, bytes) or payload.readonly


def _receive(from_: _Socket) -> list[zmq.Frame] | None:
    """The frames of the next message, None when there is none."""
    try:
        return from_.recv_multipart(zmq.DONTWAIT, copy=False)
    except zmq.Again:
        return None


def _descriptor_of(sender: zmq.Frame) -> int:
    """The file descriptor that a message came over, -1 when ZeroMQ cannot tell."""
    try:
        return int(sender.get(zmq.MessageOption.SRCFD))
    except zmq.ZMQError:  # of strangers that speak the oldest protocol, or none
        return -1


def is_file(descriptor: int) -> bool:
    """Does this connection come over a socket file?"""
    try:
        with socket.socket(fileno=os.dup(descriptor)) as connection:
            return connection.family == socket.AF_UNIX
    except OSError:  # it has ended
        return False


def _contents(parts: list[zmq.Frame]) -> list[bytes | memoryview]:
    """The bytes of the head, and views of what follows, which stay valid with the view."""
    return [*(part.bytes for part in parts[:1]), *(p.buffer.toreadonly() for p in parts[1:])]
