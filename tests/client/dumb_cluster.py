"""A dumb cluster that answers every message at once. Faults are fields that a test sets."""

from __future__ import annotations

from dataclasses import dataclass, field

from dfs.checksum import chunk_digest, slice_hashes
from dfs.errors import DfsError, LeaseLost, NotFound, ReplicaFault, SessionExpired, TooFewNodes
from dfs.events import NAMENODE, Event, LinkLost, Origin, Peer, Received, Send
from dfs.limits import SECOND_NS
from dfs.wire import data as d
from dfs.wire import namespace as m
from dfs.wire.appending import SyncFile
from dfs.wire.backup import BackupState, PrepareBackup
from dfs.wire.codec import Message
from dfs.wire.common import Failed, Ok

CLUSTER = "stage"


@dataclass
class Node:
    """A datanode. ``fuse``: how many messages it survives; ``silent``: it never answers;
    ``descriptors``: the endpoint where it gives out open files."""

    name: str
    host: str = "there"
    alive: bool = True
    silent: bool = False
    fuse: int | None = None
    flips: bool = False
    forgets: int = 0
    tmp: dict[tuple[int, int], bytearray] = field(default_factory=dict)
    sealed: dict[tuple[int, int], bytes] = field(default_factory=dict)
    reads: int = 0
    dropped: list[int] = field(default_factory=list)
    descriptors: str = ""

    @property
    def address(self) -> m.NodeAddress:
        endpoints = (f"ipc:///{self.name}", f"tcp://{self.name}", self.descriptors)
        return m.NodeAddress(self.name, tuple(filter(None, endpoints)), self.host)

    def survives(self) -> bool:
        if self.fuse is not None:
            self.fuse -= 1
            self.alive = self.alive and self.fuse >= 0
        return self.alive


@dataclass
class StoredFile:
    path: str
    inode: int
    chunk_bytes: int = 0
    chunks: list[m.SealedChunk] = field(default_factory=list)
    content: bytes | None = None
    size: int = 0
    digest: bytes = b""
    next_chunk: int = 0

    def entry(self) -> m.Entry:
        return m.Entry(
            self.path, False, self.size, SECOND_NS, 3, self.chunk_bytes, "u", "g", 0o644, self.inode
        )


class DumbNamenode:
    """Enough of a namenode. ``swallow``: answers that get lost; ``errors``: raised instead;
    ``stale``: it takes dead datanodes for live ones; ``unheard``: datanodes that are away."""

    def __init__(self, nodes: dict[str, Node]) -> None:
        self.nodes = nodes
        self.up = True
        self.mute = False
        self.withholds = False
        self.swallow = 0
        self.errors: list[DfsError] = []
        self.need = 1
        self.replication = 3
        self.stale = False
        self.chunk_bytes = 1 << 20
        self.inline_max_bytes = 8192
        self.page_rows = 2
        self.files: dict[str, StoredFile] = {}
        self.writing: dict[int, StoredFile] = {}
        self.sessions: dict[int, dict[int, Message]] = {}
        self.applied: list[Message] = []
        self.heard: list[Message] = []
        self.bad: list[m.BadReplica] = []
        self.unheard: tuple[str, ...] = ()
        self.lease_ns = 60 * SECOND_NS
        self._last_id = 100

    def answer(self, message: Message) -> Message | None:
        self.heard.append(message)
        if self.withholds and isinstance(message, m.GetStatus):
            return m.Status(CLUSTER, "serving", (), ())
        if self.mute or self.withholds:
            return None
        try:
            if self.errors:
                raise self.errors.pop(0)
            answer = self._change(message) if isinstance(message, m.Change) else self._ask(message)
        except DfsError as error:
            answer = Failed.of(error)
        if self.swallow:
            self.swallow -= 1
            return None
        return answer

    def new_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def add_file(self, path: str, parts: list[bytes]) -> StoredFile:
        """A file of these chunks, each on every node."""
        file = StoredFile(path, self.new_id(), max(map(len, parts), default=1))
        for data in parts:
            key = (self.new_id(), 1)
            for node in self.nodes.values():
                node.sealed[key] = data
            digest = chunk_digest(CLUSTER, *key, len(data), slice_hashes(data))
            sealed = m.SealedChunk(*key, file.size, len(data), digest, tuple(self.nodes))
            file.chunks.append(sealed)
            file.size += len(data)
        self.files[path] = file
        return file

    def _change(self, change: m.Change) -> Message:
        if change.session not in self.sessions:
            raise SessionExpired("unknown session")
        answers = self.sessions[change.session]
        for acknowledged in [s for s in answers if s < change.ack_below]:
            del answers[acknowledged]
        assert change.sequence >= change.ack_below
        if change.sequence not in answers:
            self.applied.append(change)
            answers[change.sequence] = self._apply(change)
        return answers[change.sequence]

    def _apply(self, change: m.Change) -> Message:
        match change:
            case m.Create():
                chunk_bytes = change.chunk_bytes or self.chunk_bytes
                file = StoredFile(change.path, self.new_id(), chunk_bytes)
                self.writing[file.inode] = file
                return m.Created(
                    file.inode,
                    self.replication,
                    file.chunk_bytes,
                    self.need,
                    self.inline_max_bytes,
                )
            case m.AddChunk():
                return self._add_chunk(change)
            case m.CloseFile():
                file = self._lease(change.inode)
                self._commit(file, change.sealed)
                file.content = change.content
                file.size, file.digest = change.size, change.digest
                return self._publish(file)
            case m.PutInline():
                file = StoredFile(change.path, self.new_id(), content=change.content)
                file.size, file.digest = len(change.content), change.digest
                self.writing[file.inode] = file
                return self._publish(file)
            case SyncFile():
                self._commit(self._lease(change.inode), change.sealed)
            case m.AbandonFile():
                self.writing.pop(change.inode, None)
        return Ok(1)

    def _publish(self, file: StoredFile) -> m.Closed:
        del self.writing[file.inode]
        self.files[file.path] = file
        return m.Closed(file.entry(), 1, 1)

    def _lease(self, inode: int) -> StoredFile:
        if inode not in self.writing:
            raise LeaseLost("no lease")
        return self.writing[inode]

    def _commit(self, file: StoredFile, sealed: m.SealedChunk | None) -> None:
        if sealed is None:
            return
        assert sealed.chunk == file.next_chunk
        assert sealed.start == sum(c.length for c in file.chunks)
        assert len(sealed.nodes) >= self.need
        file.chunks.append(sealed)

    def _add_chunk(self, change: m.AddChunk) -> Message:
        file = self._lease(change.inode)
        self._commit(file, change.sealed)
        assert change.start == sum(c.length for c in file.chunks)
        chain = [
            n for n in self.nodes.values() if (n.alive or self.stale) and n.name not in change.avoid
        ]
        if len(chain) < self.need:
            raise TooFewNodes(f"{len(chain)} datanodes are up and a write needs {self.need}")
        file.next_chunk = self.new_id()
        addresses = tuple(n.address for n in chain[: self.replication])
        return m.ChunkTargets(file.next_chunk, 1, addresses, self.need)

    def _ask(self, message: Message) -> Message:
        match message:
            case m.OpenSession():
                number = self.new_id()
                self.sessions[number] = {}
                return m.SessionOpened(number, self.lease_ns)
            case m.RenewLease() if message.session not in self.sessions:
                raise SessionExpired("unknown session")
            case m.Stat():
                return m.Found(self._file(message.path).entry())
            case m.Locate():
                return self._locate(message)
            case m.BadReplica():
                self.bad.append(message)
            case PrepareBackup():
                return BackupState(7)
        return Ok()

    def _file(self, path: str) -> StoredFile:
        if path not in self.files:
            raise NotFound(f"{path}: no such file", path)
        return self.files[path]

    def _locate(self, question: m.Locate) -> Message:
        file = self._file(question.path)
        if question.inode not in (0, file.inode):
            raise NotFound(f"{question.path} was replaced meanwhile: open it again", file.path)
        rest = [c for c in file.chunks if c.start + c.length > question.offset]
        page = rest[: self.page_rows]
        located = tuple(
            m.LocatedChunk(
                c.chunk,
                c.generation,
                c.start,
                c.length,
                c.digest,
                tuple(self.nodes[name].address for name in c.nodes),
            )
            for c in page
        )
        more = len(page) < len(rest)
        return m.Located(file.entry(), located, file.content, more, self.unheard)


class DumbCluster:
    """A namenode and datanodes. ``deliver`` returns what comes back for one message."""

    def __init__(self, nodes: int = 3) -> None:
        self.nodes = {f"datanode-{i}": Node(f"datanode-{i}") for i in range(1, nodes + 1)}
        self.namenode = DumbNamenode(self.nodes)
        self._chains: dict[int, tuple[tuple[int, int], list[Node]]] = {}
        self._events: list[Event] = []

    def deliver(self, send: Send) -> list[Event]:
        """What the cluster answers."""
        if send.to == NAMENODE:
            self._to_namenode(send)
        else:
            self._to_datanode(send)
        events, self._events = self._events, []
        return events

    def _answer(self, send: Send, message: Message, payload: bytes = b"") -> None:
        self._events.append(Received(Origin(send.to, 1, send.request), message, payload))

    def _lose(self, peer: Peer) -> None:
        self._events.append(LinkLost(peer, 1, "it is gone"))

    def _to_namenode(self, send: Send) -> None:
        if not self.namenode.up:
            self._lose(NAMENODE)
            return
        answer = self.namenode.answer(send.message)
        if answer is not None:
            self._answer(send, answer)

    def _to_datanode(self, send: Send) -> None:
        node = self.nodes[send.to.name]
        if not node.survives():
            self._lose(send.to)
        elif not node.silent:
            match send.message:
                case d.ReadChunk():
                    self._read(node, send, send.message)
                case d.DropChunk():
                    node.dropped.append(send.message.chunk)
                case _:
                    self._write(node, send)

    def _read(self, node: Node, send: Send, read: d.ReadChunk) -> None:
        node.reads += 1
        data = node.sealed.get((read.chunk, read.generation))
        if data is None:
            self._answer(send, Failed.of(ReplicaFault("no such replica here")))
            return
        hashes = slice_hashes(data) if read.with_hashes else b""
        part = bytearray(data[read.offset : read.offset + read.length])
        assert len(part) == read.length
        if node.flips:
            part[-1] ^= 1
        self._answer(send, d.ChunkSlices(read.offset, hashes), bytes(part))

    def _write(self, first: Node, send: Send) -> None:
        message = send.message
        if isinstance(message, d.OpenChunk):
            key = (message.chunk, message.generation)
            nodes = [first, *(self.nodes[a.node] for a in message.chain)]
            self._chains[send.request] = (key, nodes)
        key, nodes = self._chains[send.request]
        for node in nodes[1:]:
            if not node.survives():
                self._answer(send, d.ChainBroken(node.name, "it is gone"))
                return
        if first.forgets and isinstance(message, d.ChunkData):
            first.forgets -= 1
            for node in nodes:
                node.tmp.pop(key, None)
        if key not in first.tmp and not isinstance(message, d.OpenChunk):
            self._answer(send, Failed.of(ReplicaFault("this write is not known here")))
            return
        self._write_along(send, key, nodes)

    def _write_along(self, send: Send, key: tuple[int, int], nodes: list[Node]) -> None:
        match send.message:
            case d.OpenChunk():
                have = min(len(node.tmp.setdefault(key, bytearray())) for node in nodes)
                self._answer(send, d.ChunkOpened(have))
            case d.ChunkData(offset=offset, hashes=hashes):
                assert slice_hashes(send.payload) == hashes
                end = offset + len(send.payload)
                for node in nodes:
                    held = node.tmp[key]
                    assert offset <= len(held), "a frame leaves a gap"
                    held[offset:end] = send.payload
                self._answer(send, d.ChunkCredit(end))
            case d.SealChunk(length=length, digest=digest):
                for node in nodes:
                    data = bytes(node.tmp[key])
                    assert len(data) == length
                    assert digest == chunk_digest(CLUSTER, *key, length, slice_hashes(data))
                    node.sealed[key] = data
                receipts = tuple(d.Receipt(n.name, *key, length, digest) for n in nodes)
                self._answer(send, d.ChunkSealed(receipts))
