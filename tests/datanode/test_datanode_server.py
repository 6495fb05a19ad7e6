"""One real datanode process over its socket: write, read, SIGTERM, start again."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from dfs.checksum import chunk_digest, slice_hashes
from dfs.endpoints import socket_endpoint
from dfs.events import Peer, Received, Role, Send
from dfs.limits import FRAME_BYTES, SECOND_NS
from dfs.net.transport import ZmqTransport
from dfs.wire.codec import Message
from dfs.wire.data import (
    ChunkCredit,
    ChunkData,
    ChunkOpened,
    ChunkSealed,
    ChunkSlices,
    OpenChunk,
    ReadChunk,
    Receipt,
    SealChunk,
)

CLUSTER = "c-demo"
NODE = Peer(Role.DATANODE, "datanode-1")
WAIT_NS = 20 * SECOND_NS
PROGRAM = """
import sys
from pathlib import Path
from dfs.config import Cluster, Config, Datanode, Reserve, Security
from dfs.datanode.server import DatanodeOptions, serve
datanode = Datanode(listen="127.0.0.1:0", reserve=Reserve(0, 0))
home = Path(sys.argv[1])
config = Config(Cluster("c-demo"), datanode=datanode, security=Security("none"))
sys.exit(serve(DatanodeOptions(config, home, "datanode-1", home / "run" / "datanode-1.pid")))
"""


class Peers:
    """A client's end of the connection."""

    def __init__(self, home: Path) -> None:
        self.transport = ZmqTransport(Peer(Role.CLIENT, "ann"), CLUSTER)
        self.endpoints = (socket_endpoint(home, NODE.name),)

    def ask(self, message: Message, request: int, payload: Any = b"") -> Received:
        """Send, and wait for the next message on this request."""
        self.transport.send(Send(NODE, message, request, payload, self.endpoints))
        end_ns = time.monotonic_ns() + WAIT_NS
        while time.monotonic_ns() < end_ns:
            for event in self.transport.poll(SECOND_NS):
                assert isinstance(event, Received), event
                return event
        raise AssertionError(f"no answer to {type(message).__name__}")


@pytest.fixture
def datanode(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = start(tmp_path)
    yield process
    process.kill()
    process.communicate()


def start(home: Path) -> subprocess.Popen[str]:
    """A datanode that listens: its pid file says so."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(home)], stderr=subprocess.PIPE, text=True
    )
    end_ns = time.monotonic_ns() + WAIT_NS
    while not (home / "run" / "datanode-1.pid").exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic_ns() < end_ns, "it does not start"
        time.sleep(0.02)
    return process


@pytest.mark.cluster
def test_a_chunk_survives_the_process(tmp_path: Path, datanode: subprocess.Popen[str]) -> None:
    data = Random(1).randbytes(2 * FRAME_BYTES + 5)
    digest = chunk_digest(CLUSTER, 9, 1, len(data), slice_hashes(data))
    client = Peers(tmp_path)
    assert client.ask(OpenChunk(9, 1, 1, 0, "/a", len(data)), 1).message == ChunkOpened(0)
    for at in range(0, len(data), FRAME_BYTES):
        frame = data[at : at + FRAME_BYTES]
        credit = client.ask(ChunkData(at, slice_hashes(frame)), 1, frame).message
        assert credit == ChunkCredit(at + len(frame))
    receipt = Receipt(NODE.name, 9, 1, len(data), digest)
    assert client.ask(SealChunk(len(data), digest), 1).message == ChunkSealed((receipt,))
    client.transport.close()

    datanode.send_signal(signal.SIGTERM)
    lines = datanode.communicate(timeout=20)[1].splitlines()
    assert datanode.returncode == 0
    assert lines[-1].endswith("datanode-1 stopped")
    again = start(tmp_path)
    try:
        client = Peers(tmp_path)
        answer = client.ask(ReadChunk(9, 1, FRAME_BYTES, FRAME_BYTES), 2)
        assert answer.message == ChunkSlices(FRAME_BYTES)
        assert answer.payload == data[FRAME_BYTES : 2 * FRAME_BYTES]
        client.transport.close()
    finally:
        again.kill()
        again.communicate()
