"""What the library hands to its users: entries, places of chunks, sums."""

from __future__ import annotations

from dataclasses import dataclass

from dfs.limits import SECOND_NS
from dfs.wire import namespace as wire


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or directory. Sizes in bytes; ``mtime`` in seconds since the epoch, as in os.stat."""

    path: str
    size: int
    is_dir: bool
    mtime: float
    replication: int
    chunk_size: int
    owner: str
    group: str
    mode: int
    inode: int

    @property
    def name(self) -> str:
        """The last part of the path; '' for the root."""
        return self.path.rpartition("/")[2]

    @staticmethod
    def of(entry: wire.Entry) -> Entry:
        """The entry that the namenode described."""
        return Entry(
            path=entry.path,
            size=entry.size,
            is_dir=entry.is_dir,
            mtime=entry.mtime_ns / SECOND_NS,
            replication=entry.replication,
            chunk_size=entry.chunk_bytes,
            owner=entry.owner,
            group=entry.group,
            mode=entry.mode,
            inode=entry.inode,
        )


@dataclass(frozen=True, slots=True)
class ChunkLocation:
    """A chunk of a file, and the nodes and hosts that hold good replicas, nearest first."""

    offset: int
    size: int
    chunk: int
    generation: int
    nodes: tuple[str, ...]
    hosts: tuple[str, ...]

    @staticmethod
    def of(chunk: wire.LocatedChunk) -> ChunkLocation:
        """The location that the namenode described."""
        return ChunkLocation(
            offset=chunk.start,
            size=chunk.length,
            chunk=chunk.chunk,
            generation=chunk.generation,
            nodes=tuple(node.node for node in chunk.nodes),
            hosts=tuple(node.host for node in chunk.nodes),
        )


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that was written. ``durable`` copies of each chunk are on disk, on ``hosts``
    different machines at least; copies on one machine fail together."""

    entry: Entry
    durable: int
    hosts: int

    @staticmethod
    def of(closed: wire.Closed) -> Stored:
        """What the namenode said when the file was closed."""
        return Stored(Entry.of(closed.entry), closed.durable, closed.hosts)


@dataclass(frozen=True, slots=True)
class Usage:
    """What lies at and below a path: logical bytes, files, directories (itself included).

    ``stored`` are the bytes that this takes on disk with all replicas.
    """

    size: int
    files: int
    directories: int
    stored: int
