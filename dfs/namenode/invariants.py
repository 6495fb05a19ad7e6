"""The invariants of the tables of module ``dfs``, a check for the rows of each table.

The numbers are those of ``docs/invariants.md``. A check yields what is wrong with one row,
given the rows that it names. What two rows say of each other is checked from one of them,
so that a damage is one problem and not two, wherever that is enough to find it.

An inode has a name, or it is a new file under a lease, or it was unlinked and waits in
``reap``; each check of a file begins by asking which.
"""

from __future__ import annotations

from collections.abc import Iterator

from dfs.checksum import DIGEST_BYTES
from dfs.errors import DfsError
from dfs.events import Role
from dfs.limits import (
    CHUNK_MAX_BYTES,
    CHUNK_MIN_BYTES,
    INLINE_MAX_BYTES,
    REPLICATION_MAX,
    SESSION_KEEP_REPLIES,
)
from dfs.namenode.keys import (
    APPLIED_INDEX,
    EPOCH,
    NEXT_CHUNK,
    NEXT_INODE,
    ROOT,
    ChunkRow,
    EntryRow,
    InodeRow,
    LeaseRow,
    MemberRow,
    NodeRow,
    OwnerRow,
    SessionRow,
    entry_key,
    number_key,
    number_of,
    pair_key,
    second_of,
)
from dfs.namenode.module import RowCheck
from dfs.namenode.problem import NUMBER_BYTES, RowError, Rows
from dfs.paths import check_name
from dfs.security.keys import KEY_BYTES
from dfs.wire.codec import decode

Found = Iterator[tuple[int, str]]


def _number(table: str, key: bytes) -> int:
    if len(key) != NUMBER_BYTES:
        raise RowError(table, key, f"a key of {len(key)} bytes is no number")
    return number_of(key)


def _name_in(table: str, key: bytes) -> tuple[int, str]:
    """Parent and name in a key."""
    if len(key) <= NUMBER_BYTES:
        raise RowError(table, key, "the key is no directory with a name")
    try:
        return number_of(key), key[NUMBER_BYTES:].decode()
    except UnicodeDecodeError as error:
        raise RowError(table, key, f"a name that is no UTF-8: {error}") from error


def _born(rows: Rows, born: int) -> Found:
    if born < 1 or (rows.next_index is not None and born >= rows.next_index):
        yield 31, f"it was written by record {born}, which the log does not have"


# -- names


def check_entry(rows: Rows, key: bytes, value: bytes) -> Found:
    """An entry, the directory it stands in and the inode it names."""
    parent, name = _name_in("entries", key)
    row = rows.decode(EntryRow, "entries", key, value)
    yield from _born(rows, row.born)
    try:
        check_name(name, name)
        is_name = name != "" and "/" not in name
    except DfsError:
        is_name = False
    if not is_name:
        yield 8, f"{name!r} is no name"
    above = rows.inode(parent)
    if above is None or not above.is_dir:
        yield 6, f"{name!r} stands in {parent}, which is no directory"
    inode = rows.inode(row.inode)
    if inode is None:
        yield 5, f"{name!r} names inode {row.inode}, which does not exist"
    elif inode.is_dir != row.is_dir:
        yield 5, f"{name!r} takes inode {row.inode} for a {_kind(row.is_dir)}, which it is not"
    elif (inode.parent, inode.name) != (parent, name):
        yield (
            5,
            f"{name!r} in {parent} names inode {row.inode}, which is called {inode.name!r} in "
            f"{inode.parent}",
        )
    elif rows.is_unlinked(row.inode):
        yield 4, f"{name!r} names inode {row.inode}, which is to be reclaimed"


def _kind(is_dir: bool) -> str:
    return "directory" if is_dir else "file"


def check_inode(rows: Rows, key: bytes, value: bytes) -> Found:
    """An inode: is it called something, does it hang on the root, is it whole?"""
    inode = _number("inodes", key)
    row = rows.decode(InodeRow, "inodes", key, value)
    yield from _born(rows, row.born)
    if inode >= rows.counter(NEXT_INODE):
        yield 30, f"inode {inode} is not below the counter {rows.counter(NEXT_INODE)}"
    if inode == ROOT:
        yield from _check_root(rows, row)
        return
    if not rows.is_unlinked(inode):
        yield from _check_named(rows, inode, row)
        if row.is_dir:
            yield from _check_attached(rows, inode)
        elif row.name:
            yield from _check_content(rows, inode, row)
    if not row.is_dir:
        yield from _check_settings(inode, row)


def _check_root(rows: Rows, row: InodeRow) -> Found:
    if not row.is_dir or row.parent or row.name or rows.is_unlinked(ROOT):
        yield 2, "the root is no directory at the top"
    for counter in (NEXT_CHUNK, EPOCH):
        if rows.counter(counter) < 1:
            yield 30, f"the counter {counter.decode()} is missing"


def _check_named(rows: Rows, inode: int, row: InodeRow) -> Found:
    if not row.name:
        if row.is_dir or rows.lease(inode) is None:
            yield 3, f"inode {inode} has no name, no lease, and is not to be reclaimed"
        return
    entry = rows.get("entries", entry_key(row.parent, row.name), EntryRow)
    if entry is None or entry.inode != inode:
        yield 3, f"inode {inode} is called {row.name!r} in {row.parent}, and no entry says so"


def _check_attached(rows: Rows, inode: int) -> Found:
    """Walk up to a directory that is known to be attached, or to one that was unlinked."""
    passed: dict[int, None] = {}
    at = inode
    while at not in rows.attached:
        row = rows.inode(at)
        if at in passed:
            yield 7, f"directory {inode} hangs in a circle: {' in '.join(map(str, passed))} in {at}"
            return
        if row is None or rows.is_unlinked(at):
            return  # what stands in a missing directory is told by its entry
        passed[at] = None
        at = row.parent
    rows.attached.update(passed)


# -- content


def _check_settings(inode: int, row: InodeRow) -> Found:
    sound = (
        1 <= row.replication <= REPLICATION_MAX
        and CHUNK_MIN_BYTES <= row.chunk_bytes <= CHUNK_MAX_BYTES
        and row.size >= 0
        and len(row.digest) in (0, DIGEST_BYTES)
    )
    if not sound:
        yield (
            10,
            f"file {inode} of {row.size} bytes has replication {row.replication}, chunks of "
            f"{row.chunk_bytes} bytes and a digest of {len(row.digest)}",
        )


def _check_content(rows: Rows, inode: int, row: InodeRow) -> Found:
    """A file's bytes: inline, or in chunks that cover them."""
    content = rows.raw("inline", number_key(inode))
    end = _end(rows, inode)
    if content is None and rows.lease(inode) is not None:
        if end < row.size:
            yield 12, f"file {inode} has {row.size} bytes and its chunks end at {end}"
    elif content is None:
        if end != row.size:
            yield 12, f"file {inode} has {row.size} bytes and its chunks end at {end}"
    elif end or not 1 <= len(content) == row.size <= INLINE_MAX_BYTES:
        yield 11, f"file {inode} of {row.size} bytes: {len(content)} are inline, {end} in chunks"


def _end(rows: Rows, inode: int, below: int | None = None) -> int:
    """Where the chunks of a file (those that start below an offset) end; 0 without any."""
    last = rows.before(
        "chunks", pair_key(inode + 1, 0) if below is None else pair_key(inode, below)
    )
    if last is None or number_of(last[0]) != inode:
        return 0
    return second_of(last[0]) + rows.decode(ChunkRow, "chunks", *last).length


def check_chunk(rows: Rows, key: bytes, value: bytes) -> Found:
    """A chunk, its file, the chunk before it, and its owner row."""
    if len(key) != 2 * NUMBER_BYTES:
        raise RowError("chunks", key, "the key is no inode with an offset")
    inode, start = number_of(key), second_of(key)
    row = rows.decode(ChunkRow, "chunks", key, value)
    yield from _born(rows, row.born)
    name = f"chunk {row.chunk} at {start} of file {inode}"
    file = rows.inode(inode)
    if file is None or file.is_dir:
        yield 13, f"{name}: there is no such file"
        return
    before = _end(rows, inode, start)
    if before != start and not (before == 0 and rows.is_unlinked(inode)):
        yield 12, f"{name}: the bytes before it end at {before}"
    if (
        not 1 <= row.length <= file.chunk_bytes
        or row.generation < 1
        or len(row.digest) != DIGEST_BYTES
    ):
        yield (
            14,
            f"{name}: length {row.length} of at most {file.chunk_bytes}, generation "
            f"{row.generation}, a digest of {len(row.digest)} bytes",
        )
    if not 1 <= row.chunk < rows.counter(NEXT_CHUNK):
        yield 30, f"{name} is not below the counter {rows.counter(NEXT_CHUNK)}"
    owner = rows.get("owners", number_key(row.chunk), OwnerRow)
    if owner != OwnerRow(inode, start):
        yield 15, f"{name} is owned by {owner}"


def check_owner(rows: Rows, key: bytes, value: bytes) -> Found:
    """An owner row and the chunk that it speaks of."""
    chunk = _number("owners", key)
    row = rows.decode(OwnerRow, "owners", key, value)
    owned = rows.get("chunks", pair_key(row.inode, row.start), ChunkRow)
    if owned is None or owned.chunk != chunk:
        yield 16, f"chunk {chunk} is not at {row.start} of file {row.inode}"


def check_inline(rows: Rows, key: bytes, value: bytes) -> Found:
    """Inline content and its file."""
    inode = _number("inline", key)
    file = rows.inode(inode)
    if file is None or file.is_dir:
        yield 11, f"{len(value)} bytes are inline for {inode}, which is no file"


# -- leases and sessions


def check_lease(rows: Rows, key: bytes, value: bytes) -> Found:
    """A lease, its file, its session, the name it reserves and its allocated chunk."""
    inode = _number("leases", key)
    row = rows.decode(LeaseRow, "leases", key, value)
    file = rows.inode(inode)
    unlinked = rows.is_unlinked(inode)
    if file is None or file.is_dir or (unlinked and not row.appends):
        yield 20, f"the lease of {row.path} is on {inode}, which is no file that can be written"
    if rows.get("sessions", number_key(row.session), SessionRow) is None:
        yield 21, f"the lease of {row.path} belongs to session {row.session}, which is over"
    reserves = rows.raw("reserved", entry_key(row.parent, row.name)) == key
    if not row.appends and not reserves:
        yield 22, f"the name {row.name!r} in {row.parent} is not reserved for file {inode}"
    if row.chunk == 0:
        sound = row.generation == 0 and row.start == 0 and not row.targets
    else:
        sound = (
            1 <= row.chunk < rows.counter(NEXT_CHUNK)
            and row.generation >= 1
            and (unlinked or row.start == _end(rows, inode))
            and len(row.targets) == len(set(row.targets)) > 0
            and rows.raw("owners", number_key(row.chunk)) is None
        )
    if not sound:
        yield (
            24,
            f"{row.path}: chunk {row.chunk}, generation {row.generation}, allocated at {row.start} "
            f"on {len(row.targets)} nodes, cannot be",
        )


def check_reserved(rows: Rows, key: bytes, value: bytes) -> Found:
    """A reserved name and the lease that reserves it."""
    parent, name = _name_in("reserved", key)
    if len(value) != NUMBER_BYTES:
        raise RowError("reserved", key, f"{len(value)} bytes are no inode")
    inode = number_of(value)
    lease = rows.lease(inode)
    if lease is None or (lease.parent, lease.name) != (parent, name):
        yield 23, f"{name!r} in {parent} is reserved for {inode}, which nobody writes"


def check_session(rows: Rows, key: bytes, value: bytes) -> Found:
    """A session, or an answer kept for one."""
    if len(key) == NUMBER_BYTES:
        rows.decode(SessionRow, "sessions", key, value)
        if rows.next_index is not None and number_of(key) >= rows.next_index:
            yield 25, f"session {number_of(key)} is of a record that the log does not have"
        return
    if len(key) != 2 * NUMBER_BYTES:
        raise RowError("sessions", key, "the key is no session with a sequence number")
    session, sequence = number_of(key), second_of(key)
    row = rows.get("sessions", number_key(session), SessionRow)
    if row is None:
        yield 26, f"an answer is kept for session {session}, which is over"
    elif not 0 <= sequence - row.ack_below < SESSION_KEEP_REPLIES:
        yield (
            26,
            f"answer {sequence} of session {session} is kept, and {row.ack_below} is awaited first",
        )
    try:
        decode([value])
    except DfsError as error:
        raise RowError("sessions", key, str(error)) from error


# -- the rest


def check_reap(rows: Rows, key: bytes, value: bytes) -> Found:
    """An inode that is to be reclaimed."""
    inode = _number("reap", key)
    if value or rows.inode(inode) is None:
        yield 4, f"inode {inode} is to be reclaimed and does not exist"


def check_node(rows: Rows, key: bytes, value: bytes) -> Found:
    """A datanode that registered."""
    rows.decode(NodeRow, "nodes", key, value)
    yield from ()


def check_member(rows: Rows, key: bytes, value: bytes) -> Found:
    """A key and whose it is."""
    row = rows.decode(MemberRow, "members", key, value)
    if len(key) != KEY_BYTES:
        raise RowError("members", key, f"a key of {len(key)} bytes")
    if row.role not in tuple(Role) or not row.name:
        yield 33, f"the key of {row.name!r} is that of a {row.role!r}, which is no role"


def check_doubtful(rows: Rows, key: bytes, value: bytes) -> Found:
    """Chunk ids that a lost history may have used."""
    begin, end = _number("doubtful", key), _number("doubtful", value)
    if not begin < end <= rows.counter(NEXT_CHUNK):
        yield 32, f"chunk ids {begin} to {end} cannot be doubtful"
    last = rows.before("owners", value)
    if last is not None and last[0] >= key:
        yield 32, f"a file has a chunk between {begin} and {end}, which are doubtful"


def check_meta(rows: Rows, key: bytes, value: bytes) -> Found:
    """A counter."""
    if key not in (NEXT_INODE, NEXT_CHUNK, EPOCH, APPLIED_INDEX) or len(value) != NUMBER_BYTES:
        raise RowError("meta", key, f"{len(value)} bytes for {key!r} have no meaning")
    number = number_of(value)
    if key == NEXT_INODE and rows.inode(ROOT) is None:
        yield 2, "there is no root"
    if key == APPLIED_INDEX and rows.next_index is not None and number >= rows.next_index:
        yield 31, f"record {number} is applied, and the log ends at {rows.next_index - 1}"


CHECKS: dict[str, RowCheck] = {
    "entries": check_entry,
    "inodes": check_inode,
    "chunks": check_chunk,
    "owners": check_owner,
    "inline": check_inline,
    "leases": check_lease,
    "reserved": check_reserved,
    "sessions": check_session,
    "reap": check_reap,
    "nodes": check_node,
    "doubtful": check_doubtful,
    "members": check_member,
    "meta": check_meta,
}
