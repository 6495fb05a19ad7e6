"""Reading: from a range of a file to verified bytes.

A file is pinned by its inode when it is opened. The namenode says where its chunks lie and
what the digest of each is; the rest needs no trust in datanodes:

1. The first answer from a chunk brings all its slice hashes; they must give the digest.
2. Every slice must give its hash. Bytes are handed out only then.
3. A replica that fails for any reason (link, time, no such replica, wrong bytes) is left for
   the next one, which goes on with the slices still missing. Wrong or missing replicas are
   reported to the namenode.
4. When all replicas failed, or none is known, the chunk is located again with growing
   pauses until the time is over: a node that is away may hold a good copy. When nobody is
   away and all answers were definite, a few looks are enough, and then it is ``Corrupt``.

On the machine of a datanode the replica's file itself is read, through a descriptor that the
datanode opens; the bytes are verified in the same way, and any fault leads to the network.

Requests are whole slices, at most a frame each, ``READS_IN_FLIGHT`` at a time. A page of
locations and the hashes of the last chunks are kept with the open file.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass, field

from dfs.checksum import HASH_BYTES, chunk_digest, slice_count, slice_hashes
from dfs.client.effects import (
    CurrentTime,
    EndStream,
    Heard,
    LinkDown,
    LocalSlices,
    NoAnswer,
    Operation,
    ReadLocally,
    Receive,
    Sleep,
    Stream,
    StreamLost,
    Tell,
)
from dfs.client.namenode import Namenode
from dfs.errors import Corrupt, DfsError, ProtocolError, ReplicaFault, Unavailable
from dfs.events import Payload, Peer, Role
from dfs.limits import (
    FRAME_BYTES,
    FRAME_DEADLINE_NS,
    HASHES_KEPT_CHUNKS,
    LOOKS_BEFORE_CORRUPT,
    NODE_DISTRUST_NS,
    READS_IN_FLIGHT,
    RETRY_PAUSE_MAX_NS,
    RETRY_PAUSE_NS,
    SLICE_BYTES,
    WAIT_NOTICE_NS,
)
from dfs.wire.common import Failed
from dfs.wire.data import ChunkSlices, ReadChunk
from dfs.wire.namespace import (
    BadReplica,
    Entry,
    Locate,
    Located,
    LocatedChunk,
    NodeAddress,
)


@dataclass(slots=True)
class OpenedFile:
    """A file open for reading: what it is, and what was learnt about where it lies."""

    entry: Entry
    content: bytes | None
    page: tuple[LocatedChunk, ...]
    unheard: tuple[str, ...] = ()
    hashes: OrderedDict[int, bytes] = field(default_factory=OrderedDict)
    distrusted: dict[str, int] = field(default_factory=dict)
    only_by_network: bool = False
    """A datanode on this machine did not give its descriptors in time."""

    def chunk_at(self, offset: int) -> LocatedChunk | None:
        """The chunk that holds a byte, if the page of locations covers it."""
        at = bisect_right(self.page, offset, key=lambda chunk: chunk.start) - 1
        if at < 0 or offset >= self.page[at].start + self.page[at].length:
            return None
        return self.page[at]

    def keep_hashes(self, chunk: int, hashes: bytes) -> None:
        """Remember the verified hashes of a chunk, and forget those not used for longest."""
        self.hashes[chunk] = hashes
        self.hashes.move_to_end(chunk)
        if len(self.hashes) > HASHES_KEPT_CHUNKS:
            self.hashes.popitem(last=False)

    def nearest(self, chunk: LocatedChunk, host: str, now_ns: int) -> list[NodeAddress]:
        """The replicas in the order to try: trusted ones first, then those on this host."""

        def rank(node: NodeAddress) -> tuple[bool, bool]:
            return now_ns < self.distrusted.get(node.node, 0), not host or node.host != host

        return sorted(chunk.nodes, key=rank)


def open_file(namenode: Namenode, path: str) -> Operation[OpenedFile]:
    """Find a file and where it lies. Raises ``NotFound``, ``IsADirectory``."""
    located = yield from namenode.ask(Locate(path))
    assert isinstance(located, Located), located
    return OpenedFile(located.entry, located.content, located.chunks, located.unheard)


def read_range(
    namenode: Namenode, file: OpenedFile, offset: int, length: int
) -> Operation[list[Payload]]:
    """The bytes of a range, in pieces and in order; less at the end of the file.

    Raises ``Corrupt``, ``Unavailable``, and ``NotFound`` when the file was replaced meanwhile.
    """
    end = min(offset + length, file.entry.size)
    if offset >= end:
        return []
    if file.content is not None:
        return [memoryview(file.content)[offset:end]]
    pieces: list[Payload] = []
    while offset < end:
        chunk = yield from locate(namenode, file, offset)
        upto = min(end, chunk.start + chunk.length)
        read = _ChunkRead(chunk, offset - chunk.start, upto - chunk.start)
        yield from _read_chunk(namenode, file, read)
        pieces += read.pieces()
        offset = upto
    return pieces


def locate(namenode: Namenode, file: OpenedFile, offset: int) -> Operation[LocatedChunk]:
    """The chunk that holds a byte of a file that has chunks. Raises ``NotFound``."""
    chunk = file.chunk_at(offset)
    if chunk is None:
        question = Locate(file.entry.path, offset, -1, file.entry.inode)
        located = yield from namenode.ask(question)
        assert isinstance(located, Located), located
        file.page, file.unheard = located.chunks, located.unheard
        chunk = file.chunk_at(offset)
        if chunk is None:
            raise ProtocolError(
                f"{file.entry.path}: the namenode named no chunk for byte {offset}",
                file.entry.path,
            )
    return chunk


class _ChunkRead:
    """Bytes ``begin`` to ``end`` of one chunk: which frames it takes, and those that came."""

    def __init__(self, chunk: LocatedChunk, begin: int, end: int) -> None:
        self.chunk = chunk
        self._begin, self._end = begin, end
        first = begin - begin % SLICE_BYTES
        last = min(slice_count(end) * SLICE_BYTES, chunk.length)
        self._lengths = {at: min(FRAME_BYTES, last - at) for at in range(first, last, FRAME_BYTES)}
        self._frames: dict[int, Payload] = {}

    def missing(self) -> list[tuple[int, int]]:
        """(offset, length) of the frames that did not come yet."""
        return [(at, n) for at, n in self._lengths.items() if at not in self._frames]

    def accept(self, offset: int, data: Payload, hashes: bytes) -> None:
        """Take a frame in. Raises ``Corrupt`` unless every slice of it has its hash."""
        if len(data) != self._lengths.get(offset):
            raise Corrupt(f"{len(data)} bytes came for offset {offset}")
        at = offset // SLICE_BYTES * HASH_BYTES
        if slice_hashes(data) != hashes[at : at + slice_count(len(data)) * HASH_BYTES]:
            raise Corrupt(f"the bytes at offset {offset} do not have their checksum")
        self._frames[offset] = data

    def take(self, frames: dict[int, bytes]) -> None:
        """Take frames in that were verified where they were read."""
        self._frames.update(frames)

    def pieces(self) -> list[Payload]:
        """Exactly the bytes asked for, without a copy."""
        return [
            memoryview(self._frames[at])[max(0, self._begin - at) : self._end - at]
            for at in self._lengths
        ]


def _read_chunk(namenode: Namenode, file: OpenedFile, read: _ChunkRead) -> Operation[None]:
    """Fill in ``read`` from whatever replica can; see points 3 and 4 of the module's text."""
    start_ns: int = yield CurrentTime()
    pause_ns, rounds = RETRY_PAUSE_NS, 0
    faults: dict[str, DfsError] = {}
    while True:
        if read.chunk.nodes:  # else what the last ones said stands
            faults = yield from _try_replicas(namenode, file, read)
        if not read.missing():
            return
        rounds += 1
        now_ns: int = yield CurrentTime()
        definite = not file.unheard and all(
            isinstance(fault, Corrupt | ReplicaFault) or not read.chunk.nodes
            for fault in faults.values()
        )
        expired = now_ns - start_ns >= namenode.settings.timeout_ns
        if expired or (definite and rounds >= LOOKS_BEFORE_CORRUPT):
            raise _unreadable(file, read.chunk, faults, definite)
        if now_ns - start_ns >= WAIT_NOTICE_NS:
            namenode.notice(f"waiting for a datanode with chunk {read.chunk.chunk}")
        if rounds > 1:
            yield Sleep(pause_ns)
            pause_ns = min(2 * pause_ns, RETRY_PAUSE_MAX_NS)
        file.page = ()
        read.chunk = yield from locate(namenode, file, read.chunk.start)


def _try_replicas(
    namenode: Namenode, file: OpenedFile, read: _ChunkRead
) -> Operation[dict[str, DfsError]]:
    """Read from one replica after the other; the faults of those that failed."""
    now_ns: int = yield CurrentTime()
    faults: dict[str, DfsError] = {}
    for node in file.nearest(read.chunk, namenode.settings.host, now_ns):
        yield from _read_locally(namenode, file, read, node)
        if not read.missing():
            break
        stream: int = yield Stream(
            Peer(Role.DATANODE, node.node), node.reachable_from(namenode.settings.host)
        )
        try:
            yield from _read_replica(namenode.settings.cluster, file, read, stream)
        except DfsError as fault:
            faults[node.node] = fault
        yield EndStream(stream)
        if node.node not in faults:
            break
        file.distrusted[node.node] = now_ns + NODE_DISTRUST_NS
        if isinstance(faults[node.node], Corrupt | ReplicaFault):
            bad = BadReplica(read.chunk.chunk, read.chunk.generation, node.node)
            yield from namenode.tell(bad)
    return faults


def _read_locally(
    namenode: Namenode, file: OpenedFile, read: _ChunkRead, node: NodeAddress
) -> Operation[None]:
    """Read what is missing from the open file of a replica on this machine, if there is one.

    After any fault the datanode itself is asked: if the replica is bad it will say so.
    """
    chunk = read.chunk
    endpoint = node.descriptors_for(namenode.settings.host)
    while endpoint is not None and not file.only_by_network and read.missing():
        task = ReadLocally(
            endpoint=endpoint,
            cluster=namenode.settings.cluster,
            chunk=chunk.chunk,
            generation=chunk.generation,
            length=chunk.length,
            digest=chunk.digest,
            hashes=file.hashes.get(chunk.chunk, b""),
            frames=tuple(read.missing()[:READS_IN_FLIGHT]),
        )
        try:
            slices: LocalSlices = yield task
        except DfsError as fault:
            file.only_by_network = isinstance(fault, NoAnswer)
            return
        file.keep_hashes(chunk.chunk, slices.hashes)
        read.take(slices.frames)


def _read_replica(cluster: str, file: OpenedFile, read: _ChunkRead, stream: int) -> Operation[None]:
    """Read all missing frames from one replica, a few requests in flight."""
    chunk = read.chunk
    hashes = file.hashes.get(chunk.chunk)
    waiting = list(reversed(read.missing()))
    in_flight: dict[int, None] = {}
    early: list[tuple[int, Payload]] = []
    while waiting or in_flight:
        while waiting and len(in_flight) < READS_IN_FLIGHT:
            offset, length = waiting.pop()
            first = hashes is None and not in_flight and not early
            request = ReadChunk(chunk.chunk, chunk.generation, offset, length, first)
            yield Tell(stream, request)
            in_flight[offset] = None
        slices, data = yield from _hear_slices(stream)
        if slices.offset not in in_flight:
            continue  # it came twice
        del in_flight[slices.offset]
        early.append((slices.offset, data))
        if hashes is None and slices.hashes:
            hashes = _verified_hashes(cluster, chunk, slices.hashes)
            file.keep_hashes(chunk.chunk, hashes)
        if hashes is not None:
            for offset, frame in early:
                read.accept(offset, frame, hashes)
            early.clear()
    if hashes is None:
        raise ProtocolError("the slice hashes asked for did not come")


def _hear_slices(stream: int) -> Operation[tuple[ChunkSlices, Payload]]:
    """The next ``ChunkSlices`` on a stream with its bytes; everything else is raised."""
    now_ns: int = yield CurrentTime()
    happening = yield Receive(now_ns + FRAME_DEADLINE_NS)
    match happening:
        case Heard(message=ChunkSlices() as slices):
            return slices, happening.payload
        case Heard(message=Failed() as failed):
            raise failed.error()
        case StreamLost():
            raise LinkDown(happening.reason)
        case Heard():
            raise ProtocolError(f"{type(happening.message).__name__} is no answer to a read")
    raise NoAnswer(f"no answer within {FRAME_DEADLINE_NS / 1e9:g} s")


def _verified_hashes(cluster: str, chunk: LocatedChunk, hashes: bytes) -> bytes:
    if len(hashes) != slice_count(chunk.length) * HASH_BYTES:
        raise Corrupt(f"{len(hashes)} bytes of slice hashes for {chunk.length} bytes of data")
    digest = chunk_digest(cluster, chunk.chunk, chunk.generation, chunk.length, hashes)
    if digest != chunk.digest:
        raise Corrupt("the slice hashes do not give the chunk's digest")
    return hashes


def _unreadable(
    file: OpenedFile, chunk: LocatedChunk, faults: dict[str, DfsError], definite: bool
) -> DfsError:
    path = file.entry.path
    where = f"{path}: chunk {chunk.chunk} at byte {chunk.start}"
    reasons = "; ".join(f"{node}: {fault.message}" for node, fault in faults.items())
    if definite:
        reasons = reasons or "every datanode has reported, and none holds it"
        return Corrupt(f"{where} has no good replica ({reasons}): see 'minidfs status'", path)
    if file.unheard:
        away = f"not heard of: {', '.join(file.unheard)}"
        reasons = f"{reasons}; {away}" if reasons else away
    reasons = reasons or "no live datanode holds it"
    return Unavailable(f"{where} cannot be read now ({reasons}): see 'minidfs status'", path)
