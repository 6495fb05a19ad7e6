"""A datanode, or a chain of them, driven by hand: events in, actions out, disk in memory."""

from __future__ import annotations

from collections import deque
from typing import Any

from dfs.checksum import chunk_digest, slice_hashes
from dfs.datanode import tasks
from dfs.datanode.chunkfile import HEADER_BYTES, Footer, ReplicaKey, sealed_path
from dfs.datanode.core import DatanodeCore, DatanodeSettings
from dfs.datanode.store import ChunkStore
from dfs.errors import DfsError
from dfs.events import (
    Action,
    Event,
    LinkLost,
    Note,
    Now,
    Origin,
    Peer,
    Received,
    Reply,
    Role,
    Send,
    Work,
    WorkDone,
)
from dfs.limits import FRAME_BYTES
from dfs.testing.disk import MemoryDisk
from dfs.wire.codec import Message
from dfs.wire.common import Failed, Ok
from dfs.wire.data import ChunkData, ChunkSealed, OpenChunk, ReadChunk, Receipt, SealChunk
from dfs.wire.namespace import NodeAddress
from dfs.wire.node import DeleteReplicas, Register, Registered, ReplicaId, ReplicaNews, ReportPage

CLUSTER = "c-demo"
NAMENODE = Peer(Role.NAMENODE, "namenode")
WRITER = Peer(Role.CLIENT, "ann")
READER = Origin(Peer(Role.CLIENT, "bob"), 6, 1)
RESERVE_BYTES = 1000


class Node:
    """One core with its store. Disk work waits in ``work`` until ``run_work``."""

    def __init__(self, name: str = "datanode-1", *disks: MemoryDisk) -> None:
        self.name = name
        self.disks = disks or (MemoryDisk(),)
        self.disk = self.disks[0]
        self.now_ns = 0
        self.work: deque[Work] = deque()
        self.out: list[Reply | Send] = []
        self.notes: list[str] = []
        self.boot()

    def boot(self, scan: tasks.Scan | None = None) -> None:
        """Start a new process on the same disks, or on one that holds what ``scan`` says."""
        self.work.clear()
        self.stores = [ChunkStore(disk, CLUSTER, n) for n, disk in enumerate(self.disks)]
        settings = DatanodeSettings(
            CLUSTER, self.name, "host", "rack", (f"ipc:///{self.name}",), ("nn",)
        )
        found = [
            tasks.VolumeFound(
                f"/disk-{n}", store.scan(), tasks.SpaceMeasured(*disk.space()), RESERVE_BYTES
            )
            for n, (store, disk) in enumerate(zip(self.stores, self.disks, strict=True))
        ]
        if scan is not None:
            found[0] = found[0]._replace(scan=scan)
        self.core = DatanodeCore(settings, found, self.now)

    def hold(self, key: ReplicaKey, data: bytes, volume: int = 0) -> None:
        """Put a sealed replica on a disk and start a new process."""
        hashes = slice_hashes(data)
        digest = chunk_digest(CLUSTER, *key, len(data), hashes)
        store = self.stores[volume]
        store.execute(tasks.OpenFile(key, 1, 0, "/a", 0))
        for at in range(0, len(data), FRAME_BYTES):
            store.execute(tasks.WriteSlices(key, at, data[at : at + FRAME_BYTES]))
        store.execute(tasks.SealFile(Footer(key, len(data), digest, hashes)))
        self.boot()

    @property
    def now(self) -> Now:
        return Now(self.now_ns, 10**18 + self.now_ns)

    def event(self, event: Event) -> None:
        self.take(self.core.handle(event, self.now))

    def receive(self, origin: Origin, message: Message, payload: bytes = b"") -> None:
        self.event(Received(origin, message, payload))

    def pass_time(self, nanoseconds: int) -> None:
        """Let time pass, stopping at each deadline."""
        end_ns = self.now_ns + nanoseconds
        while (due_ns := self.core.next_deadline()) is not None and due_ns <= end_ns:
            self.now_ns = max(self.now_ns, due_ns)
            self.take(self.core.on_deadline(self.now))
            self.run_work()
        self.now_ns = end_ns

    def hang(self, nanoseconds: int) -> None:
        """Let time pass in which the disks do nothing."""
        end_ns = self.now_ns + nanoseconds
        while (due_ns := self.core.next_deadline()) is not None and due_ns <= end_ns:
            self.now_ns = max(self.now_ns, due_ns)
            self.take(self.core.on_deadline(self.now))
        self.now_ns = end_ns

    def run_work(self, limit: int = 1 << 30) -> None:
        while self.work and limit:
            limit -= 1
            work = self.work.popleft()
            try:
                volume, task = work.task
                done = WorkDone(work.token, self.stores[volume].execute(task))
            except DfsError as error:
                done = WorkDone(work.token, error=error)
            self.event(done)

    def take(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Work():
                    self.work.append(action)
                case Reply() | Send():
                    self.out.append(action)
                case Note():
                    self.notes.append(action.text)

    def take_out(self) -> list[Any]:
        """What was sent since the last call."""
        out, self.out = self.out, []
        return out

    def said(self) -> list[Any]:
        """The messages sent since the last call."""
        return [action.message for action in self.take_out()]

    def confirm_news(self) -> None:
        """Let the namenode confirm the news that were sent."""
        for send in [a for a in self.out if isinstance(a.message, ReplicaNews)]:
            assert isinstance(send, Send)
            self.out.remove(send)
            self.receive(Origin(NAMENODE, 1, send.request), Ok())

    def register(
        self, epoch: int = 1, heartbeat_ns: int = 10**15, incarnation: int = 1
    ) -> list[ReportPage]:
        """Register and report; returns the pages."""
        pages = []
        self.pass_time(0 if not self.out else 10**10)
        while self.out:
            send = self.out.pop(0)
            assert isinstance(send, Send)
            assert send.to == NAMENODE
            answer: Message
            if isinstance(send.message, Register):
                answer = Registered(epoch, heartbeat_ns, incarnation)
            else:
                if isinstance(send.message, ReportPage):
                    pages.append(send.message)
                else:
                    assert isinstance(send.message, ReplicaNews)
                answer = Ok()
            self.receive(Origin(NAMENODE, 1, send.request), answer)
            self.run_work()
        return pages

    def files(self, suffix: str = "") -> list[str]:
        """The names of chunk files, sealed and unfinished."""
        names = self.disk.all_names()
        return [n for n in names if n.startswith("chunks/") and n.endswith(suffix)]


class Wire:
    """Nodes connected with each other and with a writer; messages are moved by ``run``."""

    def __init__(self, count: int) -> None:
        self.nodes = {f"datanode-{n}": Node(f"datanode-{n}") for n in range(1, count + 1)}
        for node in self.nodes.values():
            node.register()
        self.heard: list[Any] = []
        self.dead: set[str] = set()
        self.mute: set[str] = set()
        self.garble: set[str] = set()

    def address(self, name: str) -> NodeAddress:
        return NodeAddress(name, (f"ipc:///{name}",), "host")

    def addresses(self, *names: str) -> tuple[NodeAddress, ...]:
        return tuple(self.address(name) for name in names)

    def run(self) -> None:
        """Do disk work and deliver messages until nothing moves."""
        moving = True
        while moving:
            moving = False
            for name, node in self.nodes.items():
                if name in self.dead or name in self.mute:
                    continue
                moving |= bool(node.work or node.out)
                node.run_work()
                node.confirm_news()
                out, node.out = node.out, []
                for action in out:
                    self._deliver(node, action)

    def _deliver(self, node: Node, action: Reply | Send) -> None:
        if isinstance(action, Send):
            if action.to.role is not Role.DATANODE:
                return
            if action.to.name in self.dead:
                node.event(LinkLost(action.to, 0, "connection refused"))
                return
            origin = Origin(Peer(Role.DATANODE, node.name), 10 + int(node.name[-1]), action.request)
            payload = bytes(action.payload)
            if action.to.name in self.garble and payload:
                payload = bytes([payload[0] ^ 1]) + payload[1:]
            self.nodes[action.to.name].receive(origin, action.message, payload)
        elif action.origin.peer.role is Role.DATANODE:
            back = self.nodes[action.origin.peer.name]
            peer = Peer(Role.DATANODE, node.name)
            origin = Origin(peer, 100 + int(node.name[-1]), action.origin.request)
            if back.name not in self.dead:
                back.receive(origin, action.message, bytes(action.payload))
        else:
            self.heard.append(action.message)

    def kill(self, name: str) -> None:
        """A process ends; those connected to it notice."""
        self.dead.add(name)
        for other, node in self.nodes.items():
            if other not in self.dead:
                node.event(LinkLost(Peer(Role.DATANODE, name), 100 + int(name[-1]), "killed"))
                node.event(LinkLost(Peer(Role.DATANODE, name), 10 + int(name[-1]), "killed"))


class Writer:
    """A client that writes one chunk down a chain of a ``Wire``."""

    def __init__(self, wire: Wire, data: bytes) -> None:
        self.wire, self.data, self.key = wire, data, ReplicaKey(77, 1)
        self.request = 0

    def origin(self) -> Origin:
        return Origin(WRITER, 5, self.request)

    def hear(self) -> list[Any]:
        self.wire.run()
        heard, self.wire.heard = self.wire.heard, []
        return heard

    def open(self, *names: str) -> list[Any]:
        self.request += 1
        self.first = self.wire.nodes[names[0]]
        order = OpenChunk(*self.key, 3, 0, "/f", len(self.data), self.wire.addresses(*names[1:]))
        self.first.receive(self.origin(), order)
        return self.hear()

    def send(self, begin: int = 0, end: int | None = None) -> list[Any]:
        """Frames from ``begin`` on, each after the credits of the one before."""
        heard: list[Any] = []
        end = len(self.data) if end is None else end
        for at in range(begin, end, FRAME_BYTES):
            frame = self.data[at : min(at + FRAME_BYTES, end)]
            self.first.receive(self.origin(), ChunkData(at, slice_hashes(frame)), frame)
            heard += self.hear()
        return heard

    @property
    def digest(self) -> bytes:
        hashes = slice_hashes(self.data)
        return chunk_digest(CLUSTER, *self.key, len(self.data), hashes)

    def seal(self) -> list[Any]:
        self.first.receive(self.origin(), SealChunk(len(self.data), self.digest))
        return self.hear()

    def receipts(self, *names: str) -> ChunkSealed:
        """What the writer hears when these nodes have sealed the chunk."""
        held = (*self.key, len(self.data), self.digest)
        return ChunkSealed(tuple(Receipt(name, *held) for name in names))

    def stored(self, name: str) -> bytes:
        """The chunk's bytes as the node's file holds them."""
        content = self.wire.nodes[name].disk.content(sealed_path(self.key))
        return content[HEADER_BYTES : HEADER_BYTES + len(self.data)]


def error_of(message: Any) -> DfsError:
    """The error that a message carries."""
    assert isinstance(message, Failed), message
    return message.error()


def failure(heard: list[Any]) -> DfsError:
    """The error that is all that was heard."""
    assert len(heard) == 1, heard
    return error_of(heard[0])


def read(node: Node, key: ReplicaKey, offset: int, length: int, **options: bool) -> Reply:
    """Ask for slices and return the reply."""
    node.receive(READER, ReadChunk(*key, offset, length, **options))
    node.run_work()
    return next(action for action in node.take_out() if isinstance(action, Reply))


def give(node: Node, order: Message, request: int = 700) -> None:
    """Let the namenode give an order."""
    node.receive(Origin(NAMENODE, 1, request), order)


def delete(node: Node, *keys: ReplicaKey) -> None:
    """Let the namenode order replicas to be deleted, and the disk do it."""
    give(node, DeleteReplicas(1, tuple(ReplicaId(*key, 0) for key in keys)))
    node.run_work()
    node.confirm_news()
