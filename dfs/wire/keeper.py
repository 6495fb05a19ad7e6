"""Messages that keep the namenode's log on other machines.

The namenode sends each synced batch of its log to *log keepers*: datanodes on other machines,
which append it to a copy on their disk and answer when it is synced. A keeper that is behind,
or holds the log of another history, is asked what it has and gets the rest; if its end is no
record of the namenode's log it begins a second copy, which takes the place of the first one
once it is whole. All of it goes over the connection that the datanode opened to register.

What changes a copy carries the namenode's ``epoch``; a datanode refuses one below the highest
it has seen. Reading needs no epoch: it is how a lost namenode is rebuilt.
"""

from __future__ import annotations

import msgspec

from dfs.wire.codec import Message, message


@message(120)
class GetKeptLog(Message, frozen=True):
    """What do you hold of the log? Sent by: namenode, rebuilder. Answered by: KeptLog."""


@message(121)
class KeptLog(Message, frozen=True):
    """The whole copy that a keeper holds. Sent by: datanode.

    Its records reach from ``first`` to ``last``; ``last`` is ``first`` - 1 when there are none,
    and both are 0 when there is no copy. ``checksum`` is that of the last record, or of the one
    before the first. ``epoch`` is the highest of a namenode all of whose records it had.
    ``snapshot`` is the last record in the snapshot that is kept beside it, 0 without one.
    ``remark``: what is wrong with the copy, '' when it is sound.
    """

    epoch: int
    first: int
    last: int
    checksum: int
    snapshot: int = 0
    remark: str = ""


@message(122)
class AppendLog(Message, frozen=True):
    """Records of the log from ``first`` on, in the bytes of the log (the payload).

    Sent by: namenode. Answered by: LogKept, Refused (an old epoch), Corrupt (they do not follow
    what is kept), StorageFault. Records that are kept already are skipped: harmless when repeated.
    ``whole``: with these the copy has everything, so it is of this epoch from now on, and a second
    copy takes the first one's place.
    """

    epoch: int
    first: int
    whole: bool


@message(123)
class LogKept(Message, frozen=True):
    """Every record of this copy up to ``through`` is synced. Sent by: datanode."""

    through: int


@message(124)
class BeginLog(Message, frozen=True):
    """Begin a second copy whose first record will be ``first``, behind one with this checksum.

    Sent by: namenode. Answered by: LogKept. An unfinished second copy is thrown away.
    """

    epoch: int
    first: int
    previous: int


@message(125)
class KeepSnapshot(Message, frozen=True):
    """A piece of a snapshot of the view (the payload), the bytes from ``offset`` on.

    Sent by: namenode. Answered by: LogKept, Refused, Corrupt (it is not the next piece, the whole
    is not what ``manifest`` says, or it reaches beyond the records that are kept), StorageFault.
    Each piece is synced. With the last one the older snapshot goes, and so do the segments of the
    copy in which it has every record.
    """

    epoch: int
    offset: int
    manifest: bytes


@message(126)
class ReadKeptLog(Message, frozen=True):
    """The bytes of whole records from ``first`` on. Sent by: rebuilder.

    Answered by: KeptRecords, NotFound (they are not kept here).
    """

    first: int


@message(127)
class KeptRecords(Message, frozen=True):
    """Whole records (the payload); the one behind them is ``next``. Sent by: datanode."""

    next: int


@message(128)
class ReadKeptSnapshot(Message, frozen=True):
    """Up to 1 MiB of the snapshot that is kept. Sent by: rebuilder.

    Answered by: KeptSnapshot, NotFound.
    """

    index: int
    offset: int


@message(129)
class KeptSnapshot(Message, frozen=True):
    """A piece of the snapshot (the payload); ``size`` is that of all data. Sent by: datanode."""

    index: int
    offset: int
    size: int
    manifest: bytes


class FoundChunk(msgspec.Struct, frozen=True, array_like=True):
    """What a replica says of itself. ``path`` is the file's path when the chunk was made."""

    chunk: int
    generation: int
    length: int
    digest: bytes
    inode: int
    start: int
    path: str


@message(130)
class ListChunks(Message, frozen=True):
    """Which replicas does this volume hold behind this one? In the order of (chunk, generation).

    Sent by: rebuilder, which begins with 0, 0, 0. Answered by: ChunkList.
    """

    volume: int = 0
    chunk: int = 0
    generation: int = 0


@message(131)
class ChunkList(Message, frozen=True):
    """The next replicas whose files are sound at both ends. Sent by: datanode.

    ``following`` is the question to go on with; None at the end of the last volume.
    """

    found: tuple[FoundChunk, ...]
    following: ListChunks | None = None
