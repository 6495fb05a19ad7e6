"""One chunk's way down one chain of datanodes.

``OpenChunk`` tells how much all nodes of the chain have already; frames go out as long as
they are within the window beyond the last credit; when the chunk is complete it is sealed
and the receipts come back. Anything else ends the attempt with ``ChainFault``, which names
the node that should leave the chain:

* the one that ``ChainBroken`` names;
* the first one, when its link is lost or it is silent. Patience shrinks along the chain,
  so that whoever stands right before a silent node speaks before we give up;
* the first one, marked ``alive``, when it answers with an error: it may only have forgotten
  a write that was idle for long, and deserves another try.

While every byte sent is acknowledged and the writer has no more to send, there is no
deadline: a slow writer is no fault.
"""

from __future__ import annotations

from dataclasses import dataclass

from dfs.checksum import chunk_digest
from dfs.client.effects import (
    CurrentTime,
    EndStream,
    Fed,
    Happening,
    Heard,
    Operation,
    Receive,
    Stream,
    StreamLost,
    Tell,
    TimedOut,
)
from dfs.client.frames import DiscardedError, GrowingChunk
from dfs.client.namenode import ClientSettings
from dfs.events import Peer, Role
from dfs.limits import FRAME_BYTES, FRAME_DEADLINE_NS, SEAL_DEADLINE_NS, WINDOW_FRAMES
from dfs.wire.common import Failed
from dfs.wire.data import (
    ChainBroken,
    ChunkCredit,
    ChunkData,
    ChunkOpened,
    ChunkSealed,
    DropChunk,
    OpenChunk,
    Receipt,
    SealChunk,
)
from dfs.wire.namespace import ChunkTargets, NodeAddress, SealedChunk

Chain = tuple[NodeAddress, ...]


class ChainFault(Exception):  # noqa: N818 - the word of the protocol
    """The chain did not seal the chunk; ``node`` should leave it. ``alive``: it answered."""

    def __init__(self, node: str, reason: str, alive: bool = False) -> None:
        super().__init__(f"{node}: {reason}")
        self.node = node
        self.alive = alive


@dataclass(frozen=True, slots=True)
class ChunkOrigin:
    """Where a chunk belongs, for its header. ``size_hint`` bytes are preallocated."""

    inode: int
    path: str
    size_hint: int


class ChainWrite:
    """One attempt to get a chunk down one chain."""

    def __init__(
        self,
        settings: ClientSettings,
        origin: ChunkOrigin,
        targets: ChunkTargets,
        chain: Chain,
        chunk: GrowingChunk,
    ) -> None:
        self._settings = settings
        self._origin = origin
        self._targets = targets
        self._chain = chain
        self._chunk = chunk
        self._stream = 0
        self._digest = b""
        self._sent_frames = 0
        self._sent_bytes = 0
        self._acked_bytes = 0
        self._progress_ns = 0

    def run(self) -> Operation[SealedChunk]:
        """The sealed chunk. Raises ``ChainFault``, and ``DiscardedError`` after ``Discard``."""
        targets = self._targets
        self._stream = yield _stream_to(self._settings, self._chain[0])
        try:
            yield from self._open()
            receipts = yield from self._pump()
            sealed = self._check(receipts)
        except ChainFault:
            yield EndStream(self._stream)
            raise
        except DiscardedError:
            drop = DropChunk(targets.chunk, targets.generation, self._chain[1:])
            yield Tell(self._stream, drop)
            raise
        yield EndStream(self._stream)
        return sealed

    def _open(self) -> Operation[None]:
        """Open the chunk, and go on at the first frame that the chain does not have."""
        targets, origin, chunk = self._targets, self._origin, self._chunk
        yield Tell(
            self._stream,
            OpenChunk(
                targets.chunk,
                targets.generation,
                origin.inode,
                chunk.start,
                origin.path,
                max(origin.size_hint, chunk.length),
                self._chain[1:],
            ),
        )
        self._progress_ns = yield CurrentTime()
        while True:
            happening = yield Receive(self._deadline_ns())
            if isinstance(happening, Heard) and isinstance(happening.message, ChunkOpened):
                have = happening.message.have
                self._sent_frames = sum(1 for end in chunk.ends if end <= have)
                if self._sent_frames:
                    self._sent_bytes = chunk.ends[self._sent_frames - 1]
                self._acked_bytes = self._sent_bytes
                return
            self._raise_fault(happening)

    def _pump(self) -> Operation[tuple[Receipt, ...]]:
        """Send frames within the window as they come, then the seal; returns the receipts."""
        chunk = self._chunk
        while True:
            if self._acked_bytes == self._sent_bytes and not self._digest:
                self._progress_ns = yield CurrentTime()
            yield from self._send()
            hungry = not chunk.complete and self._sent_frames == len(chunk.frames)
            happening = yield Receive(self._deadline_ns(), hungry)
            match happening:
                case Fed():
                    chunk.take(happening.item)
                case Heard(message=ChunkCredit(through=through)):
                    if through > self._acked_bytes:
                        self._acked_bytes = through
                        self._progress_ns = yield CurrentTime()
                case Heard(message=ChunkSealed(receipts=receipts)) if self._digest:
                    return receipts
                case _:
                    self._raise_fault(happening)

    def _send(self) -> Operation[None]:
        chunk = self._chunk
        limit = self._acked_bytes + WINDOW_FRAMES * FRAME_BYTES
        while self._sent_frames < len(chunk.frames):
            frame = chunk.frames[self._sent_frames]
            if self._sent_bytes + len(frame.data) > limit:
                return
            yield Tell(self._stream, ChunkData(self._sent_bytes, frame.hashes), frame.data)
            self._sent_frames += 1
            self._sent_bytes += len(frame.data)
        if chunk.complete and not self._digest:
            self._progress_ns = yield CurrentTime()
            self._digest = chunk_digest(
                self._settings.cluster,
                self._targets.chunk,
                self._targets.generation,
                chunk.length,
                chunk.hashes(),
            )
            yield Tell(self._stream, SealChunk(chunk.length, self._digest))

    def _deadline_ns(self) -> int | None:
        """When the chain counts as broken; None while the file's writer has the word."""
        if not self._digest and self._acked_bytes == self._sent_bytes > 0:
            return None
        wait_ns = SEAL_DEADLINE_NS if self._digest else FRAME_DEADLINE_NS
        return self._progress_ns + wait_ns

    def _raise_fault(self, happening: Happening) -> None:
        """Raise what broke the chain; return if this was only a late or repeated word."""
        first = self._chain[0].node
        match happening:
            case Heard(message=ChainBroken(node=node, reason=reason)):
                named = any(node == member.node for member in self._chain)
                raise ChainFault(node if named else first, reason)
            case Heard(message=Failed(text=text)):
                raise ChainFault(first, text, alive=True)
            case StreamLost():
                raise ChainFault(first, happening.reason)
            case TimedOut():
                raise ChainFault(first, "it stopped answering")

    def _check(self, receipts: tuple[Receipt, ...]) -> SealedChunk:
        """The sealed chunk, if enough nodes of the chain hold exactly what was sent."""
        targets, chunk = self._targets, self._chunk
        wanted = (targets.chunk, targets.generation, chunk.length, self._digest)
        good = {r.node for r in receipts if (r.chunk, r.generation, r.length, r.digest) == wanted}
        nodes = tuple(node.node for node in self._chain if node.node in good)
        if not nodes or len(nodes) < targets.need:
            missing = next(node.node for node in self._chain if node.node not in good)
            raise ChainFault(missing, "it gave no receipt for what was sent")
        return SealedChunk(
            targets.chunk, targets.generation, chunk.start, chunk.length, self._digest, nodes
        )


def drop_chunk(settings: ClientSettings, targets: ChunkTargets, chain: Chain) -> Operation[None]:
    """Tell the nodes of a chain that nobody will come back to this chunk."""
    stream: int = yield _stream_to(settings, chain[0])
    yield Tell(stream, DropChunk(targets.chunk, targets.generation, chain[1:]))
    yield EndStream(stream)


def _stream_to(settings: ClientSettings, node: NodeAddress) -> Stream:
    return Stream(Peer(Role.DATANODE, node.node), node.reachable_from(settings.host))
