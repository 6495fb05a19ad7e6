"""Patterns against a plain reading of the same rules, and pages against the whole."""

from __future__ import annotations

import fnmatch
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfs.errors import BadArgument
from dfs.namenode import globbing
from dfs.namenode.globbing import GlobWalk, expand_braces
from dfs.wire import namespace as m

from .conftest import Namenode

NAMES = st.sampled_from(["a", "b", "ab", "b.txt", "a.txt", ".h", "c"])
COMPONENTS = st.sampled_from(["*", "**", "a", "?", "*.txt", "[ab]", "{a,b}", ".*", "a*", "{a,c}b"])


def plain_match(pattern: tuple[str, ...], path: tuple[str, ...]) -> bool:
    """Does the pattern match the whole path? Written to be obviously right."""
    if not pattern:
        return not path
    head, rest = pattern[0], pattern[1:]
    if head == "**":
        if plain_match(rest, path):
            return True
        return bool(path) and not path[0].startswith(".") and plain_match(pattern, path[1:])
    if not path:
        return False
    hidden = path[0].startswith(".") and not head.startswith(".")
    return not hidden and fnmatch.fnmatchcase(path[0], head) and plain_match(rest, path[1:])


def page_through(namenode: Namenode, pattern: str) -> list[str]:
    found, after = [], ""
    for _ in range(10_000):
        page = namenode.ask(m.Glob(pattern, after))
        found += [e.path for e in page.entries]
        if not page.more:
            return found
        after = page.after
    raise AssertionError("the pages never end")


@settings(max_examples=150, deadline=None)
@given(
    paths=st.lists(st.lists(NAMES, min_size=1, max_size=4), max_size=15),
    pattern=st.lists(COMPONENTS, min_size=1, max_size=4),
    page=st.integers(1, 5),
)
def test_globs_agree_with_a_plain_matcher(
    paths: list[list[str]], pattern: list[str], page: int
) -> None:
    namenode = Namenode()
    for path in paths:
        namenode.change(m.Mkdir, path="/" + "/".join(path), parents=True, exist_ok=True)
    every = {tuple(path[:end]) for path in paths for end in range(len(path) + 1)} | {()}
    wanted = sorted(
        path
        for path in every
        if any(
            plain_match(tuple(alternative.strip("/").split("/")), path)
            for alternative in expand_braces("/" + "/".join(pattern))
        )
    )
    text = "/" + "/".join(pattern)
    assert page_through(namenode, text) == ["/" + "/".join(path) for path in wanted]
    original, globbing.GLOB_MAX_ROWS = globbing.GLOB_MAX_ROWS, page
    try:
        assert page_through(namenode, text) == ["/" + "/".join(path) for path in wanted]
    finally:
        globbing.GLOB_MAX_ROWS = original


def test_a_pattern_without_magic_is_a_path(lone_namenode: Any) -> None:
    lone_namenode.change(m.Mkdir, path="/a/b", parents=True)
    assert page_through(lone_namenode, "/a/b") == ["/a/b"]
    assert page_through(lone_namenode, "/a/x") == []


def test_braces_may_hold_slashes_and_are_bounded() -> None:
    assert expand_braces("/{a/b,c}/d") == ["/a/b/d", "/c/d"]
    assert expand_braces("/{a,b}{c,d}") == ["/ac", "/ad", "/bc", "/bd"]
    assert expand_braces("/{a}") == ["/{a}"]
    with pytest.raises(BadArgument):
        expand_braces("/" + "{a,b}" * 7)


def test_system_folders_are_found_only_by_name(lone_namenode: Any) -> None:
    lone_namenode.change(m.Mkdir, path="/.jobs/x", parents=True)
    lone_namenode.change(m.Mkdir, path="/.other")
    assert page_through(lone_namenode, "/.*") == ["/.other"]
    assert page_through(lone_namenode, "/.jobs/*") == ["/.jobs/x"]


def test_a_walk_of_a_wide_directory_is_cut_into_pages(lone_namenode: Any) -> None:
    for at in range(1200):
        lone_namenode.change(m.Mkdir, path=f"/d/{at:04}", parents=True)
    walk = GlobWalk(lone_namenode.table, "/d/*7", "").run()
    assert walk.more
    assert len(page_through(lone_namenode, "/d/*7")) == 120
