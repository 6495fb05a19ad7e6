"""Messages that move chunk data: writer to datanode, datanode to datanode, datanode to reader.

**Write.** ``OpenChunk`` travels down the chain and ``ChunkOpened`` comes back with
the length that every node of the chain already has (0 for a new chunk; more when
the survivors of a broken chain are opened again). Then come ``ChunkData`` frames
of at most 1 MiB, never more than the window beyond the last ``ChunkCredit``; a
credit says that every node of the chain has written that far. ``SealChunk`` ends
it and ``ChunkSealed`` returns a receipt of every node whose copy is fsynced under
its final name. All messages of one write bear the request number of its OpenChunk.

**Read.** Each ``ReadChunk`` asks for at most a frame and is answered by one
``ChunkSlices``; a reader keeps a few requests in flight. Reads are whole slices,
so that the reader can verify each against hashes that the chunk's digest covers.
"""

from __future__ import annotations

import msgspec

from dfs.wire.codec import Message, message
from dfs.wire.namespace import NodeAddress


class Receipt(msgspec.Struct, frozen=True, array_like=True):
    """A node's word that it durably holds exactly this."""

    node: str
    chunk: int
    generation: int
    length: int
    digest: bytes


@message(150)
class OpenChunk(Message, frozen=True):
    """Begin, or go on with, writing a chunk; pass it on to ``chain`` (the nodes behind this one).

    Sent by: writer, datanode. Answered by: ChunkOpened, ChainBroken, ReplicaFault, StorageFault.
    ``inode``, ``start`` and ``path`` go into the chunk's header; ``size_hint`` is preallocated.
    """

    chunk: int
    generation: int
    inode: int
    start: int
    path: str
    size_hint: int
    chain: tuple[NodeAddress, ...] = ()


@message(151)
class ChunkOpened(Message, frozen=True):
    """All nodes from here to the chain's end have the bytes below ``have``. Sent by: datanode."""

    have: int


@message(152)
class ChunkData(Message, frozen=True):
    """Bytes of a chunk from ``offset`` on (the payload), with the xxh3-64 of each slice.

    Sent by: writer, datanode. Answered by: ChunkCredit, ChainBroken. ``hashes`` is packed u64
    big-endian; ``offset`` is a multiple of the slice size. Data that a node already has is
    verified, passed on and not written again.
    """

    offset: int
    hashes: bytes


@message(153)
class ChunkCredit(Message, frozen=True):
    """Every node from here to the chain's end has written the bytes below ``through``.

    Sent by: datanode, towards the writer, as often as ``through`` grows.
    """

    through: int


@message(154)
class SealChunk(Message, frozen=True):
    """The chunk has this length and digest: make it durable. Sent by: writer, datanode.

    Answered by: ChunkSealed, ChainBroken, Corrupt (the digest does not match).
    """

    length: int
    digest: bytes


@message(155)
class ChunkSealed(Message, frozen=True):
    """Receipts of this node and of those behind it. Sent by: datanode."""

    receipts: tuple[Receipt, ...]


@message(156)
class ChainBroken(Message, frozen=True):
    """``node`` could not be reached, failed or stopped answering; it must leave the chain.

    Sent by: the node before it, towards the writer. What was written stays where it is; the
    writer opens the chunk again on the survivors.
    """

    node: str
    reason: str


@message(157)
class DropChunk(Message, frozen=True):
    """The writer gives an unsealed chunk up. Sent by: writer, datanode. Not answered."""

    chunk: int
    generation: int
    chain: tuple[NodeAddress, ...] = ()


@message(160)
class ReadChunk(Message, frozen=True):
    """Slices of a replica. Sent by: reader, datanode (repair). Answered by: ChunkSlices,
    ReplicaFault, Corrupt. ``offset`` is a multiple of the slice size; ``length`` is at most a
    frame and ends at a slice's end or the chunk's. ``with_hashes`` asks for all slice hashes."""

    chunk: int
    generation: int
    offset: int
    length: int
    with_hashes: bool = False


@message(161)
class ChunkSlices(Message, frozen=True):
    """The bytes asked for (the payload), and all slice hashes of the chunk if asked for.

    Sent by: datanode, after it verified them. A datanode that asked for the hashes is also told
    what else the chunk's header says, for that of its copy.
    """

    offset: int
    hashes: bytes = b""
    inode: int = 0
    start: int = 0
    path: str = ""
