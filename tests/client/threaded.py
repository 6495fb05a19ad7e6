"""The dumb cluster behind a real I/O thread: a transport without sockets."""

from __future__ import annotations

import threading

from dfs.client.client import Client
from dfs.client.connection import Connection
from dfs.client.namenode import ClientSettings, Namenode
from dfs.events import Event, Send
from dfs.limits import SECOND_NS
from tests.client.dumb_cluster import CLUSTER, DumbCluster


class DumbTransport:
    """Delivers to a dumb cluster in the I/O thread. ``held`` keeps answers back."""

    def __init__(self, cluster: DumbCluster) -> None:
        self.cluster = cluster
        self.closed = threading.Event()
        self.held = False
        self.broken: Exception | None = None
        self._woken = threading.Event()
        self._events: list[Event] = []

    def send(self, action: Send) -> None:
        if self.broken is not None:
            raise self.broken
        events = self.cluster.deliver(action)
        if not self.held:
            self._events += events

    def poll(self, timeout_ns: int | None) -> list[Event]:
        if not self._events:
            self._woken.wait(None if timeout_ns is None else timeout_ns / SECOND_NS)
        self._woken.clear()
        events, self._events = self._events, []
        return events

    def wake(self) -> None:
        self._woken.set()

    def close(self) -> None:
        self.closed.set()


def dumb_client(timeout_ns: int = 60 * SECOND_NS) -> tuple[Client, DumbTransport]:
    """A client of a new dumb cluster, and its transport."""
    transport = DumbTransport(DumbCluster())
    settings = ClientSettings(CLUSTER, ("tcp://nn:1",), "here", timeout_ns)
    return Client(Connection(transport, Namenode(settings))), transport
