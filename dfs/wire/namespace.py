"""Messages between a client and the namenode about names, files and chunks.

A *change* carries ``(session, sequence, ack_below)``: the namenode stores the
answer to each change under the first two in the same log record as its effect,
so a repeated request gets the first answer and is applied once. Answers to
sequences below ``ack_below`` may be forgotten.
"""

from __future__ import annotations

import msgspec

from dfs.wire.codec import Message, message


class NodeAddress(msgspec.Struct, frozen=True, array_like=True):
    """A datanode and where it can be reached, nearest endpoint first."""

    node: str
    endpoints: tuple[str, ...]
    host: str = ""
    rack: str = ""

    def reachable_from(self, host: str) -> tuple[str, ...]:
        """The endpoints usable from ``host``, best first: ipc only within one host."""
        local = [e for e in self.endpoints if e.startswith("ipc:")]
        remote = [e for e in self.endpoints if not e.startswith(("ipc:", "fd:"))]
        return tuple(local + remote if host == self.host else remote)

    def descriptors_for(self, host: str) -> str | None:
        """Where a process on ``host`` gets open chunk files: only on the node's own host."""
        here = host and host == self.host
        return next((e for e in self.endpoints if here and e.startswith("fd:")), None)


class SealedChunk(msgspec.Struct, frozen=True, array_like=True):
    """A finished chunk as the writer knows it, with the receipts of the nodes that hold it.

    ``digest`` is the xxh3-128 of ``dfs.checksum.chunk_digest``; ``nodes`` sent a receipt
    for exactly these values. ``start`` is the offset of its first byte in the file.
    """

    chunk: int
    generation: int
    start: int
    length: int
    digest: bytes
    nodes: tuple[str, ...]


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One file or directory as a caller sees it. Sizes in bytes, times in ns since the epoch."""

    path: str
    is_dir: bool
    size: int
    mtime_ns: int
    replication: int
    chunk_bytes: int
    owner: str
    group: str
    mode: int
    inode: int
    digest: bytes = b""
    under_construction: bool = False


class LocatedChunk(msgspec.Struct, frozen=True, array_like=True):
    """A chunk of a file and the nodes that hold good replicas of it, nearest first."""

    chunk: int
    generation: int
    start: int
    length: int
    digest: bytes
    nodes: tuple[NodeAddress, ...]


class Change(Message, frozen=True):
    """Base of the requests that change something; see the module's text."""

    session: int
    sequence: int
    ack_below: int


@message(20)
class OpenSession(Message, frozen=True):
    """A client wants to change things. Sent by: client. Answered by: SessionOpened.

    Repeating it opens another session; unused ones expire.
    """


@message(21)
class SessionOpened(Message, frozen=True):
    """The session's number. Sent by: namenode.

    Files that it leaves open are lost when nothing is heard of it for ``lease_ns``.
    """

    session: int
    lease_ns: int


@message(22)
class RenewLease(Message, frozen=True):
    """The client lives: keep its session and the leases of its open files.

    Sent by: the client's I/O thread while a session is open. Answered by: Ok, SessionExpired,
    LeaseLost: that of the file ``inode`` (0: no question) has ended. Harmless when repeated.
    """

    session: int
    inode: int = 0


@message(23)
class CloseSession(Message, frozen=True):
    """The client is done; files it left open are discarded. Sent by: client. Answered by: Ok."""

    session: int


@message(30)
class Mkdir(Change, frozen=True):
    """Make a directory. Sent by: client. Answered by: Ok, Exists, NotFound, NotADirectory."""

    path: str
    parents: bool = False
    exist_ok: bool = False


@message(31)
class Create(Change, frozen=True):
    """Reserve the name of a new file and get the right to write it.

    Sent by: client. Answered by: Created, Exists (also: another writer holds the name, the
    text says who and since when), IsADirectory, NotADirectory. The name is invisible until
    Close; until then an older file of that name stays. Missing parents are made.
    0 stands for the cluster's default of ``replication``, ``chunk_bytes``, ``min_durable``.
    """

    path: str
    overwrite: bool = False
    replication: int = 0
    chunk_bytes: int = 0
    min_durable: int = 0


@message(32)
class Created(Message, frozen=True):
    """The file to write, with all defaults filled in. Sent by: namenode.

    ``inline_max_bytes`` is 0 when more copies were asked for than the namenode itself is, and
    for a file that has chunks. What is written begins at ``size``; ``content`` is all that
    the file holds when that is stored inline: its writer repeats it in front of what it adds.
    """

    inode: int
    replication: int
    chunk_bytes: int
    min_durable: int
    inline_max_bytes: int
    size: int = 0
    content: bytes = b""


@message(33)
class AddChunk(Change, frozen=True):
    """Commit the chunk just sealed (if any) and allocate the next one.

    Sent by: the writer. Answered by: ChunkTargets, LeaseLost, TooFewNodes, Unavailable.
    ``start`` is the file offset at which the new chunk begins; ``avoid`` names nodes the
    writer could not reach; ``abandoned`` is an allocated chunk given up for the new one (0: none).
    """

    inode: int
    start: int
    sealed: SealedChunk | None = None
    avoid: tuple[str, ...] = ()
    abandoned: int = 0


@message(34)
class ChunkTargets(Message, frozen=True):
    """Write this chunk along this chain of datanodes. Sent by: namenode.

    ``need`` receipts make it count as durable; with fewer the file cannot be closed.
    """

    chunk: int
    generation: int
    chain: tuple[NodeAddress, ...]
    need: int


@message(35)
class CloseFile(Change, frozen=True):
    """Commit the last chunk and make the file visible under its name, at once.

    Sent by: the writer. Answered by: Closed, LeaseLost, Unavailable, and the errors of Create
    where the tree changed meanwhile. ``content`` is the whole file when it is stored inline
    (then ``sealed`` is None). ``digest`` is the xxh3-128 of all bytes, empty when the writer
    has not seen all of them.
    """

    inode: int
    size: int
    digest: bytes
    sealed: SealedChunk | None = None
    content: bytes | None = None


@message(36)
class Closed(Message, frozen=True):
    """The file is visible and durable. Sent by: namenode.

    ``durable`` is how many copies each chunk has at least; of a small file, which lies in the
    log, on how many machines that is. ``hosts`` is how many different machines hold each chunk and
    the log at least: what lies on one machine fails together.
    """

    entry: Entry
    durable: int
    hosts: int


@message(37)
class AbandonFile(Change, frozen=True):
    """Discard a file under construction; older content stays. Sent by: writer. Answered by: Ok.

    A file that was appended to keeps the chunks that are committed.
    """

    inode: int


@message(38)
class PutInline(Change, frozen=True):
    """Create and close a small file in one request. Sent by: client.

    Answered by: Closed, and the errors of Create. ``content`` is at most ``inline_max_bytes``.
    """

    path: str
    content: bytes
    digest: bytes
    overwrite: bool = False
    replication: int = 0
    chunk_bytes: int = 0


@message(39)
class Rename(Change, frozen=True):
    """Move a file or a whole tree to another name, in one record.

    Sent by: client. Answered by: Ok, NotFound, Exists, NotADirectory, BadArgument (into
    itself). ``overwrite`` replaces a file by a file, never a directory.
    """

    source: str
    target: str
    overwrite: bool = False


@message(40)
class Remove(Change, frozen=True):
    """Take a name away; its content is reclaimed in the background.

    Sent by: client. Answered by: Ok, NotFound, NotEmpty (a directory with entries without
    ``recursive``), IsADirectory (``files_only`` on a directory).
    """

    path: str
    recursive: bool = False
    files_only: bool = False


@message(50)
class Stat(Message, frozen=True):
    """What is at this path? Sent by: client. Answered by: Found, NotFound, NotADirectory."""

    path: str


@message(51)
class Found(Message, frozen=True):
    """The entry asked for. Sent by: namenode."""

    entry: Entry


@message(52)
class List(Message, frozen=True):
    """The entries of a directory, sorted by name, after the name ``after``.

    Sent by: client. Answered by: Listing, NotFound. Of a file: the file itself.
    """

    path: str
    after: str = ""


@message(53)
class Listing(Message, frozen=True):
    """A page of entries. ``more`` means: ask again after the last one. Sent by: namenode."""

    entries: tuple[Entry, ...]
    more: bool
    after: str = ""


@message(54)
class Glob(Message, frozen=True):
    """The paths that match a pattern (``* ? [] {a,b} **``), sorted, after the path ``after``.

    Sent by: client. Answered by: Listing; an empty one means that nothing matches. A page may
    be empty and have ``more``: go on from its ``after``.
    """

    pattern: str
    after: str = ""


@message(55)
class Locate(Message, frozen=True):
    """Where do the bytes from ``offset`` on lie? Sent by: client, worker.

    Answered by: Located, NotFound, IsADirectory. ``inode`` pins the file: when the path names
    another one by now, the answer is NotFound.
    """

    path: str
    offset: int = 0
    length: int = -1
    inode: int = 0


@message(56)
class Located(Message, frozen=True):
    """Chunks that cover the range asked for, in order, at most a page of them.

    Sent by: namenode. ``content`` is the whole file when it is stored inline. ``more`` means
    that the range goes on behind the last chunk. ``unheard`` are datanodes that may hold
    replicas nobody knows of: they are down, or have not reported yet.
    """

    entry: Entry
    chunks: tuple[LocatedChunk, ...]
    content: bytes | None = None
    more: bool = False
    unheard: tuple[str, ...] = ()


@message(57)
class BadReplica(Message, frozen=True):
    """This replica failed its checksum or is not there. Sent by: a reader. Answered by: Ok.

    The namenode asks the node to check it; nothing is deleted on a reader's word.
    """

    chunk: int
    generation: int
    node: str


class NodeStatus(msgspec.Struct, frozen=True, array_like=True):
    """A process of the cluster as the namenode sees it. ``state``: live, stale or dead."""

    node: str
    role: str
    state: str
    endpoints: tuple[str, ...]
    free_bytes: int = 0
    used_bytes: int = 0
    replicas: int = 0


@message(58)
class GetStatus(Message, frozen=True):
    """How is the cluster? Sent by: client. Answered by: Status."""


@message(59)
class Status(Message, frozen=True):
    """The state of the cluster. Sent by: namenode.

    ``state``: serving or, for ``reasons``, degraded. While ``walking`` not all chunks are counted.
    """

    cluster: str
    state: str
    reasons: tuple[str, ...]
    nodes: tuple[NodeStatus, ...]
    safe_mode: bool = False
    chunks: int = 0
    under_replicated: int = 0
    missing: int = 0
    walking: bool = False
