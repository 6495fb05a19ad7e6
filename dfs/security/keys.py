"""CURVE keys and how they are written.

A key is 32 bytes (Curve25519: Bernstein, *New Diffie-Hellman speed records*, PKC 2006). People and
files see 43 characters of base64 for URLs, none of which an address, a TOML file or a shell would
mind. An endpoint that is reached with a key carries it behind a ``#``::

    tcp://10.0.0.7:9861#9uQk0s0hJ…
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field

from dfs.errors import BadArgument

KEY_BYTES = 32
KEY_CHARS = 43
_MARK = "#"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A key that others know us by, and its secret half, which never shows."""

    public: bytes
    secret: bytes = field(repr=False)


def key_text(key: bytes) -> str:
    """A key as people see it."""
    assert len(key) == KEY_BYTES, f"a key has {KEY_BYTES} bytes and not {len(key)}"
    return base64.urlsafe_b64encode(key).decode().rstrip("=")


def parse_key(text: str) -> bytes:
    """The key that ``text`` stands for; raises BadArgument."""
    try:
        key = base64.b64decode(f"{text}=", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES or key_text(key) != text:
        raise BadArgument(f"{text[:KEY_CHARS]!r} is not a key: a key has {KEY_CHARS} characters")
    return key


def with_key(endpoint: str, key: bytes) -> str:
    """The endpoint of a process that has this key; a socket file needs none."""
    return f"{endpoint}{_MARK}{key_text(key)}" if endpoint.startswith("tcp://") else endpoint


def split_key(endpoint: str) -> tuple[str, bytes | None]:
    """The endpoint alone and the key of whoever listens there; raises BadArgument."""
    if not endpoint.startswith("tcp://"):
        return endpoint, None
    address, mark, text = endpoint.partition(_MARK)
    return address, parse_key(text) if mark else None


def without_key(endpoint: str) -> str:
    """The endpoint alone."""
    return endpoint.partition(_MARK)[0] if endpoint.startswith("tcp://") else endpoint
