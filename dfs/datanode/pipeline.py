"""The rules of one write on one node of the chain.

``upstream`` is the writer or the node before us, ``next`` the node behind us, if any.
Three counters, all in bytes from the chunk's start, never falling within one attachment::

    written  <=  received
    credited <=  max(have, min(written, next.credit))

``received`` is what was verified and handed to disk and next node, ``written`` what the
disk confirmed, ``credited`` what upstream was told, beginning with the ``have`` of
``ChunkOpened``, which is ``received`` here and behind us. Upstream may be one window ahead
of ``credited``, so a write holds at most one window in memory, two after it was re-opened.

The file's life is a line, OPENING → OPEN → SEALING → SEALED; GONE means that it failed, was
dropped, or is sealed and upstream has been told, and that the table forgets the write. The
attachment to a chain is separate from it and may be replaced: when a chain breaks the
file stays, and the writer opens the chunk again on the survivors, who answer with what
they have. A file that is already sealed takes part in such a chain as well: what comes
is verified, passed on and not written again, and the seal returns its receipt.

Who is to blame: a node that sees its next node fail or stall says ``ChainBroken`` with
that node's name, and everybody before passes the word on. For the word to name the right
one, patience shrinks along the chain: with n nodes behind us we wait n/(n+1) of the
limit, so the node before the culprit always speaks first.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import msgspec

from dfs.checksum import HASH_BYTES, chunk_digest, slice_count, slice_hashes
from dfs.datanode.chain import Identity, NextNode
from dfs.datanode.chunkfile import Footer, ReplicaKey
from dfs.datanode.tasks import OpenFile, Placed, ReadFooter, SealFile, WriteSlices
from dfs.errors import Corrupt, DfsError, ProtocolError, ReplicaFault, Unavailable
from dfs.events import Action, Origin, Payload, Reply, Work
from dfs.limits import CHUNK_MAX_BYTES, FRAME_BYTES, SLICE_BYTES, WINDOW_FRAMES
from dfs.wire.codec import Message
from dfs.wire.common import Failed
from dfs.wire.data import (
    ChainBroken,
    ChunkCredit,
    ChunkData,
    ChunkOpened,
    ChunkSealed,
    OpenChunk,
    Receipt,
    SealChunk,
)

WINDOW_BYTES = WINDOW_FRAMES * FRAME_BYTES


class Phase(StrEnum):
    """Where the file of a write is."""

    OPENING = "opening"
    OPEN = "open"
    SEALING = "sealing"
    SEALED = "sealed"
    GONE = "gone"


class WriteToken(NamedTuple):
    """Names a piece of disk work of a write; ``through`` is where its bytes end."""

    serial: int
    phase: Phase
    through: int = 0


class ChunkWrite:
    """One replica being written. Methods return the actions that follow."""

    def __init__(
        self, me: Identity, serial: int, volume: int, order: OpenChunk, now_ns: int
    ) -> None:
        self.key = ReplicaKey(order.chunk, order.generation)
        self.serial = serial
        self.volume = volume
        self.phase = Phase.OPENING
        self.upstream: Origin | None = None
        self.next: NextNode | None = None
        self.received = 0
        self.written = 0
        self.credited = 0
        self.hashes = bytearray()
        self.digest = b""
        self.touched_ns = now_ns
        self._me = me
        self._opened_told = False
        self._seal: SealChunk | None = None

    # From upstream.

    def begin(self, order: OpenChunk, *, held: bool) -> Action:
        """The disk work that opens the file, or finds the end of one that is ``held``."""
        task = (
            ReadFooter(self.key)
            if held
            else OpenFile(self.key, order.inode, order.start, order.path, order.size_hint)
        )
        return self._work(task, Phase.OPENING)

    def attach(self, origin: Origin, order: OpenChunk, request: int, now_ns: int) -> list[Action]:
        """Join a chain, leaving the one before; ``request`` is our number for the next node."""
        self.upstream = origin
        self.next = None
        self.credited = 0
        self.touched_ns = now_ns
        self._opened_told = False
        self._seal = None
        if not order.chain:
            return self._tell()
        behind = order.chain[0]
        self.next = NextNode(
            node=behind.node,
            endpoints=behind.reachable_from(self._me.host),
            nodes=len(order.chain),
            request=request,
            since_ns=now_ns,
        )
        passed_on = msgspec.structs.replace(order, chain=order.chain[1:])
        return [self.next.send(passed_on), *self._tell()]

    def data(self, message: ChunkData, payload: Payload, now_ns: int) -> list[Action]:
        """A frame: verify it, pass it on, write what we do not have."""
        fault = self._frame_fault(message, payload)
        if fault is not None:
            return self.refuse(fault)
        self.touched_ns = now_ns
        actions: list[Action] = []
        end = message.offset + len(payload)
        if self.next is not None:
            if self.next.credit >= self.next.sent:
                self.next.since_ns = now_ns
            self.next.sent = max(self.next.sent, end)
            actions.append(self.next.send(message, payload))
        if end > self.received:
            had = self.received - message.offset
            fresh = memoryview(payload)[had:] if had else payload
            self.hashes += message.hashes[HASH_BYTES * (had // SLICE_BYTES) :]
            write = WriteSlices(self.key, self.received, fresh)
            actions.append(self._work(write, Phase.OPEN, end))
            self.received = end
        return actions + self._tell()

    def seal(self, message: SealChunk, now_ns: int) -> list[Action]:
        """The end: pass it on first, then make our own copy durable."""
        if message == self._seal:
            return []
        if self.phase is Phase.OPENING:
            return self.refuse(ProtocolError(f"{self.key} is sealed before it is open"))
        self.digest = chunk_digest(self._me.cluster, *self.key, self.received, bytes(self.hashes))
        if (message.length, message.digest) != (self.received, self.digest) or not message.length:
            return self.refuse(
                Corrupt(
                    f"{self.key} on {self._me.node}: {self.received} bytes and digest "
                    f"{self.digest.hex()}, the writer says {message.length} and "
                    f"{message.digest.hex()}"
                )
            )
        self.touched_ns = now_ns
        self._seal = message
        actions: list[Action] = []
        if self.next is not None:
            self.next.sealing = True
            self.next.since_ns = now_ns
            actions.append(self.next.send(message))
        if self.phase is Phase.OPEN:
            self.phase = Phase.SEALING
            footer = Footer(self.key, self.received, self.digest, bytes(self.hashes))
            actions.append(self._work(SealFile(footer), Phase.SEALING))
        return actions + self._tell()

    def refuse(self, error: DfsError) -> list[Action]:
        """Answer upstream with an error and leave the chain; the file stays."""
        return self._leave(Failed.of(error))

    # From the disk.

    def opened(self, footer: Footer | None) -> list[Action]:
        """The file is open; with a footer it is one that was sealed before."""
        self.phase = Phase.OPEN
        if footer is not None:
            self.phase = Phase.SEALED
            self.received = self.written = footer.length
            self.hashes += footer.hashes
            self.digest = footer.digest
        return self._tell()

    def wrote(self, through: int) -> list[Action]:
        """The disk has the bytes below ``through``."""
        self.written = max(self.written, through)
        return self._tell()

    def sealed(self) -> list[Action]:
        """The file is durable under its final name."""
        self.phase = Phase.SEALED
        return self._tell()

    def failed(self, error: DfsError) -> list[Action]:
        """The disk failed; the store has removed the file."""
        self.phase = Phase.GONE
        return self.refuse(error)

    # From the next node.

    def answered(self, origin: Origin, message: Message, now_ns: int) -> list[Action]:
        """The next node answered; ``message`` is one of its answers, or Failed."""
        if self.next is None:
            return []
        self.next.link = origin.link
        self.next.since_ns = now_ns
        match message:
            case ChunkOpened(have):
                self.next.have = have
                self.next.credit = max(self.next.credit, have)
            case ChunkCredit(through):
                self.next.credit = max(self.next.credit, through)
            case ChunkSealed(receipts):
                self.next.receipts = receipts
            case ChainBroken():
                return self._leave(message)
            case Failed():
                return self.next_broken(message.text)
        return self._tell()

    def next_broken(self, reason: str) -> list[Action]:
        """The next node must leave the chain; say so upstream."""
        if self.next is None:
            return []
        return self._leave(ChainBroken(self.next.node, reason))

    # Rules.

    def _tell(self) -> list[Action]:
        """What upstream may know now and has not been told."""
        if self.upstream is None or self.phase is Phase.OPENING:
            return []
        behind = self.next
        if not self._opened_told:
            if behind is not None and behind.have is None:
                return []
            have = self.received
            if behind is not None and behind.have is not None:
                have = min(have, behind.have)
            self._opened_told = True
            self.credited = have
            return [Reply(self.upstream, ChunkOpened(have))]
        if self._seal is not None:
            return self._tell_sealed(self.upstream, self._seal)
        through = self.written if behind is None else min(self.written, behind.credit)
        if through <= self.credited:
            return []
        self.credited = through
        return [Reply(self.upstream, ChunkCredit(through))]

    def _tell_sealed(self, upstream: Origin, seal: SealChunk) -> list[Action]:
        others = () if self.next is None else self.next.receipts
        if self.phase is not Phase.SEALED or others is None:
            return []
        self.phase = Phase.GONE
        self.upstream = None
        mine = Receipt(self._me.node, *self.key, seal.length, seal.digest)
        return [Reply(upstream, ChunkSealed((mine, *others)))]

    def _leave(self, word: Message) -> list[Action]:
        upstream, self.upstream, self.next = self.upstream, None, None
        return [] if upstream is None else [Reply(upstream, word)]

    def _frame_fault(self, message: ChunkData, payload: Payload) -> DfsError | None:
        offset, length = message.offset, len(payload)
        end = offset + length
        if not self._opened_told or self._seal is not None:
            return ProtocolError(f"data of {self.key} came before it was open, or after its seal")
        if not 0 < length <= FRAME_BYTES or offset % SLICE_BYTES or end > CHUNK_MAX_BYTES:
            return ProtocolError(f"a frame of {length} bytes at {offset} of {self.key} is refused")
        if not 0 <= offset <= self.received:
            return ProtocolError(f"{self.key}: a frame for {offset}, {self.received} is next")
        if end > self.credited + WINDOW_BYTES:
            return Unavailable(f"{self.key}: the frame at {offset} is beyond the window")
        if end > self.received and (self.phase is not Phase.OPEN or self.received % SLICE_BYTES):
            return ReplicaFault(f"{self.key} ends at {self.received} bytes on {self._me.node}")
        if len(message.hashes) != HASH_BYTES * slice_count(length):
            return ProtocolError(f"{self.key}: {len(message.hashes)} bytes of hashes at {offset}")
        if slice_hashes(payload) != message.hashes:
            return Corrupt(f"{self.key}: the frame at {offset} does not match its hashes")
        return None

    def _work(
        self, task: OpenFile | ReadFooter | WriteSlices | SealFile, phase: Phase, through: int = 0
    ) -> Work:
        token = WriteToken(self.serial, phase, through)
        return Work(token, Placed(self.volume, task), lane=self.key.chunk)
