"""Commands through outages: they wait and say for what, or end in time with one line."""

from __future__ import annotations

import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.integration.cluster_here import ClusterHere, until
from tests.integration.test_storage_faults import files_below, up

pytestmark = pytest.mark.cluster

MIB = 1024 * 1024
LARGE_BYTES = 200 * MIB


def feed(child: subprocess.Popen[bytes], content: bytes | memoryview) -> threading.Thread:
    """Write the rest of a child's input and end it, beside what the test does."""
    stdin = child.stdin
    assert stdin is not None

    def write() -> None:
        with suppress(BrokenPipeError), stdin:  # the child may end before it has read all
            stdin.write(content)

    thread = threading.Thread(target=write)
    thread.start()
    return thread


def error_line(child: subprocess.Popen[bytes]) -> str:
    """The next line on stderr, whenever it comes."""
    assert child.stderr is not None
    return child.stderr.readline().decode()


def test_a_large_put_and_a_large_get_survive_the_namenodes_death(own_cluster: ClusterHere) -> None:
    cluster = own_cluster
    cluster.minidfs("up", "--nodes", "2", "--chunk-size", "8M")
    content = random.Random(1).randbytes(LARGE_BYTES)
    half = LARGE_BYTES // 2

    writer = cluster.begin("minidfs", "put", "-", "/f")
    assert writer.stdin is not None
    writer.stdin.write(content[:half])
    cluster.minidfs("stop", "namenode", "--kill")
    feeder = feed(writer, memoryview(content)[half:])
    assert error_line(writer).startswith("minidfs: waiting for the namenode at 127.0.0.1:")
    cluster.minidfs("up")
    feeder.join()
    assert (writer.wait(timeout=100), error_line(writer)) == (0, "")

    reader = cluster.begin("minidfs", "cat", "/f")
    assert reader.stdout is not None
    begin = reader.stdout.read(half)
    cluster.minidfs("stop", "namenode", "--kill")
    rest = reader.stdout.read(MIB)
    cluster.minidfs("up")
    rest += reader.stdout.read()
    assert reader.wait(timeout=100) == 0
    assert begin + rest == content


def test_a_writer_stopped_for_longer_than_its_lease_loses_the_file(
    own_cluster: ClusterHere,
) -> None:
    cluster = own_cluster
    up(cluster, 1, "1M")
    writer = cluster.begin("minidfs", "put", "-", "/f")
    assert writer.stdin is not None
    writer.stdin.write(bytes(5 * MIB))
    writer.stdin.flush()
    until(lambda: len(files_below(cluster, "datanode-1", "chunks")) > 2)
    writer.send_signal(signal.SIGSTOP)

    refused = cluster.minidfs("put", "-", "/f", stdin=b"second", code=4)
    assert refused.stderr.count("\n") == 1
    assert "/f is being written by " in refused.stderr
    until(lambda: cluster.minidfs("put", "-", "/f", stdin=b"second", code=None).returncode == 0)
    writer.send_signal(signal.SIGCONT)
    _, err = writer.communicate(timeout=60)
    *waited, last = err.splitlines()  # a question that it had just asked has waited for long
    assert all(line.startswith(b"minidfs: waiting for the namenode") for line in waited)
    assert writer.returncode == 4
    assert last.startswith(b"minidfs: /f: the lease of its writer has ended")
    assert cluster.cat("/f") == b"second"
    until(lambda: files_below(cluster, "datanode-1", "chunks") == [])


def test_a_writer_that_is_slow_and_alive_keeps_its_file(own_cluster: ClusterHere) -> None:
    """Far beyond its lease of 3 s; the file that others want is his all the time."""
    cluster = own_cluster
    up(cluster, 1, "1M")
    writer = cluster.begin("minidfs", "put", "-", "/f")
    assert writer.stdin is not None
    writer.stdin.write(bytes(5 * MIB))
    writer.stdin.flush()
    end_s = time.monotonic() + 10
    while time.monotonic() < end_s:
        cluster.minidfs("put", "-", "/f", stdin=b"other", code=4)
    assert (writer.communicate(timeout=60)[1], writer.returncode) == (b"", 0)
    assert cluster.cat("/f") == bytes(5 * MIB)


def test_a_datanode_that_stops_for_longer_than_the_lease_costs_the_writer_nothing(
    own_cluster: ClusterHere,
) -> None:
    """His lease of 3 s is kept while he waits for the chain to break, and so is every byte."""
    cluster = own_cluster
    up(cluster, 3, "1M")
    content = random.Random(2).randbytes(6 * MIB)
    writer = cluster.begin("minidfs", "put", "-", "/f")
    assert writer.stdin is not None
    writer.stdin.write(content[: 3 * MIB])
    writer.stdin.flush()
    until(lambda: len(files_below(cluster, "datanode-2", "chunks")) > 1)
    cluster.minidfs("pause", "datanode-2")
    writer.stdin.write(content[3 * MIB : 5 * MIB])
    writer.stdin.flush()
    end_s = time.monotonic() + 8
    while time.monotonic() < end_s:
        refused = cluster.minidfs("put", "-", "/f", stdin=b"other", code=4)
        assert "/f is being written by " in refused.stderr
    cluster.minidfs("resume", "datanode-2")
    _, err = writer.communicate(content[5 * MIB :], timeout=100)
    assert (err, writer.returncode) == (b"", 0)
    assert cluster.cat("/f") == content


def test_an_interrupted_put_frees_the_name_at_once(cluster: ClusterHere) -> None:
    """The lease would last for a minute."""
    writer = cluster.begin("minidfs", "put", "--chunk-size", "1M", "-", "/interrupted")
    assert writer.stdin is not None
    writer.stdin.write(bytes(5 * MIB))
    writer.stdin.flush()
    busy = cluster.minidfs("put", "-", "/interrupted", stdin=b"other", code=4)
    assert "/interrupted is being written by" in busy.stderr
    writer.send_signal(signal.SIGINT)
    assert (writer.communicate(timeout=60)[1], writer.returncode) == (b"", 130)
    assert cluster.minidfs("ls", "/interrupted", code=3).stdout == ""
    cluster.minidfs("put", "-", "/interrupted", stdin=b"other")
    assert cluster.cat("/interrupted") == b"other"


@pytest.fixture
def silent_port() -> Iterator[int]:
    """The port of a socket that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_who_never_answers_is_given_up_at_once(own_cluster: ClusterHere, silent_port: int) -> None:
    folder = own_cluster.folder
    folder.mkdir()
    text = f'[cluster]\nid = "silent"\n[namenode]\naddress = "127.0.0.1:{silent_port}"\n'
    file = folder / "silent.toml"
    file.write_text(text, encoding="ascii")
    begin_s = time.monotonic()
    done = own_cluster.minidfs("--cluster", file, "ls", "/", code=5)
    assert time.monotonic() - begin_s < 30
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)
    assert f"no namenode answers at 127.0.0.1:{silent_port}" in done.stderr


def test_a_namenode_that_freezes_is_waited_for_until_the_timeout(own_cluster: ClusterHere) -> None:
    cluster = own_cluster
    up(cluster, 1, "1M")
    writer = cluster.begin("minidfs", "--timeout", "5s", "put", "-", "/f")
    assert writer.stdin is not None
    writer.stdin.write(bytes(3 * MIB))
    writer.stdin.flush()
    until(lambda: len(files_below(cluster, "datanode-1", "chunks")) > 1)
    cluster.minidfs("pause", "namenode")
    feeder = feed(writer, bytes(3 * MIB))
    assert writer.wait(timeout=60) == 5
    feeder.join()
    assert writer.stderr is not None
    notice, error = writer.stderr.read().decode().splitlines()
    assert notice.startswith("minidfs: waiting for the namenode at ")
    assert error.startswith("minidfs: ")
    assert "5 s" in error
    cluster.minidfs("resume", "namenode")
    until(lambda: cluster.minidfs("put", "-", "/f", stdin=b"x", code=None).returncode == 0)
