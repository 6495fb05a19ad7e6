"""Names: create, mkdir, rename, remove, list, each with its errors."""

from __future__ import annotations

import re
from typing import Any

import pytest

from dfs.errors import (
    BadArgument,
    Exists,
    IsADirectory,
    NotADirectory,
    NotEmpty,
    NotFound,
)
from dfs.limits import STAT_MAX_PATHS
from dfs.wire import namespace as m
from dfs.wire.lookup import StatMany


def put(namenode: Any, path: str, content: bytes = b"x", **fields: Any) -> Any:
    return namenode.change(m.PutInline, path=path, content=content, digest=b"d" * 16, **fields)


def test_the_root_exists_and_is_empty(lone_namenode: Any) -> None:
    assert lone_namenode.names() == []
    root = lone_namenode.ask(m.Stat("/")).entry
    assert (root.path, root.is_dir) == ("/", True)


def test_mkdir_makes_one_level_or_with_parents_all(lone_namenode: Any) -> None:
    lone_namenode.change(m.Mkdir, path="/a")
    lone_namenode.fails(NotFound, m.Mkdir, path="/x/y")
    lone_namenode.change(m.Mkdir, path="/x/y/z", parents=True)
    assert lone_namenode.names() == ["/a", "/x"]
    assert lone_namenode.names("x/y/") == ["/x/y/z"]


def test_mkdir_refuses_what_exists_unless_a_directory_is_fine(lone_namenode: Any) -> None:
    lone_namenode.change(m.Mkdir, path="/a")
    put(lone_namenode, "/f")
    lone_namenode.fails(Exists, m.Mkdir, path="/a")
    lone_namenode.change(m.Mkdir, path="/a", exist_ok=True)
    lone_namenode.fails(Exists, m.Mkdir, path="/f", exist_ok=True)
    lone_namenode.fails(NotADirectory, m.Mkdir, path="/f/g", parents=True)
    lone_namenode.change(m.Mkdir, path="/", exist_ok=True)


def test_put_makes_parents_and_is_read_back_whole(lone_namenode: Any) -> None:
    closed = put(lone_namenode, "/a/b/c.txt", b"hello")
    assert (closed.entry.path, closed.entry.size, closed.durable) == ("/a/b/c.txt", 5, 1)
    located = lone_namenode.ask(m.Locate("/a/b/c.txt"))
    assert (located.content, located.chunks) == (b"hello", ())


def test_put_refuses_an_existing_file_without_overwrite(lone_namenode: Any) -> None:
    put(lone_namenode, "/f", b"old")
    lone_namenode.fails(Exists, m.PutInline, path="/f", content=b"new", digest=b"")
    put(lone_namenode, "/f", b"new", overwrite=True)
    assert lone_namenode.ask(m.Locate("/f")).content == b"new"
    assert lone_namenode.table.scan("reap", b"\0", 10) == []


def test_a_directory_is_never_replaced_by_a_file(lone_namenode: Any) -> None:
    lone_namenode.change(m.Mkdir, path="/d")
    lone_namenode.fails(
        IsADirectory, m.PutInline, path="/d", content=b"", digest=b"", overwrite=True
    )
    lone_namenode.fails(IsADirectory, m.Create, path="/", overwrite=True)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/a/../b", "'..'"),
        ("/./b", "'.'"),
        ("/a\0b", "NUL"),
        ("/" + "n" * 256, "256 bytes"),
        ("/" + "é" * 128, "256 bytes"),
        ("/\udc80", "UTF-8"),
        ("/a" * 101, "components"),
        ("/" + "/".join(["n" * 200] * 30), "path of"),
    ],
)
def test_bad_names_are_refused_with_the_reason(lone_namenode: Any, path: str, reason: str) -> None:
    with pytest.raises(BadArgument, match=re.escape(reason)):
        put(lone_namenode, path)


@pytest.mark.parametrize("name", ["🦆.txt", "a b", "n" * 255, "é" * 127, "-f", "*", "tab\there"])
def test_unusual_names_are_fine(lone_namenode: Any, name: str) -> None:
    put(lone_namenode, f"/{name}")
    assert lone_namenode.names() == [f"/{name}"]
    assert lone_namenode.ask(m.Stat(f"/{name}")).entry.size == 1


def test_rename_moves_a_file_and_a_tree(lone_namenode: Any) -> None:
    put(lone_namenode, "/a/b/c")
    lone_namenode.change(m.Rename, source="/a", target="/z")
    assert lone_namenode.names("/z/b") == ["/z/b/c"]
    lone_namenode.change(m.Rename, source="/z/b/c", target="/d")
    assert lone_namenode.names("/z/b") == []
    assert lone_namenode.ask(m.Locate("/d")).content == b"x"


def test_rename_says_why_not(lone_namenode: Any) -> None:
    put(lone_namenode, "/f", b"1")
    put(lone_namenode, "/g", b"2")
    lone_namenode.change(m.Mkdir, path="/d/e", parents=True)
    lone_namenode.fails(NotFound, m.Rename, source="/none", target="/x")
    lone_namenode.fails(NotFound, m.Rename, source="/f", target="/none/x")
    lone_namenode.fails(Exists, m.Rename, source="/f", target="/g")
    lone_namenode.fails(Exists, m.Rename, source="/f", target="/d", overwrite=True)
    lone_namenode.fails(NotADirectory, m.Rename, source="/d", target="/f", overwrite=True)
    lone_namenode.fails(BadArgument, m.Rename, source="/d", target="/d/e/x")
    lone_namenode.fails(BadArgument, m.Rename, source="/", target="/x")
    lone_namenode.fails(Exists, m.Rename, source="/f", target="/")
    lone_namenode.change(m.Rename, source="/f", target="/f")
    assert lone_namenode.names() == ["/d", "/f", "/g"]


def test_rename_with_overwrite_replaces_a_file(lone_namenode: Any) -> None:
    put(lone_namenode, "/f", b"1")
    put(lone_namenode, "/g", b"2")
    lone_namenode.change(m.Rename, source="/f", target="/g", overwrite=True)
    assert lone_namenode.names() == ["/g"]
    assert lone_namenode.ask(m.Locate("/g")).content == b"1"


def test_a_moved_directory_knows_its_new_parent(lone_namenode: Any) -> None:
    lone_namenode.change(m.Mkdir, path="/a/b", parents=True)
    lone_namenode.change(m.Mkdir, path="/c")
    lone_namenode.change(m.Rename, source="/a/b", target="/c/b")
    lone_namenode.fails(BadArgument, m.Rename, source="/c", target="/c/b/x")
    lone_namenode.change(m.Rename, source="/a", target="/c/b/a")
    assert lone_namenode.names("/c/b") == ["/c/b/a"]


def test_remove_takes_files_empty_directories_and_trees(lone_namenode: Any) -> None:
    put(lone_namenode, "/d/e/f")
    put(lone_namenode, "/g")
    lone_namenode.fails(NotEmpty, m.Remove, path="/d")
    lone_namenode.fails(IsADirectory, m.Remove, path="/d", files_only=True)
    lone_namenode.fails(NotFound, m.Remove, path="/none")
    lone_namenode.fails(BadArgument, m.Remove, path="/", recursive=True)
    lone_namenode.change(m.Remove, path="/g", files_only=True)
    lone_namenode.change(m.Remove, path="/d", recursive=True)
    assert lone_namenode.names() == []


def test_a_removed_tree_is_reclaimed_to_the_last_row(lone_namenode: Any) -> None:
    for at in range(1500):
        put(lone_namenode, f"/d/{at % 7}/{at}")
    lone_namenode.change(m.Remove, path="/d", recursive=True)
    for table in ("reap", "inline", "chunks", "owners"):
        assert lone_namenode.table.scan(table, b"\0", 10) == [], table
    assert len(lone_namenode.table.scan("inodes", b"\0", 10)) == 1


def test_listings_come_in_pages(lone_namenode: Any) -> None:
    for at in range(1001):
        put(lone_namenode, f"/d/{at:04}")
    page = lone_namenode.ask(m.List("/d"))
    assert (len(page.entries), page.more) == (1000, True)
    rest = lone_namenode.ask(m.List("/d", after="0999"))
    assert ([e.path for e in rest.entries], rest.more) == (["/d/1000"], False)


def test_listing_a_file_gives_the_file(lone_namenode: Any) -> None:
    put(lone_namenode, "/d/f")
    assert lone_namenode.names("/d/f") == ["/d/f"]
    with pytest.raises(NotFound):
        lone_namenode.ask(m.List("/none"))
    with pytest.raises(NotADirectory):
        lone_namenode.ask(m.List("/d/f/g"))


def test_system_folders_do_not_show_in_the_root(lone_namenode: Any) -> None:
    put(lone_namenode, "/.jobs/x")
    put(lone_namenode, "/.hidden")
    assert lone_namenode.names() == ["/.hidden"]
    assert lone_namenode.names("/.jobs") == ["/.jobs/x"]


def test_too_many_paths_at_once_are_refused(lone_namenode: Any) -> None:
    for count in (0, STAT_MAX_PATHS + 1):
        with pytest.raises(BadArgument, match=f"^{count} paths are asked for at once: 1 to "):
            lone_namenode.ask(StatMany(("/",) * count))
