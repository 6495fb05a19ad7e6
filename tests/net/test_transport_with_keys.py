"""The transport over real sockets with keys: strangers, wrong keys, revoked ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import zmq

from dfs.errors import BadArgument, Refused
from dfs.events import Event, LinkLost, Peer, Received, Role, Send
from dfs.net.sockets import make_key_pair
from dfs.net.transport import ZmqTransport
from dfs.security import zap
from dfs.security.credentials import Credentials
from dfs.security.keys import KeyPair, with_key
from dfs.security.members import Members
from dfs.wire.common import Ping

NAMENODE = Peer(Role.NAMENODE, "namenode")
ANNA = Peer(Role.CLIENT, "anna")
ANY_PORT = "tcp://127.0.0.1:0"
TURNS = 500


class Place:
    """A namenode that anna may talk to, and clients with keys of all sorts."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._stack = stack
        self.file = f"ipc://{folder}/n.sock"
        self.anna, self.own = make_key_pair(), make_key_pair()
        self.members = Members([(self.anna.public, ANNA)])
        self.namenode = self.start(
            NAMENODE, (ANY_PORT, self.file), Credentials(self.own, self.members)
        )
        (self.address,) = [e for e in self.namenode.endpoints if e.startswith("tcp://")]

    def start(
        self, me: Peer, bind: tuple[str, ...] = (), credentials: Credentials | None = None
    ) -> ZmqTransport:
        transport = ZmqTransport(me, "c1", bind, credentials)
        self._stack.callback(transport.close, 0)
        return transport

    def client(self, pair: KeyPair | None, name: str = "anna") -> ZmqTransport:
        credentials = Credentials(pair) if pair is not None else None
        return self.start(Peer(Role.CLIENT, name), (), credentials)

    def fate(self, client: ZmqTransport, endpoint: str) -> Event:
        """What becomes of a Ping: the namenode receives it, or the client's link is lost."""
        client.send(Send(NAMENODE, Ping(), 1, endpoints=(endpoint,)))
        return self.next_event(client)

    def next_event(self, client: ZmqTransport) -> Event:
        for _ in range(TURNS):
            for transport in (client, self.namenode):
                events = transport.poll(5_000_000)
                if events:
                    return events[0]
        raise AssertionError("nothing happened")


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("k")
    folder.chmod(0o700)
    with ExitStack() as stack:
        yield Place(folder, stack)


def lost(event: Event) -> LinkLost:
    assert isinstance(event, LinkLost), event
    return event


def test_a_member_is_heard_under_the_name_of_its_key(place: Place) -> None:
    event = place.fate(place.client(place.anna, "bob"), with_key(place.address, place.own.public))
    assert isinstance(event, Received)
    assert event.origin.peer == ANNA


def test_a_stranger_is_told_that_his_key_is_not_known(place: Place) -> None:
    endpoint = with_key(place.address, place.own.public)
    event = lost(place.fate(place.client(make_key_pair()), endpoint))
    assert event.refused
    assert "does not know our key" in event.reason


def test_a_server_with_another_key_is_never_talked_to(place: Place) -> None:
    endpoint = with_key(place.address, make_key_pair().public)
    event = lost(place.fate(place.client(place.anna), endpoint))
    assert "does not prove the key that it is known by" in event.reason


def test_without_keys_nothing_is_even_dialled(place: Place) -> None:
    endpoint = with_key(place.address, place.own.public)
    event = lost(place.fate(place.client(None), endpoint))
    assert "is reached with keys, and there are none here" in event.reason
    event = lost(place.fate(place.client(place.anna), place.address))
    assert "it is not known which key" in event.reason


def test_an_endpoint_whose_key_is_none_is_not_dialled(place: Place) -> None:
    event = lost(place.fate(place.client(place.anna), f"{place.address}#nonsense"))
    assert event.reason.startswith("'nonsense' is not a key")


def test_a_client_without_keys_that_dials_the_bare_address_gets_nothing(place: Place) -> None:
    event = lost(place.fate(place.client(None), place.address))
    assert place.address in event.reason


def test_within_the_socket_files_folder_nobody_has_to_prove_anything(place: Place) -> None:
    event = place.fate(place.client(None, "carl"), place.file)
    assert isinstance(event, Received)
    assert event.origin.peer == Peer(Role.CLIENT, "carl")


def test_a_revoked_key_neither_goes_on_nor_comes_back(place: Place) -> None:
    endpoint = with_key(place.address, place.own.public)
    client = place.client(place.anna)
    assert isinstance(place.fate(client, endpoint), Received)
    place.members.revoke(place.anna.public)
    event = lost(place.fate(client, endpoint))
    assert event.peer == ANNA
    again = place.client(place.anna)
    assert lost(place.fate(again, endpoint)).refused


@pytest.mark.parametrize("mechanism", ["null", "plain"])
def test_other_mechanisms_of_zeromq_get_no_answer(place: Place, mechanism: str) -> None:
    context = zmq.Context()
    try:
        stranger = context.socket(zmq.DEALER)
        stranger.linger = 0
        if mechanism == "plain":
            stranger.plain_username, stranger.plain_password = b"anna", b"x"
        stranger.connect(place.address)
        stranger.send(b"hello")
        for _ in range(50):
            assert place.namenode.poll(5_000_000) == []
        assert not stranger.poll(0)
    finally:
        context.destroy(0)


def test_addresses_that_others_can_reach_need_keys(place: Place) -> None:
    with pytest.raises(BadArgument, match="there are no keys here"):
        place.start(NAMENODE, ("tcp://0.0.0.0:0",))
    open_to_all = place.start(
        NAMENODE, ("tcp://0.0.0.0:0",), Credentials(make_key_pair(), Members())
    )
    assert open_to_all.endpoints[0].startswith("tcp://0.0.0.0:")


def test_a_process_that_would_let_strangers_in_does_not_start(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def let_in(members: Members, frames: list[bytes]) -> list[bytes]:
        anna = place.anna.public
        frames[-1] = anna
        return answer(place.members, frames)

    answer: Callable[..., list[bytes]] = zap.answer
    monkeypatch.setattr(zap, "answer", let_in)
    with pytest.raises(Refused, match="a stranger may connect to tcp://"):
        place.start(NAMENODE, (ANY_PORT,), Credentials(make_key_pair(), Members()))
