"""The library over a dumb cluster: file objects, threads, and how everything ends."""

from __future__ import annotations

import gc
import io
import os
import random
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dfs.client.client import Client
from dfs.client.effects import Operation, Receive, Sleep
from dfs.client.options import FileOptions
from dfs.errors import (
    BadArgument,
    DfsError,
    Exists,
    IsADirectory,
    LeaseLost,
    NotFound,
    TooFewNodes,
    Unavailable,
)
from dfs.limits import INLINE_MAX_BYTES, MIB, SECOND_NS
from dfs.wire import namespace as m
from dfs.wire.appending import SyncFile
from tests.client.threaded import DumbTransport, dumb_client

SIZES = [0, 1, INLINE_MAX_BYTES, INLINE_MAX_BYTES + 1, MIB, 5 * MIB + 321]


@pytest.fixture
def client() -> Iterator[Client]:
    client, _ = dumb_client()
    with client:
        yield client


@pytest.fixture
def pair() -> Iterator[tuple[Client, DumbTransport]]:
    client, transport = dumb_client()
    with client:
        yield client, transport


def noise(length: int) -> bytes:
    return random.Random(length).randbytes(length)


def interrupt_soon() -> None:
    """Press Ctrl-C while the caller waits."""
    main = threading.main_thread().ident
    assert main is not None
    threading.Timer(0.2, signal.pthread_kill, [main, signal.SIGINT]).start()


@pytest.fixture(params=["Python's", "one that lets calls go on"])
def handler(request: pytest.FixtureRequest) -> Iterator[None]:
    """Handlers of Ctrl-C: Polars, for one, puts its own before Python's, with ``SA_RESTART``."""
    signal.siginterrupt(signal.SIGINT, request.param == "Python's")
    yield
    signal.siginterrupt(signal.SIGINT, True)


@pytest.mark.parametrize("size", SIZES)
def test_what_is_written_is_read_in_every_way(client: Client, size: int, tmp_path: Path) -> None:
    data = noise(size)
    local, back = tmp_path / "local", tmp_path / "back"
    local.write_bytes(data)
    client.put(local, "/put", chunk_size=MIB)
    client.write_bytes("bytes", bytearray(data), chunk_size=64 * 1024)
    with client.open("/open", "wb", chunk_size=2 * MIB) as file:
        for at in range(0, size, 300_001):
            file.write(memoryview(data)[at : at + 300_001])
    for path in ("/put", "/bytes", "/open"):
        assert client.read_bytes(path) == data
        assert client.stat(path).size == size
        with client.open(path, "rb") as file:
            assert file.read() == data
        client.get(path, back, overwrite=True)
        assert back.read_bytes() == data


def test_reads_and_seeks_behave_as_on_a_local_file(client: Client, tmp_path: Path) -> None:
    data = noise(3 * MIB + 77)
    local = tmp_path / "local"
    local.write_bytes(data)
    client.put(local, "/f", chunk_size=256 * 1024)
    rng = random.Random(5)
    with client.open("/f", "rb") as ours, local.open("rb") as theirs:
        for _ in range(200):
            whence = rng.choice([os.SEEK_SET, os.SEEK_CUR, os.SEEK_END])
            offset = rng.randrange(len(data)) * (-1 if whence == os.SEEK_END else 1)
            length = rng.choice([0, 1, 100, 70_000, MIB])
            assert ours.seek(offset, whence) == theirs.seek(offset, whence)
            assert ours.read(length) == theirs.read(length)
            assert ours.readline(50) == theirs.readline(50)
            assert ours.tell() == theirs.tell()
        ours.seek(0)
        theirs.seek(0)
        assert list(ours) == list(theirs)
        with pytest.raises(ValueError, match="negative"):
            ours.seek(-1)
    with pytest.raises(ValueError, match="closed"):
        ours.read()


def test_text_files_keep_their_encoding_and_newlines(client: Client) -> None:
    text = "größe\nline two\n" * 5000
    with client.open("/t", "w", encoding="latin-1") as file:
        file.write(text)
    assert file.durable == 1
    with client.open("/t", encoding="latin-1") as file:
        assert file.readlines() == text.splitlines(keepends=True)
    assert client.read_bytes("/t") == text.encode("latin-1")


def test_a_file_is_invisible_until_it_is_closed(client: Client) -> None:
    for size in (10, 2 * MIB):
        path = f"/{size}"
        file = client.open(path, "wb")
        file.write(noise(size))
        assert not client.exists(path)
        assert file.durable == 0
        file.close()
        file.close()
        assert client.stat(path).size == size
        assert file.durable >= 1
        with pytest.raises(ValueError, match="closed"):
            file.write(b"more")


@pytest.mark.parametrize("mode", ["wb", "w"])
@pytest.mark.parametrize("size", [10, 3 * MIB])
def test_an_exception_inside_with_discards_what_was_written(
    pair: tuple[Client, DumbTransport], mode: str, size: int
) -> None:
    client, transport = pair
    client.write_bytes("/f", b"old")
    with pytest.raises(KeyError), client.open("/f", mode) as file:  # noqa: PT012
        file.write("x" * size if mode == "w" else b"x" * size)
        raise KeyError
    assert file.closed
    assert client.read_bytes("/f") == b"old"
    assert transport.cluster.namenode.writing == {}


@pytest.mark.parametrize("mode", ["wb", "w"])
def test_a_forgotten_file_is_discarded(pair: tuple[Client, DumbTransport], mode: str) -> None:
    client, transport = pair
    file = client.open("/f", mode)
    file.write("x" if mode == "w" else b"x")
    del file
    gc.collect()
    client.exists("/f")
    assert transport.cluster.namenode.writing == {}
    assert not client.exists("/f")


def test_a_write_that_fails_tells_it_once_more_at_close_and_leaves_nothing(
    pair: tuple[Client, DumbTransport],
) -> None:
    client, transport = pair
    transport.cluster.namenode.need = 4
    file = client.open("/f", "wb")
    with pytest.raises(TooFewNodes):  # noqa: PT012 - either call may be the one that learns it
        file.write(noise(2 * MIB))
        file.close()
    assert file.closed
    assert not client.exists("/f")
    assert transport.cluster.namenode.writing == {}


@pytest.mark.usefixtures("handler")
@pytest.mark.timeout(30)  # no request waits so briefly
def test_a_full_queue_makes_the_writer_wait_and_an_interrupt_ends_that(
    pair: tuple[Client, DumbTransport],
) -> None:
    client, transport = pair
    file = client.open("/f", "wb", chunk_size=64 * MIB)
    for node in transport.cluster.nodes.values():
        node.silent = True
    interrupt_soon()
    with pytest.raises(KeyboardInterrupt):
        file.write(bytes(40 * MIB))
    assert file.closed
    assert client.exists("/f") is False


@pytest.mark.usefixtures("handler")
@pytest.mark.timeout(30)  # no request waits so briefly
def test_an_interrupted_call_is_abandoned(pair: tuple[Client, DumbTransport]) -> None:
    client, transport = pair
    client.exists("/warm")
    transport.held = True
    interrupt_soon()
    with pytest.raises(KeyboardInterrupt):
        client.exists("/f")
    transport.held = False
    assert client.exists("/f") is False


def test_many_threads_share_a_client(client: Client) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(20):
                data = noise(number * 1000 + turn)
                client.write_bytes(f"/{number}-{turn}", data)
                assert client.read_bytes(f"/{number}-{turn}") == data
        except BaseException as failure:  # noqa: BLE001 - reported below
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []


def test_a_closed_client_says_so_and_closing_again_is_fine() -> None:
    client, transport = dumb_client()
    file = client.open("/f", "wb")
    client.mkdir("/d")
    client.close()
    client.close()
    assert transport.closed.wait(5)
    assert isinstance(transport.cluster.namenode.heard[-1], m.CloseSession)
    with pytest.raises(BadArgument, match="closed"):
        client.stat("/d")
    with pytest.raises(BadArgument, match="closed"):
        file.close()


def test_a_forgotten_client_ends_but_not_while_its_files_are_used() -> None:
    client, transport = dumb_client()
    client.write_bytes("/f", noise(3 * MIB))
    file = client.open("/f", "rb")
    del client
    gc.collect()
    assert file.read() == noise(3 * MIB)
    file.close()
    del file
    gc.collect()
    assert transport.closed.wait(5)


def test_when_the_io_thread_dies_nobody_waits_for_ever() -> None:
    client, transport = dumb_client()

    def wait() -> Operation[None]:
        yield Receive()

    results: list[BaseException] = []

    def run() -> None:
        try:
            client.run(wait())
        except RuntimeError as error:
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    transport.broken = RuntimeError("the transport broke")
    with pytest.raises(RuntimeError, match="the transport broke"):
        client.stat("/")
    thread.join(10)
    assert len(results) == 1
    with pytest.raises(RuntimeError, match="the transport broke"):
        client.stat("/")


def test_a_forked_child_is_told_to_connect_again(client: Client) -> None:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            client.stat("/")
        except BadArgument:
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def test_an_operation_of_ones_own_runs_and_its_bug_is_its_own(client: Client) -> None:
    def nap() -> Operation[str]:
        yield Sleep(SECOND_NS // 1000)
        return "rested"

    def broken() -> Operation[None]:
        yield Sleep(1)
        raise LookupError("a bug")

    assert client.run(nap()) == "rested"
    with pytest.raises(LookupError, match="a bug"):
        client.run(broken())
    assert client.run(nap()) == "rested"


def test_local_files_that_cannot_be_used_are_named(client: Client, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        client.put(tmp_path / "nowhere", "/f")
    with pytest.raises(IsADirectory):
        client.put(tmp_path, "/f")
    client.write_bytes("/f", b"new")
    target = tmp_path / "target"
    target.write_bytes(b"old")
    with pytest.raises(Exists, match="target"):
        client.get("/f", target)
    with pytest.raises(IsADirectory):
        client.get("/f", tmp_path, overwrite=True)
    with pytest.raises(NotFound):
        client.get("/f", tmp_path / "no" / "folder")
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_a_failed_get_leaves_the_local_file_as_it_was(
    pair: tuple[Client, DumbTransport], tmp_path: Path
) -> None:
    client, transport = dumb_client(timeout_ns=SECOND_NS // 5)
    with client:
        client.write_bytes("/f", noise(3 * MIB))
        for node in transport.cluster.nodes.values():
            node.alive = False
        target = tmp_path / "target"
        target.write_bytes(b"old")
        with pytest.raises(Unavailable):
            client.get("/f", target, overwrite=True)
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_streams_that_come_in_drops_and_that_break(client: Client) -> None:
    class Drops(io.RawIOBase):
        def __init__(self, data: bytes, break_at: int = -1) -> None:
            self.rest, self.left = io.BytesIO(data), break_at

        def read(self, size: int = -1) -> bytes:
            self.left -= 1
            if self.left == 0:
                raise OSError("the pipe broke")
            return self.rest.read(min(size, 7000))

    data = noise(100_000)
    client.put_stream(Drops(data), "/f", chunk_size=20_000)
    assert client.read_bytes("/f") == data
    with pytest.raises(OSError, match="the pipe broke"):
        client.put_stream(Drops(noise(3 * MIB), 300), "/g")
    assert not client.exists("/g")


def test_a_sync_waits_until_the_chunk_is_committed() -> None:
    client, transport = dumb_client()
    namenode = transport.cluster.namenode
    with client, client.open("/f", "wb", chunk_size=MIB) as file:
        file.write(b"one")
        file.sync()
        assert [type(change) for change in namenode.applied][-1] is SyncFile
        file.sync()
        file.write(b"two")
        namenode.errors = [LeaseLost("it is gone")]
        with pytest.raises(LeaseLost, match=r"^/f: it is gone"):
            file.sync()
        assert file.closed


def test_unusable_arguments_are_named(client: Client) -> None:
    with pytest.raises(BadArgument, match=r"mode 'r\+b'"):
        client.open("/f", "r+b")
    with pytest.raises(BadArgument, match="replication 0"):
        FileOptions(replication=0)
    with pytest.raises(TypeError, match="replicaton"):
        client.write_bytes("/f", b"", replicaton=2)  # type: ignore[call-arg]
    with pytest.raises(DfsError, match="NUL"):
        client.stat("/a\0b")


def test_a_file_forgotten_after_its_client_was_closed_asks_nobody() -> None:
    client, transport = dumb_client()
    file = client.open("/f", "wb")
    client.close()
    assert transport.closed.wait(5)
    heard = len(transport.cluster.namenode.heard)
    file.discard()
    assert file.closed
    assert len(transport.cluster.namenode.heard) == heard
