"""The DFS as tasks use it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dfs.client.client import Client
from dfs.errors import NotFound
from mapreduce.worker.dfs_storage import DfsStorage
from tests.client.threaded import dumb_client

PARTS = [b"first" * 2000, b"second" * 2000]
SIZE = sum(map(len, PARTS))


@pytest.fixture
def client() -> Iterator[Client]:
    client, transport = dumb_client()
    transport.cluster.namenode.add_file("/a", PARTS)
    with client:
        client.write_bytes("/small", b"content")
        yield client


def test_a_map_is_sent_bytes_of_one_chunk_at_a_time(client: Client) -> None:
    file = DfsStorage(client).open_input("/a", client.stat("/a").inode)
    assert file.read(3, 1 << 20) == PARTS[0][3:]
    assert file.read(len(PARTS[0]), 7) == PARTS[1][:7]
    assert file.read(SIZE, 1 << 20) == b""
    assert file.open_chunk(0) is None  # no datanode is on this machine
    file.close()


def test_a_file_without_chunks(client: Client) -> None:
    file = DfsStorage(client).open_input("/small", client.stat("/small").inode)
    assert file.read(0, 1 << 20) == b"content"
    assert file.open_chunk(0) is None
    file.close()


def test_a_file_that_was_replaced_is_not_the_input_that_was_planned(client: Client) -> None:
    with pytest.raises(NotFound, match="was replaced"):
        DfsStorage(client).open_input("/a", client.stat("/small").inode)
