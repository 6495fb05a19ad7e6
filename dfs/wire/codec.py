"""Messages as typed structs, and their bytes.

A message on the wire is one or two frames::

    frame 0   header (16 bytes) and body (msgpack array of the fields in order)
    frame 1   payload: raw bytes (chunk data, run data); absent when empty

    header    magic "mDF" | protocol u8 | tag u16 | reserved u16 | request u64

Tags are written by hand next to each class and are never reused; 1-999 belong to
``dfs``, 1000-1999 to ``mapreduce``. Fields are append-only and new ones carry a
default: a receiver fills in what an older sender left out and skips what a newer
one added. A tag that nobody registered is ``NotSupported``, never a crash. Sizes
are checked before anything is decoded.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar

import msgspec

from dfs.errors import NotSupported, ProtocolError
from dfs.limits import CONTROL_MAX_BYTES, FRAMES_PER_MESSAGE_MAX, MESSAGE_MAX_BYTES

MAGIC = b"mDF"
PROTOCOL = 1
PROTOCOL_MIN = 1

_HEADER = struct.Struct(">3sBHHQ")
HEADER_BYTES = _HEADER.size


class Message(msgspec.Struct, frozen=True, array_like=True):
    """Base of all messages. The docstring of each names its sender, answers and repetition."""

    TAG: ClassVar[int] = 0


class Frame(NamedTuple):
    """One decoded message with its request number and raw payload."""

    message: Message
    request: int
    payload: bytes | memoryview


M = TypeVar("M", bound=type[Message])

_by_tag: dict[int, type[Message]] = {}
_decoders: dict[int, msgspec.msgpack.Decoder[Any]] = {}
_encoder = msgspec.msgpack.Encoder()


def message(tag: int) -> Callable[[M], M]:
    """Class decorator that gives a message its tag and makes it known to the decoder."""

    def register(cls: M) -> M:
        if tag in _by_tag:
            raise AssertionError(f"tag {tag} belongs to {_by_tag[tag].__name__}")
        cls.TAG = tag
        _by_tag[tag] = cls
        return cls

    return register


def known_messages() -> dict[int, type[Message]]:
    """Tag to class, of every module imported so far; for documentation and its tests."""
    return dict(_by_tag)


def encode(msg: Message, request: int = 0, payload: bytes | memoryview = b"") -> list[Any]:
    """The frames of one message; the payload is passed on without a copy."""
    head = _HEADER.pack(MAGIC, PROTOCOL, msg.TAG, 0, request) + _encoder.encode(msg)
    if len(head) > CONTROL_MAX_BYTES + HEADER_BYTES:
        raise ProtocolError(f"{type(msg).__name__} of {len(head)} bytes is over the limit")
    return [head, payload] if len(payload) else [head]


def decode(frames: Sequence[bytes | memoryview]) -> Frame:
    """The message in these frames.

    Raises ``ProtocolError`` for bytes that are no message of this protocol, and
    ``NotSupported`` for a well-formed message with an unknown tag.
    """
    if not 1 <= len(frames) <= FRAMES_PER_MESSAGE_MAX:
        raise ProtocolError(f"a message has 1 or 2 frames, not {len(frames)}")
    head = frames[0]
    payload = frames[1] if len(frames) == FRAMES_PER_MESSAGE_MAX else b""
    if not HEADER_BYTES <= len(head) <= CONTROL_MAX_BYTES + HEADER_BYTES:
        raise ProtocolError(f"a message head of {len(head)} bytes is outside the limits")
    if len(payload) > MESSAGE_MAX_BYTES:
        raise ProtocolError(f"a payload of {len(payload)} bytes is over the limit")
    magic, protocol, tag, _, request = _HEADER.unpack_from(head)
    if magic != MAGIC:
        raise ProtocolError("these bytes are not a minidfs message")
    if not PROTOCOL_MIN <= protocol <= PROTOCOL:
        raise ProtocolError(f"protocol {protocol} is not spoken here ({PROTOCOL_MIN}-{PROTOCOL})")
    cls = _by_tag.get(tag)
    if cls is None:
        raise NotSupported(f"message tag {tag} is not known here; the peer is newer or older")
    decoder = _decoders.get(tag)
    if decoder is None:
        decoder = _decoders[tag] = msgspec.msgpack.Decoder(cls)
    try:
        body = decoder.decode(memoryview(head)[HEADER_BYTES:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"{cls.__name__} does not decode: {error}") from None
    return Frame(body, request, payload)


def request_of(frames: Sequence[bytes | memoryview]) -> int:
    """The request number of a message that could not be decoded, 0 when even that is unreadable."""
    if not frames or len(frames[0]) < HEADER_BYTES:
        return 0
    magic, _, _, _, request = _HEADER.unpack_from(frames[0])
    return int(request) if magic == MAGIC else 0
