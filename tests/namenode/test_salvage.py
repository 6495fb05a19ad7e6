"""What becomes of chunks when there is nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dfs.namenode.apply import MODULE
from dfs.namenode.fsck import find_problems
from dfs.namenode.keys import EPOCH, NEXT_CHUNK, get_number
from dfs.namenode.namespace import stat
from dfs.namenode.salvage import Defaults, Salvage
from dfs.namenode.table import MemoryTable, scan_prefix
from dfs.wire.keeper import FoundChunk
from tests.namenode.listed import listed

DEFAULTS = Defaults("root", "users", 3, 4096, 10**18)
DIGEST = b"d" * 16


def chunk(number: int, inode: int, start: int, path: str = "/a", **other: int) -> FoundChunk:
    """A chunk of 100 bytes."""
    generation, length = other.get("generation", 1), other.get("length", 100)
    return FoundChunk(number, generation, length, DIGEST, inode, start, path)


def made_of(*found: FoundChunk, epoch: int = 4) -> MemoryTable:
    """The tables after the log that is made of these chunks."""
    table = MemoryTable(MODULE.tables)
    for index, record in enumerate(Salvage(found, DEFAULTS).records(epoch), start=1):
        for command in record:
            MODULE.apply(table, index, command)
    table.commit()
    assert find_problems(table, (MODULE,)) == []
    return table


def test_a_file_that_is_covered_has_its_path_size_and_chunks() -> None:
    table = made_of(
        chunk(11, 5, 100, "/d/e/f"), chunk(10, 5, 0, "/d/e/f"), chunk(10, 5, 0, "/d/e/f")
    )
    assert listed(table) == {"/d": None, "/d/e": None, "/d/e/f": [10, 11]}
    entry = stat(table, "/d/e/f")
    assert (entry.size, entry.inode, entry.digest, entry.owner) == (200, 5, b"", "root")


def test_ids_and_epoch_are_above_everything_seen() -> None:
    table = made_of(chunk(77, 5, 0), epoch=9)
    assert get_number(table, EPOCH, 1) >= 10
    assert get_number(table, NEXT_CHUNK, 1) > 77 + (1 << 31)
    assert stat(table, "/a").inode == 5
    assert get_number(table, b"next_inode", 1) > 5


def test_the_latest_generation_and_the_later_of_two_chunks_count() -> None:
    table = made_of(
        chunk(10, 5, 0, generation=1, length=50),
        chunk(10, 5, 0, generation=2),
        chunk(11, 5, 100),
        chunk(12, 5, 100),
    )
    assert listed(table) == {"/a": [10, 12]}


def test_what_has_a_gap_goes_to_lost_and_found_in_pieces() -> None:
    table = made_of(chunk(10, 5, 0), chunk(12, 5, 200), chunk(13, 5, 300), chunk(20, 6, 100))
    assert listed(table) == {
        "/lost+found": None,
        "/lost+found/5": [10],
        "/lost+found/5.200": [12, 13],
        "/lost+found/6.100": [20],
    }


def test_a_file_without_a_usable_path_is_found_too() -> None:
    for path in ("", "no/slash", "/", "/../x", "/a//" + "n" * 256):
        assert listed(made_of(chunk(10, 5, 0, path))) == {
            "/lost+found": None,
            "/lost+found/5": [10],
        }


def test_of_several_that_want_a_path_the_highest_inode_gets_it() -> None:
    table = made_of(chunk(10, 5, 0), chunk(11, 7, 0), chunk(12, 6, 0))
    assert listed(table) == {"/a": [11], "/a.~5": [10], "/a.~6": [12]}


def test_a_directory_takes_the_path_from_a_file() -> None:
    table = made_of(chunk(10, 9, 0, "/a"), chunk(11, 5, 0, "/a/b"))
    assert listed(table) == {"/a": None, "/a.~9": [10], "/a/b": [11]}


def test_a_name_that_would_be_too_long_goes_to_lost_and_found() -> None:
    name = "n" * 255
    table = made_of(chunk(10, 5, 0, f"/{name}"), chunk(11, 6, 0, f"/{name}"))
    assert listed(table) == {"/lost+found": None, "/lost+found/5": [10], f"/{name}": [11]}


def test_a_file_of_many_chunks_is_written_in_several_records() -> None:
    found = [chunk(10 + n, 5, 100 * n) for n in range(2500)]
    sizes = [len(record) for record in Salvage(found, DEFAULTS).records(1)]
    assert max(sizes) <= 2000
    assert stat(made_of(*found), "/a").size == 250_000


@given(
    st.lists(
        st.builds(
            chunk,
            st.integers(1, 30),
            st.integers(2, 6),
            st.sampled_from((0, 50, 100, 200, 300)),
            st.sampled_from(("/a", "/a/b", "/c", "/c.~3", "/lost+found", "/lost+found/4", "bad")),
        ),
        max_size=30,
    )
)
def test_any_chunks_make_a_namespace_in_which_each_chunk_has_one_place(
    found: list[FoundChunk],
) -> None:
    table = made_of(*found)
    used = [number for chunks in listed(table).values() for number in chunks or ()]
    assert len(used) == len(set(used))
    assert set(used) <= {one.chunk for one in found}
    assert len(list(scan_prefix(table, "owners", b""))) == len(used)
    assert not list(scan_prefix(table, "leases", b""))
