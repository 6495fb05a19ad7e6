"""Writing: from frames to sealed chunks on enough datanodes, and a name at the end.

The operation of an open file is fed ``Frame`` and ``Sync``, then ``Close`` or ``Discard``. For
each chunk ``AddChunk`` commits the one before and names a chain of datanodes. The first chunk
begins where the file ends: at 0, or behind the chunks of a file that is appended to. When the
chain breaks:

* First the namenode is asked whether the file is still ours. A process that was stopped for
  longer than its lease must not make chunks that nobody expects any more.
* At least ``need`` nodes survive: they are opened again under the same id and generation
  and get what they do not have yet.
* Too few survive: a new chunk is allocated elsewhere and everything is sent anew.
* There are not enough others: those that failed may just be starting again, so after a
  pause they are asked like all the rest. Soon the namenode knows better which are dead, and
  its ``TooFewNodes`` ends the write.

Memory: the frames of one chunk. While a chunk is sealed nothing is sent, but the caller
goes on filling his own bounded queue.
"""

from __future__ import annotations

from dfs.checksum import FileDigest
from dfs.client.chain import ChainFault, ChainWrite, ChunkOrigin, drop_chunk
from dfs.client.effects import Fed, Operation, Receive, Sleep
from dfs.client.frames import Close, DiscardedError, GrowingChunk, Sync
from dfs.client.namenode import UNSENT, Namenode
from dfs.errors import DfsError, LeaseLost, TooFewNodes, Unavailable
from dfs.limits import CHUNK_PAUSE_NS, CHUNK_TRIES_MAX, REQUEST_TRY_NS
from dfs.wire.appending import SyncFile
from dfs.wire.namespace import (
    AbandonFile,
    AddChunk,
    ChunkTargets,
    Closed,
    CloseFile,
    Created,
    SealedChunk,
)


class FileWriter:
    """The operation behind a file open for writing. ``path`` is for messages and headers.

    ``size_hint`` is the expected size of the file, 0 when it is not known.
    """

    def __init__(self, namenode: Namenode, path: str, created: Created, size_hint: int = 0) -> None:
        self._namenode = namenode
        self._path = path
        self._created = created
        self._size_hint = size_hint
        self._size = created.size - len(created.content)
        self._sealed: SealedChunk | None = None

    def run(self) -> Operation[Closed | None]:
        """Write what is fed until ``Close``; None when it was discarded.

        After an error too the file is discarded; what it was to replace stays. A file that is
        appended to keeps the chunks that are committed.
        """
        try:
            return (yield from self._write_file())
        except DiscardedError:
            yield from discard_file(self._namenode, self._created.inode)
            return None
        except DfsError as error:
            yield from discard_file(self._namenode, self._created.inode)
            raise _named(self._path, error) from None

    def _write_file(self) -> Operation[Closed]:
        closing: Close | None = None
        while closing is None:
            fed: Fed = yield Receive(take_input=True)
            chunk = GrowingChunk(self._size, self._created.chunk_bytes)
            chunk.take(fed.item)
            if chunk.frames:
                yield from self._write_chunk(chunk)
            if chunk.syncing is not None:
                yield from self._sync(chunk.syncing)
            closing = chunk.closing
        closed = yield from self._namenode.change(
            CloseFile(*UNSENT, self._created.inode, self._size, closing.digest, self._sealed)
        )
        assert isinstance(closed, Closed), closed
        return closed

    def _sync(self, sync: Sync) -> Operation[None]:
        """Commit the sealed chunk without another one behind it."""
        if self._sealed is not None:
            inode, sealed = self._created.inode, self._sealed
            yield from self._namenode.change(
                SyncFile(*UNSENT, inode, self._size, sync.digest, sealed)
            )
            self._sealed = None

    def _write_chunk(self, chunk: GrowingChunk) -> Operation[None]:
        """Get a chunk sealed, on the first set of nodes that can."""
        faults: list[ChainFault] = []
        abandoned, reason = 0, ""
        for _ in range(CHUNK_TRIES_MAX):
            try:
                targets = yield from self._allocate(chunk, faults, abandoned)
            except TooFewNodes as error:
                if not faults:
                    raise
                reason = error.message
                faults.clear()
                yield Sleep(CHUNK_PAUSE_NS)
                continue
            sealed = yield from self._write_to(targets, chunk, faults)
            if sealed is not None:
                self._sealed = sealed
                self._size = chunk.start + chunk.length
                return
            abandoned, reason = targets.chunk, str(faults[-1])
        raise Unavailable(
            f"{self._path}: chunk at byte {chunk.start} could not be written after "
            f"{CHUNK_TRIES_MAX} tries (last: {reason}): see 'minidfs status'",
            self._path,
        )

    def _allocate(
        self, chunk: GrowingChunk, faults: list[ChainFault], abandoned: int
    ) -> Operation[ChunkTargets]:
        """A chain for this chunk without the nodes that failed; commits the chunk before."""
        avoid = tuple(dict.fromkeys(fault.node for fault in faults))
        add = AddChunk(*UNSENT, self._created.inode, chunk.start, self._sealed, avoid, abandoned)
        targets = yield from self._namenode.change(add)
        assert isinstance(targets, ChunkTargets), targets
        self._sealed = None
        return targets

    def _write_to(
        self, targets: ChunkTargets, chunk: GrowingChunk, faults: list[ChainFault]
    ) -> Operation[SealedChunk | None]:
        """Write along one chain and what survives of it; None when too few do.

        A node that answered with an error gets another try, one for each length of the chunk.
        """
        settings = self._namenode.settings
        origin = ChunkOrigin(self._created.inode, self._path, self._room(chunk))
        chain = targets.chain
        tried_again_at = -1
        while chain and len(chain) >= targets.need:
            try:
                return (yield from ChainWrite(settings, origin, targets, chain, chunk).run())
            except ChainFault as fault:
                yield from self._namenode.check_lease(self._created.inode)
                if fault.alive and chunk.length > tried_again_at:
                    tried_again_at = chunk.length
                    continue
                faults.append(fault)
                chain = tuple(node for node in chain if node.node != fault.node)
        if chain:
            yield from drop_chunk(settings, targets, chain)
        return None

    def _room(self, chunk: GrowingChunk) -> int:
        """How long the chunk will become, as far as that is known."""
        rest = self._size_hint - chunk.start
        return min(rest, chunk.max_bytes) if rest > 0 else chunk.max_bytes


def close_inline(
    namenode: Namenode, path: str, created: Created, content: bytes
) -> Operation[Closed]:
    """Close a file whose whole content fits into the namespace; after an error discard it."""
    digest = FileDigest(content).digest()
    close = CloseFile(*UNSENT, created.inode, len(content), digest, None, content)
    try:
        closed = yield from namenode.change(close)
    except DfsError as error:
        yield from discard_file(namenode, created.inode)
        raise _named(path, error) from None
    assert isinstance(closed, Closed), closed
    return closed


def _named(path: str, error: DfsError) -> DfsError:
    """With its lease the namenode forgot what the file is called: say it here."""
    return LeaseLost(f"{path}: {error.message}", path) if isinstance(error, LeaseLost) else error


def discard_file(namenode: Namenode, inode: int) -> Operation[None]:
    """Give up a file under construction; if the namenode is away its lease will end it."""
    try:
        yield from namenode.change(AbandonFile(*UNSENT, inode), REQUEST_TRY_NS)
    except DfsError:
        return
