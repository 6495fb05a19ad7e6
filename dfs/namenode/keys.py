"""Keys and rows of the dfs tables.

Integers in keys are big-endian, so that byte order is number order: the entries
of a directory and the chunks of a file are one range scan each. Entries are keyed
by parent and name, not by path, so that renaming a directory touches one row.

==========  =========================  ===========================================
table       key                        row
==========  =========================  ===========================================
entries     parent u64, name           EntryRow
inodes      inode u64                  InodeRow
chunks      inode u64, start u64       ChunkRow
owners      chunk u64                  OwnerRow: the file that the chunk belongs to
inline      inode u64                  the whole content of a small file
leases      inode u64                  LeaseRow: a file that somebody writes
reserved    parent u64, name           inode u64: the name such a file will get
sessions    session u64                SessionRow
sessions    session u64, sequence u64  the answer to one change, as wire bytes
reap        inode u64                  empty: unlinked, to be reclaimed in slices
nodes       node id                    NodeRow
doubtful    chunk u64                  chunk u64: a lost history may have used the ids from the
                                       first to below the second (``lost_history``)
members     public key                 MemberRow
meta        name                       one integer or text each
==========  =========================  ===========================================

``born`` is the log index that wrote a row.
"""

from __future__ import annotations

import struct
from typing import TypeVar

import msgspec

from dfs.namenode.table import Table

TABLES = (
    "entries",
    "inodes",
    "chunks",
    "owners",
    "inline",
    "leases",
    "reserved",
    "sessions",
    "reap",
    "nodes",
    "doubtful",
    "members",
    "meta",
)
ROOT = 1
"""The inode of ``/``."""

NEXT_INODE = b"next_inode"
NEXT_CHUNK = b"next_chunk"
EPOCH = b"epoch"
APPLIED_INDEX = b"applied_index"

_U64 = struct.Struct(">Q")
_U64U64 = struct.Struct(">QQ")


class Row(msgspec.Struct, frozen=True, array_like=True):
    """Base of all rows: msgpack arrays of their fields, append-only like messages."""


class EntryRow(Row, frozen=True):
    """A name in a directory."""

    inode: int
    is_dir: bool
    born: int


class InodeRow(Row, frozen=True):
    """A file or directory. ``digest`` is the xxh3-128 of a closed file's bytes.

    ``parent`` and ``name`` are those of the entry that names it, so that its path can be told
    from below; a file that has no name yet, and the root, have 0 and "". They stay as they were
    when the inode is unlinked.
    """

    is_dir: bool
    owner: str
    group: str
    mode: int
    mtime_ns: int
    born: int
    parent: int = 0
    size: int = 0
    replication: int = 0
    chunk_bytes: int = 0
    digest: bytes = b""
    name: str = ""


class ChunkRow(Row, frozen=True):
    """A committed chunk of a file."""

    chunk: int
    generation: int
    length: int
    digest: bytes
    born: int


class OwnerRow(Row, frozen=True):
    """The file and offset that a committed chunk belongs to."""

    inode: int
    start: int


class LeaseRow(Row, frozen=True):
    """The right to write a file: who has it and what the file will be called.

    ``appends``: the file is closed and keeps its name, its writer adds to its end. Then
    ``parent`` and ``name`` are empty, and ``path`` is what it was called when that began.
    ``chunk`` is the allocated, uncommitted chunk (0: none) and ``targets`` the nodes it was
    offered to: only their receipts count. ``copies`` and ``hosts`` are the fewest that any
    committed chunk has (0: none is committed yet).
    """

    session: int
    holder: str
    since_ns: int
    parent: int
    name: str
    path: str
    overwrite: bool
    min_durable: int
    chunk: int = 0
    generation: int = 0
    start: int = 0
    targets: tuple[str, ...] = ()
    copies: int = 0
    hosts: int = 0
    appends: bool = False


class SessionRow(Row, frozen=True):
    """A client's session; changes below ``ack_below`` were answered and are forgotten."""

    user: str
    since_ns: int
    ack_below: int = 0


class NodeRow(Row, frozen=True):
    """A datanode that once registered and was not removed since."""

    host: str
    rack: str


class MemberRow(Row, frozen=True):
    """Whose a key is, and since when that or its revocation is so."""

    role: str
    name: str
    since_ns: int
    is_revoked: bool = False


R = TypeVar("R", bound=Row)

_encoder = msgspec.msgpack.Encoder()
_decoders: dict[type[Row], msgspec.msgpack.Decoder[Row]] = {}


def pack_row(row: Row) -> bytes:
    """The bytes of a row."""
    return _encoder.encode(row)


def load_row(cls: type[R], data: bytes) -> R:
    """The row of that class in these bytes; bytes that are none are corruption."""
    decoder = _decoders.get(cls)
    if decoder is None:
        decoder = _decoders[cls] = msgspec.msgpack.Decoder(cls)
    row = decoder.decode(data)
    assert isinstance(row, cls)
    return row


def get_row(table: Table, name: str, key: bytes, cls: type[R]) -> R | None:
    """The row at a key, or None."""
    data = table.get(name, key)
    return None if data is None else load_row(cls, data)


def put_row(table: Table, name: str, key: bytes, row: Row) -> None:
    """Write a row."""
    table.put(name, key, pack_row(row))


def number_key(number: int) -> bytes:
    """Key of ``inodes``, ``inline``, ``leases``, ``owners``, ``sessions``, ``reap``."""
    return _U64.pack(number)


def number_of(key: bytes) -> int:
    """The first number of a key."""
    return int(_U64.unpack_from(key)[0])


def entry_key(parent: int, name: str) -> bytes:
    """Key of ``entries`` and ``reserved``."""
    return _U64.pack(parent) + name.encode()


def entry_name(key: bytes) -> str:
    """The name in a key of ``entries``."""
    return key[8:].decode()


def pair_key(first: int, second: int) -> bytes:
    """Key of ``chunks`` (inode, start) and of an answer in ``sessions`` (session, sequence)."""
    return _U64U64.pack(first, second)


def second_of(key: bytes) -> int:
    """The second number of a pair key."""
    return int(_U64.unpack_from(key, 8)[0])


def get_number(table: Table, key: bytes, default: int) -> int:
    """A number of the ``meta`` table."""
    data = table.get("meta", key)
    return default if data is None else int(_U64.unpack(data)[0])


def put_number(table: Table, key: bytes, number: int) -> None:
    """Set a number of the ``meta`` table."""
    table.put("meta", key, _U64.pack(number))
