"""The library against the production namenode and datanodes, in one thread."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dfs.client.client import Client
from dfs.client.entries import Usage
from dfs.errors import BadArgument, Exists, IsADirectory, NotEmpty, NotFound, TooFewNodes
from dfs.limits import KIB, LISTING_MAX_ROWS, PATH_MAX_COMPONENTS, SECOND_NS, STAT_MAX_PATHS
from dfs.testing.cluster import StorageCluster


@pytest.fixture
def cluster() -> StorageCluster:
    cluster = StorageCluster("client library")
    cluster.settle()
    return cluster


@pytest.fixture
def fs(cluster: StorageCluster) -> Iterator[Client]:
    with cluster.client() as client:
        yield client


def paths(entries: list) -> list[str]:  # type: ignore[type-arg]
    return [entry.path for entry in entries]


def test_a_tree_is_made_listed_walked_and_removed(fs: Client) -> None:
    fs.mkdir("/a/b", parents=True)
    fs.write_bytes("/a/one", b"1")
    fs.write_bytes("a/b/two", b"22")
    assert paths(fs.list("/a")) == ["/a/b", "/a/one"]
    assert paths(fs.list("/a/one")) == ["/a/one"]
    assert list(fs.walk("/")) == [
        ("/", ["a"], []),
        ("/a", ["b"], ["one"]),
        ("/a/b", [], ["two"]),
    ]
    assert list(fs.walk("/a/one")) == []
    assert paths(fs.glob("a/*")) == ["/a/b", "/a/one"]
    assert fs.glob("/a/nothing*") == []
    assert fs.usage("/") == Usage(size=3, files=2, directories=3, stored=9)
    assert fs.usage("/a/one") == Usage(size=1, files=1, directories=0, stored=3)
    with pytest.raises(NotEmpty):
        fs.remove("/a")
    fs.remove("/a", recursive=True)
    assert fs.list() == []


def test_a_walk_passes_over_a_directory_that_went_meanwhile(fs: Client) -> None:
    fs.mkdir("/a/b", parents=True)
    walk = fs.walk("/a")
    assert next(walk) == ("/a", ["b"], [])
    fs.remove("/a/b")
    assert list(walk) == [("/a/b", [], [])]


def test_an_entry_tells_what_users_ask_for(fs: Client) -> None:
    fs.write_bytes("/f", bytes(100 * KIB), replication=2, chunk_size=64 * KIB)
    entry = fs.stat("f")
    assert (entry.path, entry.name, entry.size, entry.is_dir) == ("/f", "f", 100 * KIB, False)
    assert (entry.replication, entry.chunk_size) == (2, 64 * KIB)
    assert (entry.owner, entry.mode) == ("anna", 0o644)
    assert fs.stat("/").is_dir
    assert fs.stat("/").name == ""


def test_errors_are_pythons_own_as_well(fs: Client) -> None:
    fs.write_bytes("/f", b"x")
    fs.mkdir("/d")
    for call in (fs.stat, fs.read_bytes, fs.list, fs.remove, fs.locations):
        with pytest.raises(FileNotFoundError) as caught:
            call("/missing")
        assert isinstance(caught.value, NotFound)
    with pytest.raises(FileExistsError):
        fs.mkdir("/d")
    fs.mkdir("/d", exist_ok=True)
    with pytest.raises(IsADirectory):
        fs.read_bytes("/d")
    with pytest.raises(Exists):
        fs.open("/f", "xb")
    with pytest.raises(Exists):
        fs.write_bytes("/f", b"y", overwrite=False)
    with pytest.raises(BadArgument):
        fs.stat("/a/../b")
    assert not fs.exists("/f/below")


def test_renaming_keeps_content_and_replaces_only_when_told(fs: Client) -> None:
    fs.write_bytes("/a", bytes(50_000))
    fs.write_bytes("/b", b"old")
    with pytest.raises(Exists):
        fs.rename("/a", "/b")
    fs.rename("/a", "/b", overwrite=True)
    assert fs.read_bytes("/b") == bytes(50_000)
    assert not fs.exists("/a")


def test_long_directories_are_listed_to_the_end(fs: Client) -> None:
    count = LISTING_MAX_ROWS + 5
    for number in range(count):
        fs.mkdir(f"/many/{number:05}", parents=True)
    assert [entry.name for entry in fs.list("/many")] == [f"{n:05}" for n in range(count)]
    assert len(fs.glob("/many/*")) == count


def test_locations_name_nodes_and_hosts_of_each_chunk(fs: Client) -> None:
    fs.write_bytes("/f", bytes(150_000), replication=2, chunk_size=64 * KIB)
    locations = fs.locations("/f")
    assert [(place.offset, place.size) for place in locations] == [
        (0, 65536),
        (65536, 65536),
        (131072, 18928),
    ]
    for place in locations:
        assert len(place.nodes) == 2
        assert place.hosts == tuple(f"host-of-{node}" for node in place.nodes)
    fs.write_bytes("/small", b"x")
    assert fs.locations("/small") == []


def test_what_was_closed_survives_crashes_of_everything(cluster: StorageCluster) -> None:
    data = bytes(range(256)) * 2000
    with cluster.client() as fs:
        stored = fs.write_bytes("/f", data, chunk_size=128 * KIB)
        assert (stored.durable, stored.hosts) == (3, 2)  # the log is on two machines
        for node in [cluster.namenode, *cluster.datanodes]:
            cluster.world.kill(node, power=True)
            cluster.world.boot(node)
        assert fs.read_bytes("/f") == data


def test_datanodes_that_die_while_a_file_is_open_are_worked_around(
    cluster: StorageCluster,
) -> None:
    data = bytes(range(256)) * 16_000
    with cluster.client() as fs:
        with fs.open("/f", "wb", chunk_size=1 << 20) as file:
            file.write(data[:1_500_000])
            cluster.world.kill(cluster.datanodes[0])
            file.write(data[1_500_000:])
        assert fs.read_bytes("/f") == data


def test_a_write_without_enough_datanodes_says_what_to_do(cluster: StorageCluster) -> None:
    with cluster.client() as fs:
        for node in cluster.datanodes[1:]:
            cluster.world.kill(node)
        cluster.settle(30 * SECOND_NS)
        with pytest.raises(TooFewNodes, match=r"1 of 3 datanodes is up .*--min-durable 1"):
            fs.write_bytes("/f", bytes(20_000))
        assert not fs.exists("/f")
        assert fs.write_bytes("/f", bytes(20_000), min_durable=1).durable == 1
        assert fs.read_bytes("/f") == bytes(20_000)


def test_an_open_file_keeps_its_lease_while_its_writer_thinks(cluster: StorageCluster) -> None:
    with cluster.client() as fs:
        with fs.open("/f", "wb", chunk_size=1 << 20) as file:
            file.write(bytes(100_000))
            cluster.settle(300 * SECOND_NS)
            file.write(bytes(100_000))
        assert fs.read_bytes("/f") == bytes(200_000)


def test_a_name_being_written_is_taken_until_its_writer_gives_it_up(
    cluster: StorageCluster,
) -> None:
    with cluster.client() as anna, cluster.client("bert") as bert:
        file = anna.open("/f", "wb")
        file.write(b"half")
        with pytest.raises(Exists, match="being written by anna"):
            bert.write_bytes("/f", b"other")
        file.discard()
        bert.write_bytes("/f", b"other")
        assert anna.read_bytes("/f") == b"other"


def test_many_paths_are_looked_up_at_once(fs: Client) -> None:
    fs.write_bytes("/a/one", b"1")
    asked = ["/a/one", "/a", "/nothing", "a/one/below", "/"] * STAT_MAX_PATHS
    found = fs.stat_many(asked)
    assert found == [fs.stat("/a/one"), fs.stat("/a"), None, None, fs.stat("/")] * STAT_MAX_PATHS
    assert fs.stat_many([]) == []


def test_many_deep_paths_are_looked_up_too(fs: Client) -> None:
    folder = "/d" * (PATH_MAX_COMPONENTS - 1)
    names = [f"{folder}/{number}" for number in range(LISTING_MAX_ROWS // PATH_MAX_COMPONENTS * 2)]
    fs.write_bytes(names[0], b"1")
    assert fs.stat_many(names) == [fs.stat(names[0]), *[None] * (len(names) - 1)]
