"""Messages to bytes and back, and every way in which bytes can be wrong."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfs.errors import BY_NUMBER, Corrupt, NotSupported, ProtocolError
from dfs.limits import CONTROL_MAX_BYTES, MESSAGE_MAX_BYTES
from dfs.wire.codec import HEADER_BYTES, Message, decode, encode, message, request_of
from dfs.wire.common import Failed, Hello, Ok, Ping
from dfs.wire.namespace import Mkdir, PutInline


def test_a_message_goes_out_and_comes_back() -> None:
    sent = Mkdir(1, 2, 3, "/ä/b", parents=True)
    frames = encode(sent, 42, b"payload")
    assert decode(frames) == (sent, 42, b"payload")
    assert len(encode(sent)) == 1


def test_fields_that_a_newer_peer_added_are_skipped_and_missing_ones_filled_in() -> None:
    head = encode(Ok(3))[0][:HEADER_BYTES]
    assert decode([head + msgspec.msgpack.encode([3, "new", 5])]).message == Ok(3)
    assert decode([head + msgspec.msgpack.encode([])]).message == Ok(0)


def test_an_unknown_tag_is_not_supported_and_keeps_its_request_number() -> None:
    frames = encode(Ping(), 5)
    strange = [frames[0][:4] + b"\xff\xfe" + frames[0][6:]]
    with pytest.raises(NotSupported):
        decode(strange)
    assert request_of(strange) == 5


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [b"", b"", b""],
        [b"short"],
        [b"x" * HEADER_BYTES],
        [encode(Ping())[0] + b"more"],
        [encode(Ping())[0][:3] + b"\x63" + encode(Ping())[0][4:]],
        [encode(Ping())[0] + b"x" * CONTROL_MAX_BYTES],
        [encode(Ping())[0], b"x" * (MESSAGE_MAX_BYTES + 1)],
        [encode(Hello("c", "r", "n", 1, 1, "b"))[0][:-1]],
        [encode(Ping())[0][:HEADER_BYTES] + b"\x91" * 5000 + b"\x90"],
        [encode(Ping())[0][:HEADER_BYTES] + b"\xdd\xff\xff\xff\xff"],
    ],
)
def test_broken_bytes_are_a_protocol_error(frames: list[bytes]) -> None:
    with pytest.raises(ProtocolError):
        decode(frames)


def test_a_message_over_the_limit_is_not_sent() -> None:
    with pytest.raises(ProtocolError):
        encode(PutInline(1, 1, 1, "/f", b"x" * CONTROL_MAX_BYTES, b""))


def test_a_tag_belongs_to_one_message() -> None:
    with pytest.raises(AssertionError, match="Ping"):

        @message(Ping.TAG)
        class Other(Message, frozen=True):
            """Another one."""


@given(st.binary(max_size=300), st.integers(0, 70), st.binary(max_size=3))
def test_random_and_mutated_bytes_never_do_worse_than_an_error(
    noise: bytes, at: int, patch: bytes
) -> None:
    good = encode(Hello("cluster", "client", "anna", 1, 2, "build"), 3)[0]
    for data in (noise, good[:at] + patch + good[at + len(patch) :], good[:at]):
        try:
            decode([data])
        except (ProtocolError, NotSupported):
            assert request_of([data]) >= 0


@pytest.mark.parametrize("cls", BY_NUMBER.values())
def test_every_error_travels_whole(cls: type[Corrupt]) -> None:
    error = decode(encode(Failed.of(cls("what is wrong", "/a/b")))).message.error()
    assert (type(error), str(error), error.path) == (cls, "what is wrong", "/a/b")


def test_an_error_of_a_newer_peer_is_still_an_error() -> None:
    assert str(Failed(9999, "something new").error()) == "something new"
