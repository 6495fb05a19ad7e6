"""Descriptors over a socket: what a good client gets and what a bad one cannot do."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from dfs.checksum import chunk_digest, slice_hashes
from dfs.client.effects import ReadLocally
from dfs.client.local_chunks import read_locally
from dfs.datanode.chunkfile import Footer, Header, ReplicaKey, encode_footer, encode_header
from dfs.disk import LocalFile
from dfs.errors import Corrupt, NotFound, StorageFault
from dfs.limits import DESCRIPTOR_CONNECTIONS_MAX, SLICE_BYTES
from dfs.net.descriptors import DescriptorService, open_chunk

CONTENT = os.urandom(2 * SLICE_BYTES + 5)


class Served:
    """A service for one file, chunk 7 of generation 1."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "chunk"
        self.hashes = slice_hashes(CONTENT)
        key, digest = ReplicaKey(7, 1), chunk_digest("c", 7, 1, len(CONTENT), self.hashes)
        header = encode_header(Header("c", key, 3, 0, "/a"))
        footer = encode_footer(Footer(key, len(CONTENT), digest, self.hashes))
        self.file.write_bytes(header + CONTENT + footer)
        self.path = folder / "fd.sock"
        self.path.touch()  # a process that was killed left it
        self.service = DescriptorService(self.path, self.open)

    def open(self, chunk: int, generation: int) -> LocalFile:
        if (chunk, generation) != (7, 1):
            raise NotFound("no")
        return LocalFile(os.open(self.file, os.O_RDONLY))

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(str(self.path))  # waits while too many wait to be accepted
        connection.settimeout(10)
        return connection

    def task(self, digest: bytes | None = None) -> ReadLocally:
        digest = digest or chunk_digest("c", 7, 1, len(CONTENT), self.hashes)
        frames = ((0, SLICE_BYTES), (SLICE_BYTES, SLICE_BYTES + 5))
        return ReadLocally(self.service.endpoint, "c", 7, 1, len(CONTENT), digest, b"", frames)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    found = Served(tmp_path)
    yield found
    found.service.close()
    assert not found.path.exists()


def test_a_client_reads_the_file_itself_and_verifies_it(served: Served) -> None:
    before = len(os.listdir("/proc/self/fd"))
    slices = read_locally(open_chunk, served.task())
    assert b"".join(slices.frames.values()) == CONTENT
    assert slices.hashes == served.hashes
    with pytest.raises(Corrupt, match="not what was written"):
        read_locally(open_chunk, served.task(bytes(16)))
    served.file.write_bytes(served.file.read_bytes().replace(CONTENT[:9], b"?" * 9))
    with pytest.raises(Corrupt, match="checksum"):
        read_locally(open_chunk, served.task())
    served.file.write_bytes(served.file.read_bytes()[:-40] + bytes(40))
    with pytest.raises(Corrupt, match="trailer"):
        read_locally(open_chunk, served.task())
    served.service.close()  # it may have been closing the last connections
    assert len(os.listdir("/proc/self/fd")) <= before


def test_the_descriptor_is_read_only(served: Served) -> None:
    file = open_chunk(served.service.endpoint, 7, 1)
    with pytest.raises(OSError, match="Bad file descriptor"):
        file.write_at(0, b"x")
    assert not os.get_inheritable(file.fileno())
    file.close()


def test_what_is_not_held_and_who_does_not_serve_are_errors(served: Served, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        open_chunk(served.service.endpoint, 7, 2)
    with pytest.raises(StorageFault, match="No such file"):
        open_chunk(f"fd:{tmp_path}/nobody.sock", 7, 1)


@pytest.mark.parametrize("request_bytes", [b"G" * 24, b"mDFd\x00\x63" + bytes(18), b"half"])
def test_garbage_is_answered_with_the_end_of_the_connection(
    served: Served, request_bytes: bytes
) -> None:
    with served.connect() as connection:
        connection.sendall(request_bytes)
        assert connection.recv(10) == b""
    open_chunk(served.service.endpoint, 7, 1).close()


def test_many_silent_clients_keep_nobody_out(served: Served) -> None:
    silent = [served.connect() for _ in range(DESCRIPTOR_CONNECTIONS_MAX + 140)]
    for connection in silent[:140]:  # the oldest make room
        with connection, suppress(ConnectionResetError):
            assert connection.recv(10) == b""
    open_chunk(served.service.endpoint, 7, 1).close()
    for connection in silent[140:]:  # the others lose theirs when their time is over
        with connection, suppress(ConnectionResetError):
            assert connection.recv(10) == b""


def test_a_client_that_leaves_at_once_harms_nothing(served: Served) -> None:
    for _ in range(20):
        with served.connect() as connection:
            connection.sendall(b"mDFd\x00\x01" + bytes(2) + (7).to_bytes(8) + (1).to_bytes(8))
    open_chunk(served.service.endpoint, 7, 1).close()


def wait_without_descriptors(folder: Path) -> None:
    """Let a client come while this process has no descriptor left, and then has."""
    served = Served(folder)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    request = b"mDFd\x00\x01" + bytes(2) + (7).to_bytes(8) + (1).to_bytes(8)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
        try:
            client.connect(str(served.path))
            client.sendall(request)
            served.service._accept()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        client.settimeout(10)
        answer, descriptors, _, _ = socket.recv_fds(client, 1, 1)
    assert answer == b"\x01"
    os.close(descriptors[0])
    served.service.close()


def test_a_client_waits_while_the_process_has_no_descriptor_left(tmp_path: Path) -> None:
    """In a process of its own: ZeroMQ aborts one that has no descriptor when it wants one."""
    program = f"""
from pathlib import Path
from tests.net.test_descriptors import wait_without_descriptors
wait_without_descriptors(Path({str(tmp_path)!r}))
"""
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert child.returncode == 0, child.stderr.decode()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
def test_another_user_gets_nothing() -> None:
    program = """
import os, socket, sys
os.setuid(65534)
other = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
other.connect(sys.argv[1])
request = b"mDFd" + (1).to_bytes(2) + bytes(2) + (7).to_bytes(8) + (1).to_bytes(8)
try:
    other.sendall(request)
    print(socket.recv_fds(other, 1, 1)[1])
except OSError:
    print([])
"""
    with TemporaryDirectory(dir="/tmp") as name:  # a folder that the other user may enter
        folder = Path(name)
        folder.chmod(0o755)
        served = Served(folder)
        served.path.chmod(0o777)
        command = [sys.executable, "-c", program, str(served.path)]
        child = subprocess.run(command, capture_output=True, text=True, check=False)
        open_chunk(served.service.endpoint, 7, 1).close()
        served.service.close()
    assert child.stdout == "[]\n", child.stderr
