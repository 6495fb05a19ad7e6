"""Members in the log: whose keys are enrolled, who may do that, and who is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dfs.errors import BadArgument, Exists, NotSupported, PermissionDenied, Refused
from dfs.events import Origin, Peer, Received, Role
from dfs.limits import MEMBERS_MAX
from dfs.namenode import membership as rules
from dfs.namenode.commands import MemberEnrolled
from dfs.namenode.core import NamespaceCore
from dfs.namenode.keys import MemberRow, put_row
from dfs.namenode.membership import Membership
from dfs.security.keys import with_key
from dfs.security.members import Members
from dfs.wire.codec import Message
from dfs.wire.common import Ok, Ping
from dfs.wire.members import Enrol, MemberKey, MembersNow
from tests.namenode.conftest import ANNA, Namenode

ADMIN = Peer(Role.ADMIN, "admin")
NODE = Peer(Role.DATANODE, "datanode-1")


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


NODE_KEY = MemberKey(key(1), "datanode", "datanode-1")
ADMIN_KEY = MemberKey(key(2), "admin", "admin")


class GuardedNamenode(Namenode):
    """A namenode in whose home two keys lie."""

    first = (NODE_KEY, ADMIN_KEY)

    def restart(self) -> None:
        self.mono_ns += 1
        self.members = Members()
        self.membership = Membership(self.table, self.members, self.first)
        super().restart()
        settings = replace(self.core._settings, membership=self.membership)
        self.core = NamespaceCore(settings, self.table, self.now)
        self.settle()

    def enrol(self, *members: MemberKey) -> None:
        assert self.ask(Enrol(members), ADMIN) == Ok()

    def told(self, peer: Peer, link: int, message: Message | None = None) -> list[MembersNow]:
        """What a peer is told about members when it says something."""
        before = len(self.sent)
        event = Received(Origin(peer, link, 7), message or Ping())
        self._take(self.core.handle(self._view(), event, self.now))
        sent = [s for s in self.sent[before:] if s.to == peer]
        return [s.message for s in sent if isinstance(s.message, MembersNow)]


@pytest.fixture
def guarded() -> GuardedNamenode:
    return GuardedNamenode()


def test_the_keys_of_the_namenodes_home_are_enrolled_once(guarded: GuardedNamenode) -> None:
    assert guarded.members.find(key(1)) == NODE
    assert guarded.members.find(key(2)) == ADMIN
    guarded.restart()
    assert sum(isinstance(command, MemberEnrolled) for command in guarded.log) == 2
    assert guarded.members.find(key(1)) == NODE


def test_an_administrator_enrols_and_repeats_it_without_effect(guarded: GuardedNamenode) -> None:
    anna = MemberKey(key(3), "client", "anna")
    guarded.enrol(anna)
    commands = len(guarded.log)
    guarded.enrol(anna)
    assert len(guarded.log) == commands
    guarded.restart()
    assert guarded.members.find(key(3)) == ANNA


@pytest.mark.parametrize("role", [r for r in Role if r is not Role.ADMIN])
def test_nobody_else_enrols(guarded: GuardedNamenode, role: Role) -> None:
    with pytest.raises(PermissionDenied, match=f"a {role} may not send Enrol"):
        guarded.ask(Enrol((MemberKey(key(3), "admin", "anna"),)), Peer(role, "anna"))
    assert guarded.members.find(key(3)) is None


def test_a_node_has_one_key_and_a_user_many(guarded: GuardedNamenode) -> None:
    guarded.enrol(MemberKey(key(11), "datanode", "datanode-1"))
    assert guarded.members.find(key(1)) is None
    assert guarded.members.find(key(11)) == NODE
    for number in (3, 4):
        guarded.enrol(MemberKey(key(number), "client", "anna"))
    assert guarded.members.keys_of(ANNA) == [key(3), key(4)]
    with pytest.raises(Exists, match=r"of datanode-1 was revoked: make a new one"):
        guarded.enrol(NODE_KEY)
    guarded.restart()
    assert guarded.members.find(key(1)) is None, "what lies at home is not enrolled again"


def test_a_key_has_one_owner(guarded: GuardedNamenode) -> None:
    with pytest.raises(Exists, match=r"is that of datanode-1 \(datanode\)"):
        guarded.enrol(MemberKey(key(1), "client", "anna"))


@pytest.mark.parametrize(
    ("member", "text"),
    [
        (MemberKey(b"short", "client", "anna"), "a key has 32 bytes and not 5"),
        (MemberKey(key(3), "king", "anna"), "'king' is not a role: one of namenode"),
        (MemberKey(key(3), "client", ""), "'' is not a name"),
        (MemberKey(key(3), "client", "a\nb"), "is not a name"),
        (MemberKey(key(3), "client", "a" * 65), "is not a name"),
    ],
)
def test_what_is_no_member_is_refused(
    guarded: GuardedNamenode, member: MemberKey, text: str
) -> None:
    with pytest.raises(BadArgument, match=text):
        guarded.enrol(MemberKey(key(4), "client", "ben"), member)
    assert guarded.members.find(key(4)) is None


def test_members_are_bounded(guarded: GuardedNamenode) -> None:
    row = MemberRow("client", "x", 1, is_revoked=True)
    for number in range(100, 100 + MEMBERS_MAX - 2):
        put_row(guarded.table, "members", key(number), row)
    guarded.restart()
    with pytest.raises(BadArgument, match="up to 8000 keys, revoked ones included"):
        guarded.enrol(MemberKey(key(50), "client", "anna"))


def test_a_cluster_without_keys_enrols_nobody() -> None:
    with pytest.raises(NotSupported, match="mode is none"):
        Namenode().ask(Enrol((NODE_KEY,)), ADMIN)


def test_nodes_are_told_on_each_connection_and_after_each_change(guarded: GuardedNamenode) -> None:
    everybody = MembersNow((NODE_KEY, ADMIN_KEY))
    for peer, link in ((NODE, 5), (Peer(Role.WORKER, "worker-1"), 6)):
        assert guarded.told(peer, link) == [everybody]
        assert guarded.told(peer, link) == []
        assert guarded.told(peer, link + 10) == [everybody]
    anna = MemberKey(key(3), "client", "anna")
    guarded.enrol(anna)
    assert guarded.told(NODE, 15) == [MembersNow((NODE_KEY, ADMIN_KEY, anna))]
    assert guarded.told(ANNA, 7) == []


def test_what_was_told_is_forgotten_with_the_connection(guarded: GuardedNamenode) -> None:
    guarded.told(NODE, 1)
    assert guarded.membership._told == {1: guarded.members.version}
    guarded.lose_link("datanode-1")
    assert guarded.membership._told == {}


def test_a_node_names_no_key_but_its_own(guarded: GuardedNamenode) -> None:
    check = guarded.membership.check_endpoints
    check(NODE, ("ipc:///run/x", "fd:/run/y", "tcp://h:1", with_key("tcp://h:1", key(1))))
    for endpoint in (with_key("tcp://h:1", key(2)), with_key("tcp://h:1", key(99))):
        with pytest.raises(Refused, match="a key that is not enrolled as its own"):
            check(NODE, (endpoint,))
    with pytest.raises(Refused, match="registers with a key that is none"):
        check(NODE, ("tcp://h:1#nonsense",))


def test_only_processes_that_refuse_strangers_are_told() -> None:
    assert {Role.DATANODE, Role.WORKER} == rules.TOLD
