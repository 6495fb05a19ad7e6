"""The library appends to files of a whole cluster, against ``bytes`` as the model."""

from __future__ import annotations

import pytest

from dfs.client.client import Client
from dfs.errors import Exists, IsADirectory, LeaseLost
from dfs.events import Peer, Role
from dfs.limits import INLINE_MAX_BYTES, KIB, SECOND_NS
from dfs.testing.cluster import StorageCluster

CHUNK = 64 * KIB
SIZES = (0, 1, INLINE_MAX_BYTES, INLINE_MAX_BYTES + 1, CHUNK - 1, CHUNK, 2 * CHUNK + 5)


@pytest.fixture
def cluster() -> StorageCluster:
    cluster = StorageCluster("appends")
    cluster.settle()
    return cluster


@pytest.fixture
def client(cluster: StorageCluster) -> Client:
    return cluster.client()


def content_of(size: int, seed: int = 1) -> bytes:
    return bytes((at * 7 + seed) % 251 for at in range(size))


def append_and_fail(client: Client, path: str) -> None:
    with client.open(path, "ab") as file:
        file.write(b"half")
        raise ZeroDivisionError


@pytest.mark.parametrize("old", SIZES)
def test_what_is_appended_stands_behind_what_was_there(client: Client, old: int) -> None:
    for number, more in enumerate((*SIZES, 100, 3)):
        path = f"/{number}"
        expected = content_of(old)
        client.write_bytes(path, expected, chunk_size=CHUNK)
        for seed in (2, 3):
            with client.open(path, "ab") as file:
                assert file.tell() == len(expected)
                piece = content_of(more, seed)
                file.write(piece[: more // 3])
                file.write(piece[more // 3 :])
                assert client.read_bytes(path) == expected
            expected += piece
            assert client.read_bytes(path) == expected
            assert client.stat(path).size == len(expected)


def test_appending_copies_nothing(client: Client) -> None:
    client.write_bytes("/f", content_of(CHUNK + 10), chunk_size=CHUNK)
    before = client.locations("/f")
    with client.open("/f", "ab") as file:
        file.write(content_of(20))
    after = client.locations("/f")
    assert after[:2] == before
    assert [(c.offset, c.size) for c in after] == [(0, CHUNK), (CHUNK, 10), (CHUNK + 10, 20)]


def test_text_is_appended(client: Client) -> None:
    for word in ("eins\n", "zwei\n", "drei\n"):
        with client.open("/f", "a") as file:
            file.write(word)
    assert client.open("/f").read() == "eins\nzwei\ndrei\n"


@pytest.mark.parametrize("old", SIZES)
def test_a_sync_shows_readers_the_file_so_far(client: Client, old: int) -> None:
    expected = content_of(old)
    client.write_bytes("/f", expected, chunk_size=CHUNK)
    reader = client.open("/f", "rb")
    with client.open("/f", "ab") as file:
        for more in (5, 0, CHUNK + 1, 7):
            file.write(content_of(more, 9))
            file.sync()
            expected += content_of(more, 9)
            assert client.read_bytes("/f") == expected
        file.write(b"not synced")
        assert client.read_bytes("/f") == expected
    assert client.read_bytes("/f") == expected + b"not synced"
    assert reader.read() == content_of(old)


def test_a_sync_of_a_new_file_shows_nothing_and_seals_its_chunk(client: Client) -> None:
    with client.open("/f", "w", chunk_size=CHUNK) as file:
        file.sync()
        file.write("ab")
        file.sync()
        assert client.list("/") == []
        file.write("cd")
    assert client.read_bytes("/f") == b"abcd"
    assert [c.size for c in client.locations("/f")] == [2, 2]


def test_an_exception_keeps_what_readers_see(client: Client) -> None:
    client.write_bytes("/f", content_of(CHUNK), chunk_size=CHUNK)
    with pytest.raises(ZeroDivisionError):
        append_and_fail(client, "/f")
    assert client.read_bytes("/f") == content_of(CHUNK)
    with client.open("/f", "ab") as file:
        file.write(b"whole")
    assert client.read_bytes("/f") == content_of(CHUNK) + b"whole"


def test_what_cannot_be_appended_to_says_so(client: Client) -> None:
    client.mkdir("/d")
    with pytest.raises(IsADirectory):
        client.open("/d", "ab")


def test_of_two_writers_the_second_is_refused_until_the_lease_ends(cluster: StorageCluster) -> None:
    """The same for a new name, an append, and a put over a put."""
    client, other = cluster.client(), cluster.client("bob")
    client.write_bytes("/old", b"old")
    files = [client.open("/new", "xb"), client.open("/old", "ab"), client.open("/put", "wb")]
    cluster.settle(90 * SECOND_NS)  # sleeping, and yet heard of
    for path, mode in (("/new", "xb"), ("/old", "ab"), ("/put", "wb")):
        with pytest.raises(Exists, match=f"{path} is being written by anna .* since ") as refused:
            other.open(path, mode)
        assert refused.value.exit_code == 4
    with pytest.raises(Exists, match="/put is being written by anna"):
        other.write_bytes("/put", b"new", overwrite=True)
    cluster.world.network.part(Peer(Role.CLIENT, "anna"), cluster.namenode.peer)
    cluster.settle(70 * SECOND_NS)
    for path, mode in (("/new", "xb"), ("/old", "ab"), ("/put", "wb")):
        with other.open(path, mode) as file:
            file.write(b" bob")
    cluster.world.network.heal()
    for file in files:
        file.write(b"late")
        with pytest.raises(LeaseLost, match=f"^{file.name}: the lease of its writer has ended"):
            file.close()
    assert other.read_bytes("/old") == b"old bob"
    assert other.read_bytes("/new") == other.read_bytes("/put") == b" bob"
