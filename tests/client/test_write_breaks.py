"""A file whose writing breaks, or is given up, is gone."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import pytest

from dfs.client.client import Client
from dfs.limits import MIB
from tests.client.threaded import DumbTransport, dumb_client


@pytest.fixture
def pair() -> Iterator[tuple[Client, DumbTransport]]:
    client, transport = dumb_client()
    with client:
        yield client, transport


def test_a_sync_that_breaks_discards_the_file() -> None:
    client, transport = dumb_client()
    file = client.open("/f", "wb")
    file.write(b"one")
    transport.broken = OSError("the socket is gone")
    with pytest.raises(OSError, match="the socket is gone"):
        file.sync()
    assert file.closed


@pytest.mark.parametrize("act", [lambda f: f.write(bytes(40 * MIB)), lambda f: f.close()])
def test_a_write_or_a_close_that_breaks_discards_the_file(
    act: Callable[[io.BufferedIOBase], object],
) -> None:
    client, transport = dumb_client()
    file = client.open("/f", "wb", chunk_size=64 * MIB)
    file.write(bytes(MIB))
    transport.broken = OSError("the socket is gone")
    with pytest.raises(OSError, match="the socket is gone"):
        act(file)
    assert file.closed


def test_to_discard_a_file_waits_only_a_moment_for_silent_nodes(
    pair: tuple[Client, DumbTransport],
) -> None:
    client, transport = pair
    file = client.open("/f", "wb", chunk_size=64 * MIB)
    for node in transport.cluster.nodes.values():
        node.silent = True
    file.write(bytes(2 * MIB))
    file.discard()
    assert client.exists("/f") is False
