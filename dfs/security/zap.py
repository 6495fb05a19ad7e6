"""Answers to ZeroMQ's question whether a key may connect (ZAP, RFC 27 of ZeroMQ).

ZeroMQ asks in the middle of each CURVE handshake, over a socket within the process::

    request   link, "", version, request id, domain, peer's address, identity, mechanism, key
    reply     link, "", version, request id, code, text, user id, metadata

The user id, here the key's text, stands at each message of the connection, so the handshake of
minidfs learns from it who it is. Whatever is not exactly a member's key is refused.
"""

from __future__ import annotations

from collections.abc import Sequence

from dfs.security.keys import key_text
from dfs.security.members import Members

DOMAIN = b"minidfs"
_VERSION = b"1.0"
_BEFORE_DOMAIN = 4
_ACCEPTED = (b"200", b"OK")
_REFUSED = (b"400", b"no member")


def answer(members: Members, frames: Sequence[bytes]) -> list[bytes]:
    """The reply to a request."""
    link, _, _, request = frames[:_BEFORE_DOMAIN]
    code, text = _REFUSED
    user = b""
    match frames[_BEFORE_DOMAIN:]:
        case [domain, _, _, b"CURVE", key] if domain == DOMAIN and members.find(key) is not None:
            code, text = _ACCEPTED
            user = key_text(key).encode()
    return [link, b"", _VERSION, request, code, text, user, b""]
