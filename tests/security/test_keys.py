"""Keys as text, in endpoints, and ZeroMQ's question about them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfs.errors import BadArgument
from dfs.events import Peer, Role
from dfs.security import zap
from dfs.security.keys import KEY_CHARS, KeyPair, key_text, parse_key, split_key, with_key
from dfs.security.members import Members

KEY = bytes(range(32))
ANNA = Peer(Role.CLIENT, "anna")


@given(st.binary(min_size=32, max_size=32))
def test_a_key_is_read_as_it_was_written(key: bytes) -> None:
    text = key_text(key)
    assert len(text) == KEY_CHARS
    assert parse_key(text) == key
    assert split_key(with_key("tcp://10.0.0.7:1", key)) == ("tcp://10.0.0.7:1", key)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        key_text(KEY)[:-1],
        key_text(KEY) + "A",
        key_text(KEY)[:-1] + "9",
        "ä" * 43,
        " " * 43,
    ],
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(BadArgument, match="is not a key: a key has 43 characters"):
        parse_key(text)
    if text:
        with pytest.raises(BadArgument, match="is not a key"):
            split_key(f"tcp://10.0.0.7:1#{text}")


def test_only_addresses_carry_keys() -> None:
    assert with_key("ipc:///run/a#b.sock", KEY) == "ipc:///run/a#b.sock"
    assert split_key("ipc:///run/a#b.sock") == ("ipc:///run/a#b.sock", None)
    assert split_key("tcp://[::1]:7") == ("tcp://[::1]:7", None)


def test_a_secret_does_not_show() -> None:
    assert "secret" not in repr(KeyPair(KEY, b"\x99" * 32))
    assert repr(b"\x99" * 32) not in repr(KeyPair(KEY, b"\x99" * 32))


def question(*rest: bytes, domain: bytes = zap.DOMAIN) -> list[bytes]:
    return [b"link", b"", b"1.0", b"7", domain, b"10.0.0.7", b"", *rest]


def test_a_member_is_let_in_by_name_of_its_key() -> None:
    members = Members([(KEY, ANNA)])
    expected = [b"link", b"", b"1.0", b"7", b"200", b"OK", key_text(KEY).encode(), b""]
    assert zap.answer(members, question(b"CURVE", KEY)) == expected


@pytest.mark.parametrize(
    "asked",
    [
        question(b"CURVE", bytes(32)),
        question(b"CURVE", KEY[:-1]),
        question(b"CURVE"),
        question(b"NULL"),
        question(b"PLAIN", b"anna", b"password"),
        question(b"NULL", KEY),
        question(b"CURVE", KEY, b""),
        question(b"CURVE", KEY, domain=b""),
        question(b"CURVE", KEY, domain=b"other"),
    ],
)
def test_whatever_is_not_a_members_key_is_refused(asked: list[bytes]) -> None:
    members = Members([(KEY, ANNA)])
    assert zap.answer(members, asked)[3:] == [b"7", b"400", b"no member", b"", b""]


def test_a_revoked_key_is_refused() -> None:
    members = Members([(KEY, ANNA)])
    members.revoke(KEY)
    assert zap.answer(members, question(b"CURVE", KEY))[4] == b"400"
    assert dict(members) == {}
