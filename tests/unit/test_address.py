"""Addresses: well formed, and within this machine or not."""

from __future__ import annotations

import pytest

from dfs.address import check_address, endpoint, is_local, split_address
from dfs.errors import BadArgument


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("127.0.0.1:9860", ("127.0.0.1", 9860)),
        ("[::1]:1", ("::1", 1)),
        ("node-7.example:65535", ("node-7.example", 65_535)),
    ],
)
def test_an_address_is_a_host_and_a_port(address: str, parts: tuple[str, int]) -> None:
    assert split_address(address) == parts


@pytest.mark.parametrize(
    "address",
    ["", "9860", ":9860", "host", "host:", "host:x", "host:-1", "host:65536", "::1:9860", "host:٣"],
)
def test_a_malformed_address_is_refused(address: str) -> None:
    with pytest.raises(BadArgument, match=r"address|port above"):
        split_address(address)


@pytest.mark.parametrize(
    "address", ["127.0.0.1:0", "localhost:9860", "[::1]:9860", "ipc:///run/minidfs/namenode.sock"]
)
def test_these_addresses_are_within_this_machine(address: str) -> None:
    check_address(address)
    assert is_local(address)


@pytest.mark.parametrize(
    "address", ["0.0.0.0:9860", "[::]:9860", "192.168.1.2:9860", "localhost.example:9860"]
)
def test_these_addresses_can_be_reached_by_others(address: str) -> None:
    check_address(address)
    assert not is_local(address)


@pytest.mark.parametrize("address", ["*:9860", "tcp://127.0.0.1:9860", "a b:1", "ho/st:1"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(BadArgument, match="is not an address"):
        check_address(address)


def test_where_others_must_know_the_port_the_system_cannot_choose_it() -> None:
    with pytest.raises(BadArgument, match="needs a port from 1 to 65535"):
        check_address("127.0.0.1:0", port_min=1)


def test_socket_paths_are_absolute_and_fit_the_system() -> None:
    with pytest.raises(BadArgument, match="starts with /"):
        check_address("ipc://run/namenode")
    with pytest.raises(BadArgument, match="longer than 100 bytes"):
        check_address("ipc:///" + "x" * 100)


def test_endpoints_are_what_zeromq_takes() -> None:
    assert endpoint("127.0.0.1:9860") == "tcp://127.0.0.1:9860"
    assert endpoint("ipc:///run/x") == "ipc:///run/x"
