"""Messages between a writer and the namenode about files that grow after they were closed.

What is appended travels as everything else that is written: ``AddChunk`` and ``CloseFile``
of ``dfs.wire.namespace``.
"""

from __future__ import annotations

from dfs.wire.codec import message
from dfs.wire.namespace import Change, SealedChunk


@message(41)
class Append(Change, frozen=True):
    """Get the right to write behind the end of a file. Sent by: client.

    Answered by: Created, IsADirectory, NotADirectory, Exists (another writer has it or is about
    to replace it, the text says who and since when). Without such a file one is created as by
    Create, and only then ``replication`` and ``chunk_bytes`` count. Until CloseFile or SyncFile
    readers see the file as it was. It may be renamed meanwhile; when it is removed or replaced
    its writer gets LeaseLost.
    """

    path: str
    replication: int = 0
    chunk_bytes: int = 0
    min_durable: int = 0


@message(42)
class SyncFile(Change, frozen=True):
    """Commit the chunk just sealed, short as it may be; the writer goes on behind it.

    Sent by: the writer. Answered by: Ok, LeaseLost, TooFewNodes. ``size`` is where the file ends
    now. A file that is appended to is visible up to there from now on; a new one is not before
    CloseFile. ``digest`` as in CloseFile.
    """

    inode: int
    size: int
    digest: bytes
    sealed: SealedChunk
