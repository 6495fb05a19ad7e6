"""The commands of module ``dfs``: every way in which its tables change.

A command holds what was decided; ``dfs.namenode.apply`` writes it. Tags are never
reused. Names and inodes in a command were valid when it was decided, and nothing
is applied between a decision and its commands, so applying checks nothing.
"""

from __future__ import annotations

from typing import TypeAlias

from dfs.namenode.module import Command


class Formatted(Command, frozen=True):
    """The first command of a cluster: the root directory."""

    TAG = 1
    owner: str
    wall_ns: int


class SessionStarted(Command, frozen=True):
    """A session; its number is the log index of this command."""

    TAG = 2
    user: str
    wall_ns: int


class SessionEnded(Command, frozen=True):
    """A session and the answers kept for it are forgotten."""

    TAG = 3
    session: int


class Answered(Command, frozen=True):
    """The answer to one change, kept with its effect; answers below ``ack_below`` go."""

    TAG = 4
    session: int
    sequence: int
    ack_below: int
    answer: bytes


class DirectoryMade(Command, frozen=True):
    """A new directory."""

    TAG = 10
    parent: int
    name: str
    inode: int
    owner: str
    group: str
    mode: int
    wall_ns: int


class FileBegun(Command, frozen=True):
    """A file under construction: an inode, a lease, and its name reserved."""

    TAG = 11
    inode: int
    parent: int
    name: str
    path: str
    session: int
    owner: str
    group: str
    mode: int
    replication: int
    chunk_bytes: int
    min_durable: int
    overwrite: bool
    wall_ns: int


class ChunkAllocated(Command, frozen=True):
    """The next chunk of a file under construction; an allocated one before it is given up."""

    TAG = 12
    inode: int
    chunk: int
    generation: int
    start: int
    targets: tuple[str, ...]


class ChunkCommitted(Command, frozen=True):
    """The allocated chunk is sealed and belongs to the file now.

    ``copies`` receipts on ``hosts`` different hosts vouched for it.
    """

    TAG = 13
    inode: int
    chunk: int
    generation: int
    start: int
    length: int
    digest: bytes
    copies: int
    hosts: int


class FileClosed(Command, frozen=True):
    """The file gets its name; ``replaced`` (0: none) loses it. ``content``: stored inline."""

    TAG = 14
    inode: int
    size: int
    digest: bytes
    content: bytes | None
    replaced: int
    wall_ns: int


class FileAbandoned(Command, frozen=True):
    """A file under construction is discarded; older content stays."""

    TAG = 15
    inode: int


class FilePut(Command, frozen=True):
    """A small file, made and closed at once; ``replaced`` (0: none) loses the name."""

    TAG = 16
    parent: int
    name: str
    inode: int
    owner: str
    group: str
    mode: int
    replication: int
    chunk_bytes: int
    content: bytes
    digest: bytes
    replaced: int
    wall_ns: int


class Renamed(Command, frozen=True):
    """An entry moves to another name; the inode ``replaced`` (0: none) loses that name."""

    TAG = 17
    source_parent: int
    source_name: str
    target_parent: int
    target_name: str
    replaced: int
    wall_ns: int


class Removed(Command, frozen=True):
    """An entry is gone; what hangs below it is reaped later."""

    TAG = 18
    parent: int
    name: str
    inode: int
    wall_ns: int


class Reaped(Command, frozen=True):
    """A slice of the reclaiming of an unlinked inode.

    ``starts``: chunks of the file that go; ``names``: entries of the directory that are
    unlinked and marked in turn; ``done``: the inode itself goes.
    """

    TAG = 19
    inode: int
    starts: tuple[int, ...]
    names: tuple[str, ...]
    done: bool


class AppendBegun(Command, frozen=True):
    """A lease on a closed file, whose writer adds to its end; the file stays as it is.

    Only ``chunk_bytes`` may rise: what is stored inline must fit into one chunk.
    """

    TAG = 20
    inode: int
    path: str
    session: int
    holder: str
    min_durable: int
    chunk_bytes: int
    wall_ns: int


class AppendSynced(Command, frozen=True):
    """The committed chunks of a file being appended to are visible; its writer goes on."""

    TAG = 21
    inode: int
    size: int
    digest: bytes
    wall_ns: int


class AppendEnded(Command, frozen=True):
    """The file is closed again, with its new size; ``content``: all of it, stored inline.

    By its writer's close, and without one when the lease ended: then ``size`` is where its
    committed chunks end.
    """

    TAG = 22
    inode: int
    size: int
    digest: bytes
    content: bytes | None
    mtime_ns: int


class NodeJoined(Command, frozen=True):
    """A datanode registered for the first time, or with another host or rack."""

    TAG = 30
    node: str
    host: str
    rack: str


class EpochRaised(Command, frozen=True):
    """This metadata is older than what the datanodes hold: orders before now are void.

    The chunk ids up to ``next_chunk`` are skipped and doubtful: replicas that have them belong
    to a lost history of this cluster and are never deleted.
    """

    TAG = 31
    epoch: int
    next_chunk: int


class ChunksDoubted(Command, frozen=True):
    """Chunks that no file has any more may belong to a file of a lost history.

    ``ranges``: the first id and the one behind the last. Their replicas are never deleted.
    """

    TAG = 150
    ranges: tuple[tuple[int, int], ...]


class MemberEnrolled(Command, frozen=True):
    """A public key is that of a process or user."""

    TAG = 40
    key: bytes
    role: str
    name: str
    wall_ns: int


class MemberRevoked(Command, frozen=True):
    """A public key is nobody's any more, for ever."""

    TAG = 41
    key: bytes
    wall_ns: int


DfsCommand: TypeAlias = (
    Formatted
    | SessionStarted
    | SessionEnded
    | Answered
    | DirectoryMade
    | FileBegun
    | ChunkAllocated
    | ChunkCommitted
    | FileClosed
    | FileAbandoned
    | FilePut
    | Renamed
    | Removed
    | Reaped
    | AppendBegun
    | AppendSynced
    | AppendEnded
    | NodeJoined
    | EpochRaised
    | ChunksDoubted
    | MemberEnrolled
    | MemberRevoked
)
