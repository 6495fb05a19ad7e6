"""Links whose ends prove a key: who they are then, and what a revoked key is still good for."""

from __future__ import annotations

import pytest

from dfs.errors import Refused
from dfs.events import LinkLost, Origin, Peer, Received, Role
from dfs.limits import FIRST_CONTACT_NS
from dfs.net.handshake import Handshake
from dfs.net.inbound import InboundLinks, Source
from dfs.net.links import Frames, Inbox, News
from dfs.net.outgoing import Outgoing, OutgoingLinks
from dfs.security.keys import with_key
from dfs.security.members import NOBODY, Members
from dfs.wire.codec import Message, decode, encode
from dfs.wire.common import Failed, Ping, Welcome

NAMENODE = Peer(Role.NAMENODE, "namenode")
NODE = Peer(Role.DATANODE, "datanode-1")
ANNA = Peer(Role.CLIENT, "anna")
ROOT = Peer(Role.ADMIN, "admin")
KEYS = {peer: bytes([number]) * 32 for number, peer in enumerate((NODE, ANNA, ROOT), 1)}


class GuardedHost:
    """Inbound links of a namenode with three members."""

    def __init__(self) -> None:
        self.inbox = Inbox()
        self.answers: list[Message] = []
        self.members = Members((key, peer) for peer, key in KEYS.items())
        handshake = Handshake(NAMENODE, "c1")
        self.links = InboundLinks(handshake, self.inbox, self._answer, self.members, lambda: 0)

    def _answer(self, identity: bytes, frames: Frames) -> str:
        self.answers.append(decode(frames).message)
        return ""

    def greeted_by(self, said: Peer, key: bytes | None) -> Message:
        hello = Handshake(said, "c1").hello()
        self.links.on_message(Source(b"x", 5, key), encode(hello))
        return self.answers[-1]

    def hears(self, message: Message) -> None:
        self.links.on_message(Source(b"x", 5), encode(message, 1))

    def is_told_no(self, said: Peer, key: bytes | None) -> str:
        answer = self.greeted_by(said, key)
        assert isinstance(answer, Failed)
        assert isinstance(answer.error(), Refused)
        assert len(self.links) == 0
        return answer.text


@pytest.mark.parametrize("peer", KEYS)
def test_who_someone_is_comes_from_the_key(peer: Peer) -> None:
    host = GuardedHost()
    assert isinstance(host.greeted_by(peer, KEYS[peer]), Welcome)
    host.hears(Ping())
    assert host.inbox.take() == [Received(Origin(peer, 1, 1), Ping())]


@pytest.mark.parametrize("said", [Peer(Role.CLIENT, "bob"), Peer(Role.ADMIN, "anna")])
def test_a_user_is_who_the_key_says_whatever_he_is_called_at_home(said: Peer) -> None:
    host = GuardedHost()
    host.greeted_by(said, KEYS[ANNA])
    host.hears(Ping())
    assert host.inbox.take() == [Received(Origin(ANNA, 1, 1), Ping())]


@pytest.mark.parametrize(
    ("said", "owner"),
    [
        (NAMENODE, NODE),
        (Peer(Role.DATANODE, "datanode-2"), NODE),
        (Peer(Role.WORKER, "datanode-1"), NODE),
        (NODE, ANNA),
        (NODE, ROOT),
        (ANNA, NODE),
    ],
)
def test_the_right_key_in_the_wrong_role_is_refused(said: Peer, owner: Peer) -> None:
    text = GuardedHost().is_told_no(said, KEYS[owner])
    assert f"came with the key of {owner.name} ({owner.role})" in text


@pytest.mark.parametrize("key", [NOBODY, bytes(32)])
def test_a_strangers_key_is_refused_by_the_handshake_too(key: bytes) -> None:
    assert "not a member's" in GuardedHost().is_told_no(NODE, key)


def test_where_no_key_is_needed_what_is_said_counts() -> None:
    host = GuardedHost()
    assert isinstance(host.greeted_by(Peer(Role.CLIENT, "bob"), None), Welcome)


def test_a_revoked_key_is_refused_with_the_next_message_on_an_open_connection() -> None:
    host = GuardedHost()
    host.greeted_by(ANNA, KEYS[ANNA])
    host.members.revoke(KEYS[NODE])
    host.hears(Ping())
    assert len(host.inbox.take()) == 1
    host.members.revoke(KEYS[ANNA])
    host.hears(Ping())
    answer = host.answers[-1]
    assert isinstance(answer, Failed)
    assert answer.text == "the key of anna (client) was revoked"
    (lost,) = host.inbox.take()
    assert isinstance(lost, LinkLost)
    assert lost.peer == ANNA
    assert len(host.links) == 0


def test_a_known_connection_cannot_take_on_another_key() -> None:
    host = GuardedHost()
    host.greeted_by(ANNA, KEYS[ANNA])
    host.greeted_by(ROOT, KEYS[ROOT])
    host.hears(Ping())
    assert host.inbox.take() == [Received(Origin(ANNA, 1, 1), Ping())]


class NewsLine:
    """A line that only tells what became of it."""

    def __init__(self, *told: News) -> None:
        self.told = list(told)

    def send(self, frames: Frames) -> bool:
        return bool(frames)

    def receive(self) -> None:
        return None

    def news(self) -> News | None:
        return self.told.pop(0) if self.told else None

    def close(self, linger_ns: int) -> None:
        self.told.clear()


def fate(peer: Peer, *told: News, later_ns: int = 0) -> LinkLost | None:
    """What becomes of a link whose line tells this."""
    inbox, clock = Inbox(), [0]

    def dial(link: Outgoing) -> NewsLine:
        return NewsLine(*told)

    links = OutgoingLinks(Handshake(ANNA, "c1"), inbox, dial, lambda: clock[0])
    links.open(peer, (with_key("tcp://10.0.0.7:1", KEYS[NODE]),), encode(Ping()))
    link = links.to(peer)
    assert link is not None
    links.on_news(link)
    links.check(later_ns)
    return next((event for event in inbox.take() if isinstance(event, LinkLost)), None)


def test_the_namenodes_no_is_final_and_a_nodes_is_not() -> None:
    for peer, final in ((NAMENODE, True), (NODE, False)):
        lost = fate(peer, News.REACHED, News.UNWELCOME)
        assert lost is not None
        assert lost.refused is final
        assert lost.reason.startswith(f"{peer.name} at tcp://10.0.0.7:1 does not know our key:")


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ((News.REACHED,), "tcp://10.0.0.7:1 does not prove the key that it is known by"),
        ((), "no answer at tcp://10.0.0.7:1"),
    ],
)
def test_a_wrong_key_is_told_from_silence(told: tuple[News, ...], reason: str) -> None:
    assert fate(NODE, *told) is None
    lost = fate(NODE, *told, later_ns=FIRST_CONTACT_NS)
    assert lost is not None
    assert lost.reason.startswith(reason)
