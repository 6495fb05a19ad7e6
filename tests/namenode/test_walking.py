"""Walks in pages against a sorted list of paths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfs.errors import NotFound
from dfs.limits import USAGE_MAX_FOLDERS, USAGE_MAX_ROWS
from dfs.namenode.usage import usage_page
from dfs.namenode.walking import walk
from dfs.wire import namespace as m
from dfs.wire.admin import FolderUsage
from tests.namenode.conftest import Namenode

NAMES = st.sampled_from(["a", "b", "é", "a-b", "z.", ".jobs"])
PATHS = st.lists(st.lists(NAMES, min_size=1, max_size=3).map(tuple), max_size=8)


def tree(paths: list[tuple[str, ...]]) -> tuple[Namenode, list[tuple[str, ...]]]:
    """A namenode with these directories, and all their names, sorted."""
    namenode = Namenode()
    for path in paths:
        namenode.change(m.Mkdir, path="/" + "/".join(path), parents=True, exist_ok=True)
    every = {path[:end] for path in paths for end in range(len(path) + 1)} | {()}
    return namenode, sorted(every)


@given(PATHS)
def test_a_walk_can_go_on_from_anywhere(paths: list[tuple[str, ...]]) -> None:
    namenode, every = tree(paths)
    texts = ["/" + "/".join(names) for names in every]
    for at, after in [(0, ""), *enumerate(texts, start=1)]:
        found = [path for path, _, _ in walk(namenode.table, "/", after, with_system=True)]
        assert found == texts[at:]


def test_system_directories_are_left_out_when_nobody_asked_for_them() -> None:
    namenode, _ = tree([(".jobs", "x"), ("a", ".jobs")])
    found = [path for path, _, _ in walk(namenode.table, "/", "", with_system=False)]
    assert found == ["/", "/a", "/a/.jobs"]
    inside = [path for path, _, _ in walk(namenode.table, "/.jobs", "", with_system=False)]
    assert inside == ["/.jobs", "/.jobs/x"]


def test_a_walk_goes_on_behind_what_has_gone_meanwhile() -> None:
    namenode, _ = tree([("a", "b"), ("c",)])
    for after, left in [("/a/a", ["/a/b", "/c"]), ("/b/x/y", ["/c"]), ("/c/x", [])]:
        assert [p for p, _, _ in walk(namenode.table, "/", after, with_system=True)] == left
    assert list(walk(namenode.table, "/a", "/c", with_system=True)) == []
    with pytest.raises(NotFound):
        list(walk(namenode.table, "/d", "", with_system=True))


def put(namenode: Namenode, path: str, size: int, replication: int = 3) -> None:
    namenode.change(
        m.PutInline, path=path, content=b"x" * size, digest=b"d" * 16, replication=replication
    )


def test_usage_of_a_file_a_directory_and_nothing() -> None:
    namenode = Namenode()
    put(namenode, "/d/f", 10, 2)
    put(namenode, "/d/e/g", 5)
    assert usage_page(namenode.table, "/d/f", "").folders == (FolderUsage("/d/f", 1, 0, 10, 20),)
    page = usage_page(namenode.table, "/d", "")
    assert page.folders == (FolderUsage("/d", 1, 1, 10, 20), FolderUsage("/d/e", 1, 1, 5, 15))
    assert (page.more, page.after) == (False, "")
    with pytest.raises(NotFound):
        usage_page(namenode.table, "/x", "")


def test_pages_of_usage_add_up_whatever_ends_them() -> None:
    namenode = Namenode()
    for number in range(USAGE_MAX_ROWS + 50):
        put(namenode, f"/many/{number}", 1, 1)
    for number in range(USAGE_MAX_FOLDERS + 50):
        put(namenode, f"/wide/{number}/f", 2, 2)
    folders, after, pages = [], "", 0
    while pages == 0 or after:
        page = usage_page(namenode.table, "/", after)
        assert len(page.folders) <= USAGE_MAX_FOLDERS
        folders += page.folders
        after, pages = page.after, pages + 1
    assert pages >= 3
    assert sum(f.files for f in folders) == USAGE_MAX_ROWS + USAGE_MAX_FOLDERS + 100
    assert sum(f.directories for f in folders) == USAGE_MAX_FOLDERS + 50 + 3
    assert sum(f.size for f in folders) == USAGE_MAX_ROWS + 50 + 2 * (USAGE_MAX_FOLDERS + 50)
    assert sum(f.stored for f in folders) == USAGE_MAX_ROWS + 50 + 4 * (USAGE_MAX_FOLDERS + 50)
