"""Who may talk to whom, and what is said when not."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from dfs.errors import Refused
from dfs.events import Peer, Role
from dfs.net.handshake import Handshake
from dfs.wire.codec import PROTOCOL
from dfs.wire.common import Hello, Welcome

NODE = Peer(Role.DATANODE, "datanode-2")
NAMENODE = Peer(Role.NAMENODE, "namenode")


def test_two_of_one_cluster_welcome_each_other() -> None:
    node, namenode = Handshake(NODE, "c1"), Handshake(NAMENODE, "c1")
    peer, welcome = namenode.accept(node.hello())
    assert peer == NODE
    assert welcome.protocol == PROTOCOL
    node.check(welcome, NAMENODE, "ipc:///x")


def test_a_tool_that_knows_no_cluster_is_welcome() -> None:
    tool, namenode = Handshake(Peer(Role.CLIENT, "anna"), ""), Handshake(NAMENODE, "c1")
    _, welcome = namenode.accept(tool.hello())
    tool.check(welcome, NAMENODE, "ipc:///x")
    assert welcome.cluster == "c1"


def test_another_cluster_is_named_with_both_and_the_remedy() -> None:
    with pytest.raises(Refused) as caught:
        Handshake(NAMENODE, "c1").accept(Handshake(NODE, "c2").hello())
    for part in ("namenode", "'c1'", "datanode-2", "'c2'", "use the cluster.toml"):
        assert part in caught.value.message


def test_the_one_who_connects_checks_the_cluster_too() -> None:
    _, welcome = Handshake(NAMENODE, "c1").accept(Handshake(NODE, "c1").hello())
    with pytest.raises(Refused, match=r"'c1'.*'c2'"):
        Handshake(NODE, "c2").check(welcome, NAMENODE, "ipc:///x")


@pytest.mark.parametrize(("low", "high"), [(PROTOCOL + 1, PROTOCOL + 3), (0, 0)])
def test_protocols_without_a_common_version_are_refused_with_both_ranges(
    low: int, high: int
) -> None:
    hello = replace(Handshake(NODE, "c1").hello(), protocol_min=low, protocol_max=high)
    with pytest.raises(Refused, match=rf"protocol 1 to 1 and datanode-2 .* {low} to {high}"):
        Handshake(NAMENODE, "c1").accept(hello)


def test_a_newer_peer_with_a_common_version_is_accepted() -> None:
    hello = replace(Handshake(NODE, "c1").hello(), protocol_max=PROTOCOL + 5)
    _, welcome = Handshake(NAMENODE, "c1").accept(hello)
    assert welcome.protocol == PROTOCOL


def test_a_version_that_was_not_offered_is_refused() -> None:
    welcome = Welcome("c1", "namenode", "namenode", PROTOCOL + 1, "9.9")
    with pytest.raises(Refused, match=r"minidfs 9\.9.*install the same release"):
        Handshake(NODE, "c1").check(welcome, NAMENODE, "ipc:///x")


def test_another_process_at_the_address_is_named() -> None:
    _, welcome = Handshake(Peer(Role.DATANODE, "datanode-3"), "c1").accept(
        Handshake(NAMENODE, "c1").hello()
    )
    with pytest.raises(Refused) as caught:
        Handshake(NAMENODE, "c1").check(welcome, NODE, "tcp://127.0.0.1:9")
    for part in ("tcp://127.0.0.1:9", "datanode-3", "datanode-2"):
        assert part in caught.value.message


@pytest.mark.parametrize(
    ("role", "name"),
    [("king", "x"), ("client", ""), ("client", "a\nb"), ("client", "n" * 256)],
)
def test_strange_roles_and_names_are_refused(role: str, name: str) -> None:
    with pytest.raises(Refused):
        Handshake(NAMENODE, "c1").accept(Hello("c1", role, name, 1, 1, "0"))
