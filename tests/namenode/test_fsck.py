"""Damage to each kind of row, one row at a time: fsck says which invariant broke, and only that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from dfs.errors import BadArgument
from dfs.limits import FSCK_MAX_PROBLEMS
from dfs.namenode.apply import MODULE
from dfs.namenode.fsck import Fsck, find_problems
from dfs.namenode.keys import (
    APPLIED_INDEX,
    EPOCH,
    NEXT_CHUNK,
    NEXT_INODE,
    ROOT,
    TABLES,
    ChunkRow,
    EntryRow,
    InodeRow,
    LeaseRow,
    MemberRow,
    OwnerRow,
    Row,
    SessionRow,
    entry_key,
    get_number,
    get_row,
    number_key,
    number_of,
    pair_key,
    put_number,
    put_row,
)
from dfs.namenode.namespace import find_entry
from dfs.namenode.table import MemoryTable
from dfs.wire import namespace as m
from dfs.wire.appending import Append
from tests.namenode.conftest import Namenode

pytestmark = pytest.mark.damages_tables
KIB = 1024


class Victim:
    """Sound tables with a bit of everything, and ways to damage them."""

    def __init__(self) -> None:
        self.namenode = Namenode()
        self.namenode.join("datanode-1", "datanode-2", "datanode-3")
        change = self.namenode.change
        change(m.Mkdir, path="/d/e/f", parents=True)
        self.namenode.write("/d/big", (4 * KIB, 4 * KIB, 100), chunk_bytes=4 * KIB)
        change(m.PutInline, path="/d/small", content=b"hello", digest=b"5" * 16)
        change(m.PutInline, path="/d/empty", content=b"", digest=b"0" * 16)
        created = change(m.Create, path="/d/new", chunk_bytes=4 * KIB)
        self.new = created.inode
        got = change(m.AddChunk, inode=self.new, start=0)
        nodes = tuple(t.node for t in got.chain)
        sealed = m.SealedChunk(got.chunk, got.generation, 0, 4 * KIB, b"d" * 16, nodes)
        change(m.AddChunk, inode=self.new, start=4 * KIB, sealed=sealed)
        self.namenode.write("/d/grown", (4 * KIB,))
        change(Append, path="/d/grown")
        self.namenode.join("datanode-4", highest=get_number(self.namenode.table, NEXT_CHUNK, 1))
        self.table: MemoryTable = self.namenode.table
        put_number(self.table, APPLIED_INDEX, self.namenode.index)

    def inode(self, path: str) -> int:
        return find_entry(self.table, path)[1].inode

    def edit(self, table: str, key: bytes, cls: type[Row], **changes: Any) -> None:
        row = get_row(self.table, table, key, cls)
        assert row is not None
        put_row(self.table, table, key, msgspec.structs.replace(row, **changes))

    def edit_inode(self, path: str, **changes: Any) -> None:
        self.edit("inodes", number_key(self.inode(path)), InodeRow, **changes)

    def edit_entry(self, folder: str, name: str, **changes: Any) -> None:
        self.edit("entries", entry_key(self.inode(folder), name), EntryRow, **changes)

    def edit_chunk(self, start: int, **changes: Any) -> None:
        self.edit("chunks", pair_key(self.inode("/d/big"), start), ChunkRow, **changes)

    def edit_lease(self, **changes: Any) -> None:
        self.edit("leases", number_key(self.new), LeaseRow, **changes)

    def drop(self, table: str, key: bytes) -> None:
        assert self.table.delete(table, key)

    def numbers(self) -> list[int]:
        index = self.namenode.index
        return [p.number for p in find_problems(self.table, (MODULE,), index + 1)]


def first_key(table: str) -> Callable[[Victim], bytes]:
    return lambda v: v.table.scan(table, b"\0", 1)[0][0]


def circle(v: Victim) -> None:
    """/d goes into /d/e, as no rename may."""
    d, e = v.inode("/d"), v.inode("/d/e")
    v.table.delete("entries", entry_key(ROOT, "d"))
    put_row(v.table, "entries", entry_key(e, "d"), EntryRow(d, True, 1))
    v.edit("inodes", number_key(d), InodeRow, parent=e)


def reclaim_what_has_a_name(v: Victim) -> None:
    v.table.put("reap", number_key(v.inode("/d/empty")), b"")


def second_name(v: Victim) -> None:
    row = EntryRow(v.inode("/d/empty"), False, 1)
    put_row(v.table, "entries", entry_key(v.inode("/d"), "other"), row)


def bad_name(v: Victim) -> None:
    """A name with a slash, well linked both ways."""
    parent, inode = v.inode("/d"), v.inode("/d/empty")
    v.drop("entries", entry_key(parent, "empty"))
    put_row(v.table, "entries", entry_key(parent, "a/b"), EntryRow(inode, False, 1))
    v.edit("inodes", number_key(inode), InodeRow, name="a/b")


def entry_in_a_file(v: Victim) -> None:
    file, inode = v.inode("/d/big"), v.inode("/d/empty")
    v.drop("entries", entry_key(v.inode("/d"), "empty"))
    put_row(v.table, "entries", entry_key(file, "empty"), EntryRow(inode, False, 1))
    v.edit("inodes", number_key(inode), InodeRow, parent=file)


def chunk_of_a_directory(v: Victim) -> None:
    row = ChunkRow(1, 1, 5, b"d" * 16, 1)
    put_row(v.table, "chunks", pair_key(v.inode("/d"), 0), row)


def chunk_twice(v: Victim) -> None:
    """A file has the chunk of another one."""
    row = ChunkRow(1, 1, 5, b"d" * 16, 1)
    put_row(v.table, "chunks", pair_key(v.inode("/d/empty"), 0), row)
    v.edit_inode("/d/empty", size=5)


def stray_owner(v: Victim) -> None:
    v.drop("doubtful", first_key("doubtful")(v))
    put_row(v.table, "owners", number_key(2**20), OwnerRow(v.inode("/d/big"), 5))


def reserve_without_lease(v: Victim) -> None:
    v.table.put("reserved", entry_key(ROOT, "x"), number_key(v.inode("/d/big")))


def lease_without_inode(v: Victim) -> None:
    lease = get_row(v.table, "leases", number_key(v.new), LeaseRow)
    assert lease is not None
    row = msgspec.structs.replace(lease, name="gone", chunk=0, generation=0, start=0, targets=())
    put_row(v.table, "leases", number_key(900), row)
    v.table.put("reserved", entry_key(lease.parent, "gone"), number_key(900))


def lose_lease(v: Victim) -> None:
    """The file under construction loses its lease."""
    v.drop("leases", number_key(v.new))
    v.drop("reserved", first_key("reserved")(v))


def long_chunk(v: Victim) -> None:
    v.edit_chunk(8 * KIB, length=4 * KIB + 1)
    v.edit_inode("/d/big", size=12 * KIB + 1)


def low_counter(v: Victim) -> None:
    v.edit_lease(chunk=0, generation=0, start=0, targets=())
    v.drop("doubtful", first_key("doubtful")(v))
    put_number(v.table, NEXT_CHUNK, 4)


def answer_too_old(v: Victim) -> None:
    session = number_key(v.namenode.session)
    v.edit("sessions", session, SessionRow, ack_below=v.namenode.sequence + 1)


def answer_of_nobody(v: Victim) -> None:
    key, value = v.table.scan("sessions", number_key(v.namenode.session) + b"\0", 1)[0]
    v.table.put("sessions", number_key(2) + key[8:], value)


DAMAGES: list[tuple[int, str, Callable[[Victim], object]]] = [
    (1, "a row", lambda v: v.table.put("nodes", b"datanode-1", b"\xc1")),
    (1, "a row too short", lambda v: v.table.put("nodes", b"datanode-1", b"\x90")),
    (1, "a name", lambda v: v.table.put("entries", number_key(ROOT) + b"\xff", b"\x93\1\xc3\1")),
    (1, "an entry's key", lambda v: v.table.put("entries", b"short", b"\x93\1\xc3\1")),
    (1, "an inode's key", lambda v: v.table.put("inodes", b"short", b"")),
    (1, "a chunk's key", lambda v: v.table.put("chunks", b"short", b"")),
    (1, "a session's key", lambda v: v.table.put("sessions", b"short", b"")),
    (1, "a reserved inode", lambda v: v.table.put("reserved", number_key(ROOT) + b"x", b"")),
    (1, "an unknown counter", lambda v: put_number(v.table, b"next_cluster", 1)),
    (1, "a counter's size", lambda v: v.table.put("meta", EPOCH + b"2", b"1")),
    (1, "a number that cannot be", lambda v: v.edit_lease(session=-1)),
    (1, "an answer", lambda v: v.table.put("sessions", pair_key(v.namenode.session, 14), b"?")),
    (2, "the root's kind", lambda v: v.edit("inodes", number_key(ROOT), InodeRow, name="x")),
    (3, "an entry", lambda v: v.drop("entries", entry_key(v.inode("/d"), "empty"))),
    (3, "a lease and its name", lose_lease),
    (4, "reclaiming a name", reclaim_what_has_a_name),
    (4, "reclaiming nothing", lambda v: v.table.put("reap", number_key(900), b"")),
    (5, "an inode", lambda v: v.drop("inodes", number_key(v.inode("/d/empty")))),
    (5, "a kind", lambda v: v.edit_entry("/d", "empty", is_dir=True)),
    (5, "a second name", second_name),
    (6, "an entry in a file", entry_in_a_file),
    (7, "a circle", circle),
    (8, "a name that is none", bad_name),
    (10, "a replication", lambda v: v.edit_inode("/d/empty", replication=0)),
    (10, "a chunk size", lambda v: v.edit_inode("/d/empty", chunk_bytes=1)),
    (10, "a digest", lambda v: v.edit_inode("/d/empty", digest=b"1")),
    (11, "inline content", lambda v: v.table.put("inline", number_key(v.inode("/d/small")), b"1")),
    (11, "content of nothing", lambda v: v.table.put("inline", number_key(900), b"1")),
    (12, "a size", lambda v: v.edit_inode("/d/big", size=8 * KIB)),
    (12, "an append", lambda v: v.edit_inode("/d/grown", size=4 * KIB + 1)),
    (12, "lost content", lambda v: v.drop("inline", number_key(v.inode("/d/small")))),
    (12, "a length", lambda v: v.edit_chunk(0, length=4 * KIB - 1)),
    (13, "a chunk of a directory", chunk_of_a_directory),
    (14, "a generation", lambda v: v.edit_chunk(0, generation=0)),
    (14, "a chunk's digest", lambda v: v.edit_chunk(0, digest=b"")),
    (14, "a length over the limit", long_chunk),
    (15, "an owner", lambda v: v.drop("owners", first_key("owners")(v))),
    (15, "a chunk of two files", chunk_twice),
    (16, "an owner of nothing", stray_owner),
    (20, "a lease on nothing", lease_without_inode),
    (21, "a lease's session", lambda v: v.edit_lease(session=2)),
    (22, "a reserved name", lambda v: v.drop("reserved", first_key("reserved")(v))),
    (23, "a name for nobody", reserve_without_lease),
    (24, "an allocated chunk", lambda v: v.edit_lease(start=1)),
    (24, "no targets", lambda v: v.edit_lease(targets=())),
    (24, "targets without a chunk", lambda v: v.edit_lease(chunk=0)),
    (
        25,
        "a session of tomorrow",
        lambda v: put_row(v.table, "sessions", number_key(10**6), SessionRow("anna", 1)),
    ),
    (26, "an answer nobody awaits", answer_too_old),
    (26, "an answer of nobody", answer_of_nobody),
    (30, "the counter of inodes", lambda v: put_number(v.table, NEXT_INODE, v.new)),
    (30, "the counter of chunks", low_counter),
    (30, "the epoch", lambda v: v.drop("meta", EPOCH)),
    (32, "ids beyond the counter", lambda v: v.table.put("doubtful", number_key(1), b"\0" * 8)),
    (
        32,
        "a chunk that a file has",
        lambda v: v.table.put("doubtful", number_key(1), number_key(2)),
    ),
    (
        33,
        "a key of nobody",
        lambda v: put_row(v.table, "members", bytes(32), MemberRow("client", "", 1)),
    ),
    (
        33,
        "a key of no role",
        lambda v: put_row(v.table, "members", bytes(32), MemberRow("king", "anna", 1)),
    ),
    (31, "a record to come", lambda v: v.edit_inode("/d/empty", born=10**6)),
    (31, "applied too far", lambda v: put_number(v.table, APPLIED_INDEX, 10**6)),
]


def test_sound_tables_have_no_problem() -> None:
    victim = Victim()
    assert victim.numbers() == []
    filled = [name for name in TABLES if victim.table.scan(name, b"\0", 1)]
    assert set(TABLES) - set(filled) == {"reap", "members"}
    assert find_problems(MemoryTable(TABLES), (MODULE,)) == [], "a table before its first record"
    assert tuple(MODULE.checks) == TABLES


@pytest.mark.parametrize(
    ("number", "damage"), [pytest.param(n, d, id=f"{n}-{what}") for n, what, d in DAMAGES]
)
def test_damage_is_found(number: int, damage: Callable[[Victim], object]) -> None:
    victim = Victim()
    damage(victim)
    assert set(victim.numbers()) == {number}


def test_chunks_lie_beyond_the_size_only_while_a_lease_appends() -> None:
    victim = Victim()
    seal_beyond(victim, "/d/grown", 4 * KIB)
    assert victim.numbers() == []
    victim.drop("leases", number_key(victim.inode("/d/grown")))
    assert victim.numbers() == [12]


def seal_beyond(v: Victim, path: str, end: int) -> None:
    """A file that is appended to gets a chunk that its size does not show yet."""
    inode = v.inode(path)
    got = v.namenode.change(m.AddChunk, inode=inode, start=end)
    nodes = tuple(target.node for target in got.chain)
    sealed = m.SealedChunk(got.chunk, got.generation, end, 10, b"d" * 16, nodes)
    v.namenode.change(m.AddChunk, inode=inode, start=end + 10, sealed=sealed)


def test_a_lost_root_is_a_problem_of_its_own_and_of_what_stood_in_it() -> None:
    victim = Victim()
    victim.drop("inodes", number_key(ROOT))
    assert set(victim.numbers()) == {2, 6}


def test_a_problem_says_what_and_where() -> None:
    victim = Victim()
    inode = victim.inode("/d/empty")
    victim.drop("inodes", number_key(inode))
    (problem,) = find_problems(victim.table, (MODULE,))
    key = entry_key(victim.inode("/d"), "empty").hex()
    text = f"invariant 5: 'empty' names inode {inode}, which does not exist (entries[{key}])"
    assert str(problem) == text


def test_a_row_that_cannot_be_read_is_one_problem_whoever_names_it() -> None:
    victim = Victim()
    victim.table.put("inodes", number_key(victim.inode("/d")), b"\xc1")
    assert victim.numbers() == [1]


@pytest.mark.parametrize("limit", [1, 3, 7])
def test_slices_find_the_same(limit: int) -> None:
    victim = Victim()
    victim.edit_chunk(0, generation=0)
    victim.drop("inodes", number_key(victim.inode("/d/empty")))
    whole = find_problems(victim.table, (MODULE,))
    found, cursor, slices = [], "", 0
    while slices == 0 or cursor:
        fsck = Fsck((MODULE,), cursor)
        found += fsck.step(victim.table, None, limit)
        assert fsck.rows <= limit
        cursor = fsck.cursor
        slices += 1
    assert found == whole
    rows = sum(len(victim.table.scan(name, b"\0", 1000)) for name in TABLES)
    assert slices == rows // limit + 1


def test_a_slice_ends_early_when_everything_is_wrong() -> None:
    victim = Victim()
    for number in range(1000, 1200):
        victim.table.put("reap", number_key(number), b"")
    fsck = Fsck((MODULE,))
    found = fsck.step(victim.table)
    assert len(found) == FSCK_MAX_PROBLEMS
    assert fsck.cursor
    assert number_of(bytes.fromhex(fsck.cursor.split()[1])) == 1099


@pytest.mark.parametrize(
    "cursor", ["x", "entries", "entries zz", "nowhere 00", f"meta {'00' * 600}"]
)
def test_a_cursor_from_elsewhere_is_refused(cursor: str) -> None:
    with pytest.raises(BadArgument, match="no place"):
        Fsck((MODULE,), cursor).step(MemoryTable(TABLES))


def test_changes_between_slices_are_no_problem() -> None:
    """Renames behind and ahead of the walk, files that come and go."""
    namenode = Namenode()
    for name in "abcdefgh":
        namenode.change(m.Mkdir, path=f"/{name}")
        namenode.change(m.PutInline, path=f"/{name}/f", content=b"1", digest=b"1" * 16)
    fsck = Fsck((MODULE,))
    for turn in range(10_000):
        assert fsck.step(namenode.table, namenode.index + 1, 20) == []
        if not fsck.cursor:
            break
        namenode.change(m.Rename, source="/a/f" if turn % 2 else "/h/f", target=f"/d/{turn}")
        namenode.change(m.Remove, path=f"/d/{turn}")
        for folder in "ah":
            namenode.change(
                m.PutInline, path=f"/{folder}/f", content=b"1", digest=b"1" * 16, overwrite=True
            )
    assert not fsck.cursor


def test_a_name_that_is_too_long_is_none() -> None:
    victim = Victim()
    parent, inode = victim.inode("/d"), victim.inode("/d/empty")
    victim.drop("entries", entry_key(parent, "empty"))
    put_row(victim.table, "entries", entry_key(parent, "a" * 256), EntryRow(inode, False, 1))
    victim.edit("inodes", number_key(inode), InodeRow, name="a" * 256)
    assert set(victim.numbers()) == {8}
