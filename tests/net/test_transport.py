"""The transport over real sockets: the few things that only sockets can show."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dfs.errors import BadArgument, Unavailable
from dfs.events import Event, LinkLost, Peer, Received, Reply, Role, Send
from dfs.limits import FRAME_BYTES, SECOND_NS, SOCKET_QUEUE_MAX_MESSAGES
from dfs.net.transport import ZmqTransport
from dfs.wire.common import Failed, Ok, Ping
from dfs.wire.data import ChunkCredit, ChunkData

NODE = Peer(Role.DATANODE, "datanode-1")
ANNA = Peer(Role.CLIENT, "anna")
WAIT_NS = 20 * SECOND_NS


class Net:
    """Transports in one short private folder, all of cluster c1 unless said otherwise."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack

    def endpoint(self, name: str) -> str:
        return f"ipc://{self.folder}/{name}.sock"

    def start(self, peer: Peer, *bind: str, cluster: str = "c1") -> ZmqTransport:
        transport = ZmqTransport(peer, cluster, bind)
        self._stack.callback(self.stop, transport)
        return transport

    @staticmethod
    def stop(transport: ZmqTransport) -> None:
        if not transport.is_closed:
            transport.close(0)


@pytest.fixture
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    folder = tmp_path_factory.mktemp("n")
    folder.chmod(0o700)
    with ExitStack() as stack:
        yield Net(folder, stack)


def wait(transport: ZmqTransport, *others: ZmqTransport) -> Event:
    """The next event of a transport; the others' sockets are served meanwhile."""
    for _ in range(WAIT_NS // 10_000_000):
        events = transport.poll(10_000_000)
        if events:
            (event,) = events
            return event
        for other in others:
            assert other.poll(0) == []
    raise AssertionError("nothing happened")


def ask(client: ZmqTransport, server: ZmqTransport, send: Send) -> Received:
    client.send(send)
    while not isinstance(event := _either(client, server), Received):
        pass
    return event


def _either(client: ZmqTransport, server: ZmqTransport) -> Event:
    for _ in range(2000):
        client.poll(0)
        events = server.poll(10_000_000)
        if events:
            return events[0]
    raise AssertionError("nothing arrived")


@pytest.mark.parametrize("scheme", ["ipc", "tcp"])
def test_a_request_is_answered_and_orders_go_back_on_the_same_link(net: Net, scheme: str) -> None:
    bind = net.endpoint("node") if scheme == "ipc" else "tcp://127.0.0.1:0"
    node = net.start(NODE, bind)
    client = net.start(ANNA)
    request = ask(client, node, Send(NODE, Ping(), 5, endpoints=node.endpoints))
    assert request.origin.peer == ANNA
    assert request.origin.request == 5
    node.reply(Reply(request.origin, Ok(2)))
    answer = wait(client, node)
    assert isinstance(answer, Received)
    assert (answer.origin.peer, answer.origin.request, answer.message) == (NODE, 5, Ok(2))
    node.send(Send(ANNA, Ping(), 77))
    order = wait(client, node)
    assert isinstance(order, Received)
    assert (order.origin.link, order.origin.request) == (answer.origin.link, 77)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_payloads_arrive_whole_and_can_be_passed_on(
    net: Net, kind: Callable[[bytes], bytes]
) -> None:
    payload = os.urandom(FRAME_BYTES)
    node = net.start(NODE, net.endpoint("node"))
    client = net.start(ANNA)
    buffer = kind(payload)
    client.send(Send(NODE, ChunkData(0, b""), 1, memoryview(buffer), node.endpoints))
    request = _either(client, node)
    assert isinstance(request, Received)
    if isinstance(buffer, bytearray):
        buffer[:] = bytes(len(buffer))  # the sender may go on using it
    assert request.payload == payload
    node.reply(Reply(request.origin, ChunkCredit(1), request.payload))
    answer = wait(client, node)
    assert isinstance(answer, Received)
    assert answer.payload == payload


def test_a_process_that_ends_is_noticed_on_both_kinds_of_link(net: Net) -> None:
    node = net.start(NODE, net.endpoint("node"))
    client = net.start(ANNA)
    first = ask(client, node, Send(NODE, Ping(), 1, endpoints=node.endpoints))
    client.close(0)
    lost = wait(node)
    assert lost == LinkLost(ANNA, first.origin.link, "the connection broke")
    node.reply(Reply(first.origin, Ok()))
    assert node.counts["replies to lost links"] == 1
    again = net.start(ANNA)
    ask(again, node, Send(NODE, Ping(), 1, endpoints=node.endpoints))
    node.close(0)
    lost = wait(again)
    assert isinstance(lost, LinkLost)
    assert lost.peer == NODE


def test_a_restarted_process_is_reached_by_the_next_message(net: Net) -> None:
    endpoint = net.endpoint("node")
    node = net.start(NODE, endpoint)
    client = net.start(ANNA)
    first = ask(client, node, Send(NODE, Ping(), 1, endpoints=(endpoint,)))
    node.close(0)
    assert isinstance(wait(client), LinkLost)
    node = net.start(NODE, endpoint)
    second = ask(client, node, Send(NODE, Ping(), 2, endpoints=(endpoint,)))
    assert (first.origin.request, second.origin.request) == (1, 2)


def test_nobody_at_any_endpoint_is_a_lost_link(net: Net) -> None:
    client = net.start(ANNA)
    endpoints = (net.endpoint("gone"), "tcp://127.0.0.1:1")
    client.send(Send(NODE, Ping(), 1, endpoints=endpoints))
    lost = wait(client)
    assert isinstance(lost, LinkLost)
    assert "nobody listens" in lost.reason
    assert endpoints[1] in lost.reason


def test_the_second_endpoint_is_used_when_the_first_is_dead(net: Net) -> None:
    node = net.start(NODE, "tcp://127.0.0.1:0")
    client = net.start(ANNA)
    endpoints = (net.endpoint("stale"), *node.endpoints)
    assert ask(client, node, Send(NODE, Ping(), 3, endpoints=endpoints)).origin.request == 3


def test_an_unusable_endpoint_is_a_lost_link(net: Net) -> None:
    client = net.start(ANNA)
    client.send(Send(NODE, Ping(), 1, endpoints=("nonsense://x",)))
    lost = wait(client)
    assert isinstance(lost, LinkLost)
    assert "nonsense://x" in lost.reason


def test_a_strange_cluster_is_refused_with_both_names(net: Net) -> None:
    node = net.start(NODE, net.endpoint("node"))
    client = net.start(ANNA, cluster="c2")
    client.send(Send(NODE, Ping(), 1, endpoints=node.endpoints))
    lost = wait(client, node)
    assert isinstance(lost, LinkLost)
    assert lost.refused
    assert "'c1'" in lost.reason
    assert "'c2'" in lost.reason


def test_after_a_hangup_the_handshake_begins_anew(net: Net) -> None:
    node = net.start(NODE, net.endpoint("node"))
    client = net.start(ANNA)
    first = ask(client, node, Send(NODE, Ping(), 1, endpoints=node.endpoints))
    node.hangup(ANNA)
    client.send(Send(NODE, Ping(), 2, endpoints=node.endpoints))
    lost = wait(client, node)
    assert isinstance(lost, LinkLost)
    third = ask(client, node, Send(NODE, Ping(), 3, endpoints=node.endpoints))
    assert third.origin.request == 3
    assert third.origin.link != first.origin.link


def test_a_reply_that_is_too_large_becomes_an_error(net: Net) -> None:
    node = net.start(NODE, net.endpoint("node"))
    client = net.start(ANNA)
    request = ask(client, node, Send(NODE, Ping(), 1, endpoints=node.endpoints))
    node.reply(Reply(request.origin, Failed(1, "x" * (2 << 20))))
    answer = wait(client, node)
    assert isinstance(answer, Received)
    assert isinstance(answer.message, Failed)
    assert "over the limit" in answer.message.text


def test_a_peer_that_takes_nothing_is_lost_and_not_waited_for(net: Net) -> None:
    node = net.start(NODE, net.endpoint("node"))
    client = net.start(ANNA)
    ask(client, node, Send(NODE, Ping(), 1, endpoints=node.endpoints))
    payload = bytes(32 << 10)
    for number in range(5 * SOCKET_QUEUE_MAX_MESSAGES):
        node.send(Send(ANNA, Ping(), number, payload))
        if node.counts:
            break
    (lost,) = node.poll(0)
    assert isinstance(lost, LinkLost)
    assert lost.reason == "it does not take its messages"
    assert node.counts == {"links lost to a full queue": 1}


def test_random_bytes_on_the_port_do_no_harm(net: Net) -> None:
    node = net.start(NODE, "tcp://127.0.0.1:0")
    port = int(node.endpoints[0].rpartition(":")[2])
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", port)) as stranger:
            stranger.sendall(os.urandom(1000))
            node.poll(0)
    client = net.start(ANNA)
    assert ask(client, node, Send(NODE, Ping(), 1, endpoints=node.endpoints)).message == Ping()


def test_wake_ends_a_wait_from_another_thread(net: Net) -> None:
    client = net.start(ANNA)
    threads = [threading.Thread(target=client.wake) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert client.poll(None) == []
    for thread in threads:
        thread.join()
    client.wake()
    assert client.poll(None) == []


@pytest.mark.parametrize(
    "endpoint",
    ["tcp://0.0.0.0:0", "tcp://*:0", "tcp://192.0.2.1:99", "tcp://127.0.0.2:0", "udp://x"],
)
def test_addresses_that_others_can_reach_are_refused(net: Net, endpoint: str) -> None:
    with pytest.raises(BadArgument, match="other machines"):
        net.start(NODE, endpoint)


def test_a_socket_file_in_an_open_folder_is_refused(net: Net) -> None:
    net.folder.chmod(0o755)
    with pytest.raises(BadArgument, match="mode 0700"):
        net.start(NODE, net.endpoint("node"))
    link = net.folder / "link"
    private = net.folder / "private"
    private.mkdir(mode=0o700)
    link.symlink_to(private)
    with pytest.raises(BadArgument, match="mode 0700"):
        net.start(NODE, f"ipc://{link}/node.sock")


def test_a_port_in_use_is_named(net: Net) -> None:
    node = net.start(NODE, "tcp://127.0.0.1:0")
    with pytest.raises(Unavailable, match=r"tcp://127\.0\.0\.1:\d+.*another address"):
        net.start(NODE, *node.endpoints)
