"""The rules of links in both directions, over lines that are lists."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import pytest

from dfs.errors import ProtocolError, Refused, Unavailable
from dfs.events import Event, LinkLost, Origin, Peer, Received, Role
from dfs.limits import (
    FIRST_CONTACT_NS,
    LINK_IDLE_NS,
    LINKS_MAX,
    OUTGOING_LINKS_MAX,
    STEP_MAX_EVENTS,
    WAITING_MESSAGES_MAX,
)
from dfs.net.handshake import Handshake
from dfs.net.inbound import InboundLinks, Source
from dfs.net.links import Frames, Inbox, News
from dfs.net.outgoing import Outgoing, OutgoingLinks
from dfs.security.members import Members
from dfs.wire.codec import Message, decode, encode
from dfs.wire.common import Failed, Hello, HelloFirst, Ok, Ping, Welcome

ME = Peer(Role.CLIENT, "anna")
NODE = Peer(Role.DATANODE, "datanode-1")
UNKNOWN_TAG = encode(Ping(), 7)[0][:4] + b"\xff\xff" + encode(Ping(), 7)[0][6:]


class ListLine:
    """A line that keeps what is sent and gives what it is told to."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.requests: list[int] = []
        self.incoming: deque[Sequence[bytes]] = deque()
        self.told: deque[News] = deque()
        self.is_full = False
        self.closed = False

    def send(self, frames: Frames) -> bool:
        frame = decode(frames)
        self.sent.append(frame.message)
        self.requests.append(frame.request)
        return not self.is_full

    def receive(self) -> Sequence[bytes] | None:
        return self.incoming.popleft() if self.incoming else None

    def news(self) -> News | None:
        return self.told.popleft() if self.told else None

    def close(self, linger_ns: int) -> None:
        self.closed = True


class Caller:
    """Outgoing links of ``ME``; endpoints that begin with ``bad`` cannot be dialled."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.inbox = Inbox()
        self.lines: list[ListLine] = []
        self.links = OutgoingLinks(Handshake(ME, "c1"), self.inbox, self._dial, lambda: self.now_ns)

    def _dial(self, link: Outgoing) -> ListLine:
        if link.endpoint.startswith("bad"):
            raise Unavailable(f"{link.endpoint} cannot be used")
        self.lines.append(ListLine())
        return self.lines[-1]

    def open(self, *endpoints: str) -> Outgoing | None:
        self.links.open(NODE, endpoints, encode(Ping(), 1))
        return self.links.to(NODE)

    def tell(self, link: Outgoing, *messages: Message, request: int = 0) -> None:
        for message in messages:
            self.lines[-1].incoming.append(encode(message, request))
        self.links.on_messages(link)

    def connect(self, link: Outgoing, news: News = News.CONNECTED) -> None:
        self.lines[-1].told.append(news)
        self.links.on_news(link)

    def opened(self) -> Outgoing:
        link = self.open("one")
        assert link is not None
        self.connect(link)
        self.tell(link, welcome())
        return link

    def lost(self) -> list[LinkLost]:
        return [e for e in self.inbox.take() if isinstance(e, LinkLost)]


def welcome(peer: Peer = NODE, cluster: str = "c1") -> Welcome:
    return Handshake(peer, cluster).accept(Handshake(ME, cluster).hello())[1]


def test_messages_wait_for_the_welcome_and_go_out_in_order() -> None:
    caller = Caller()
    link = caller.open("one")
    assert link is not None
    caller.links.send(link, encode(Ping(), 2))
    assert caller.lines[0].sent == []
    caller.connect(link)
    assert [type(m) for m in caller.lines[0].sent] == [Hello]
    caller.tell(link, welcome())
    assert caller.lines[0].requests == [0, 1, 2]
    caller.tell(link, Ok(), request=2)
    assert caller.inbox.take() == [Received(Origin(NODE, link.number, 2), Ok())]


def test_the_first_endpoint_that_connects_is_used() -> None:
    caller = Caller()
    link = caller.open("bad", "one", "two")
    assert link is not None
    caller.connect(link, News.ENDED)
    assert link.endpoint == "two"
    assert caller.lines[0].closed
    caller.connect(link)
    assert [type(m) for m in caller.lines[1].sent] == [Hello]
    assert caller.inbox.take() == []


@pytest.mark.parametrize("endpoints", [("bad",), ("one",), ("one", "bad")])
def test_no_endpoint_left_is_a_lost_link(endpoints: tuple[str, ...]) -> None:
    caller = Caller()
    link = caller.open(*endpoints)
    if link is not None:
        caller.connect(link, News.ENDED)
    assert [e.peer for e in caller.lost()] == [NODE]
    assert caller.links.to(NODE) is None


def test_without_endpoints_the_link_is_lost_at_once() -> None:
    caller = Caller()
    assert caller.open() is None
    assert caller.lost() == [LinkLost(NODE, 1, "it is not connected")]


def test_silence_is_lost_after_the_time_of_first_contact() -> None:
    caller = Caller()
    link = caller.open("one")
    assert link is not None
    caller.connect(link)
    assert caller.links.check(FIRST_CONTACT_NS - 1) == FIRST_CONTACT_NS
    assert caller.lost() == []
    assert caller.links.check(FIRST_CONTACT_NS) is None
    assert caller.lost() == [LinkLost(NODE, 1, "no answer at one")]


@pytest.mark.parametrize(
    "answer",
    [
        Failed.of(Refused("this is cluster c1 and not c2")),
        welcome(Peer(Role.DATANODE, "datanode-3")),
        welcome(NODE, "c2"),
    ],
)
def test_a_refusal_is_told_with_its_text(answer: Message) -> None:
    caller = Caller()
    link = caller.open("one")
    assert link is not None
    caller.connect(link)
    caller.tell(link, answer)
    (lost,) = caller.lost()
    assert lost.refused
    assert "c1" in lost.reason or "datanode-3" in lost.reason


def test_what_came_before_a_break_is_still_delivered() -> None:
    caller = Caller()
    link = caller.opened()
    caller.lines[0].incoming.append(encode(Ok(), 1))
    caller.connect(link, News.ENDED)
    assert caller.inbox.take() == [
        Received(Origin(NODE, 1, 1), Ok()),
        LinkLost(NODE, 1, "the connection broke"),
    ]
    assert caller.lines[0].closed


def test_hello_first_ends_the_link_and_begins_another_on_the_same_line() -> None:
    caller = Caller()
    link = caller.opened()
    caller.tell(link, HelloFirst(), HelloFirst(), welcome())
    assert [e.link for e in caller.lost()] == [1]
    assert caller.links.of_number(1) is None
    assert caller.links.of_number(2) is link
    caller.links.send(link, encode(Ping(), 9))
    assert [type(m) for m in caller.lines[0].sent] == [Hello, Ping, Hello, Ping]
    assert not caller.lines[0].closed


def test_a_peer_that_takes_nothing_is_lost_and_counted() -> None:
    caller = Caller()
    link = caller.opened()
    caller.lines[0].is_full = True
    caller.links.send(link, encode(Ping(), 2))
    assert [e.reason for e in caller.lost()] == ["it does not take its messages"]
    assert caller.inbox.counts["links lost to a full queue"] == 1


def test_the_messages_that_wait_are_bounded() -> None:
    caller = Caller()
    link = caller.open("one")
    assert link is not None
    for number in range(WAITING_MESSAGES_MAX - 1):
        caller.links.send(link, encode(Ping(), number))
    assert caller.lost() == []
    caller.links.send(link, encode(Ping(), 1))
    assert len(caller.lost()) == 1


def test_outgoing_links_are_bounded() -> None:
    caller = Caller()
    for number in range(OUTGOING_LINKS_MAX + 1):
        caller.links.open(Peer(Role.DATANODE, f"d{number}"), ("one",), encode(Ping()))
    assert [e.peer.name for e in caller.lost()] == [f"d{OUTGOING_LINKS_MAX}"]


def test_an_unused_link_is_ended() -> None:
    caller = Caller()
    caller.opened()
    caller.links.check(LINK_IDLE_NS)
    assert [e.link for e in caller.lost()] == [1]
    assert len(list(caller.links)) == 0


def test_an_unknown_message_is_answered_and_garbage_ends_the_link() -> None:
    caller = Caller()
    link = caller.opened()
    caller.lines[0].incoming.append([UNKNOWN_TAG])
    caller.links.on_messages(link)
    assert isinstance(caller.lines[0].sent[-1], Failed)
    assert caller.lines[0].requests[-1] == 7
    caller.lines[0].incoming.append([b"garbage"])
    caller.links.on_messages(link)
    (lost,) = caller.lost()
    assert "broke the protocol" in lost.reason
    assert caller.inbox.counts["undecodable messages"] == 2


def test_a_step_gets_a_bounded_batch() -> None:
    caller = Caller()
    link = caller.opened()
    caller.tell(link, *[Ok()] * (STEP_MAX_EVENTS + 5))
    assert len(caller.inbox.take()) == STEP_MAX_EVENTS
    caller.links.on_messages(link)
    assert len(caller.inbox.take()) == 5


class Host:
    """Inbound links of a namenode. Identities in ``gone`` cannot be reached any more."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.inbox = Inbox()
        self.answers: list[tuple[bytes, Any, int]] = []
        self.gone: set[bytes] = set()
        handshake = Handshake(Peer(Role.NAMENODE, "namenode"), "c1")
        self.links = InboundLinks(
            handshake, self.inbox, self._answer, Members(), lambda: self.now_ns
        )

    def _answer(self, identity: bytes, frames: Frames) -> str:
        frame = decode(frames)
        self.answers.append((identity, frame.message, frame.request))
        return "gone" if identity in self.gone else ""

    def hears(self, identity: bytes, message: Message, request: int = 0, fd: int = 5) -> None:
        self.links.on_message(Source(identity, fd), encode(message, request))

    def greets(self, identity: bytes, peer: Peer = NODE, fd: int = 5) -> None:
        self.hears(identity, Handshake(peer, "c1").hello(), fd=fd)


def test_a_connection_without_hello_is_told_so() -> None:
    host = Host()
    host.hears(b"x", Ping(), 4)
    assert host.answers == [(b"x", HelloFirst(), 4)]
    assert host.inbox.take() == []


def test_after_hello_messages_carry_the_peer() -> None:
    host = Host()
    host.greets(b"x")
    host.greets(b"x")
    host.hears(b"x", Ping(), 4)
    assert [type(a[1]) for a in host.answers] == [Welcome, Welcome]
    assert host.inbox.take() == [Received(Origin(NODE, 1, 4), Ping())]


def test_a_refused_hello_makes_no_link() -> None:
    host = Host()
    host.hears(b"x", Handshake(NODE, "c2").hello())
    assert isinstance(host.answers[0][1].error(), Refused)
    assert len(host.links) == 0


def test_the_newest_link_of_a_peer_is_used() -> None:
    host = Host()
    host.greets(b"old", fd=5)
    host.greets(b"new", fd=6)
    newest = host.links.newest(NODE)
    assert newest is not None
    host.links.send(newest, encode(Ping(), 1))
    assert host.answers[-1][0] == b"new"
    host.links.on_disconnect(6)
    newest = host.links.newest(NODE)
    assert newest is not None
    assert newest.identity == b"old"


def test_a_broken_descriptor_ends_its_link_and_no_other() -> None:
    host = Host()
    host.greets(b"x", fd=5)
    host.greets(b"y", ME, fd=6)
    host.links.on_disconnect(5)
    host.links.on_disconnect(77)
    assert host.inbox.take() == [LinkLost(NODE, 1, "the connection broke")]
    assert len(host.links) == 1


def test_sending_to_a_vanished_peer_ends_the_link() -> None:
    host = Host()
    host.greets(b"x")
    host.gone.add(b"x")
    link = host.links.of_number(1)
    assert link is not None
    host.links.send(link, encode(Ok(), 3))
    assert host.inbox.take() == [LinkLost(NODE, 1, "gone")]
    assert host.links.of_number(1) is None


def test_a_connection_that_becomes_another_peer_loses_the_first() -> None:
    host = Host()
    host.greets(b"x")
    host.greets(b"x", ME)
    assert [e.peer for e in host.inbox.take() if isinstance(e, LinkLost)] == [NODE]
    assert host.links.newest(ME) is not None


def test_a_forgotten_peer_has_to_say_hello_again() -> None:
    host = Host()
    host.greets(b"x")
    host.links.forget(NODE)
    host.hears(b"x", Ping(), 2)
    assert host.answers[-1] == (b"x", HelloFirst(), 2)


def test_idle_links_are_forgotten() -> None:
    host = Host()
    host.greets(b"x")
    host.links.check(LINK_IDLE_NS - 1)
    assert len(host.links) == 1
    host.links.check(LINK_IDLE_NS)
    assert [e.link for e in host.inbox.take() if isinstance(e, LinkLost)] == [1]


def test_inbound_links_are_bounded() -> None:
    host = Host()
    for number in range(LINKS_MAX + 1):
        host.greets(b"%d" % number, fd=number)
    assert isinstance(host.answers[-1][1].error(), Unavailable)
    assert len(host.links) == LINKS_MAX


@pytest.mark.parametrize(
    ("parts", "request_number"), [([b"junk"], 0), ([], 0), ([UNKNOWN_TAG], 7), ([b"", b"", b""], 0)]
)
def test_undecodable_messages_are_answered(parts: list[bytes], request_number: int) -> None:
    host = Host()
    host.greets(b"x")
    host.links.on_message(Source(b"x", 5), parts)
    _, failed, number = host.answers[-1]
    assert isinstance(failed, Failed)
    assert number == request_number
    assert host.inbox.counts["undecodable messages"] == 1
    events: list[Event] = host.inbox.take()
    assert events == []
    assert failed.number != ProtocolError.number or parts != [UNKNOWN_TAG]
