"""Random changes against a dict of paths, and the log's replay against the live tables."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from dfs.errors import DfsError
from dfs.namenode.apply import MODULE
from dfs.namenode.table import MemoryTable
from dfs.wire import namespace as m

from .conftest import Namenode

PATHS = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3).map(tuple)
Path = tuple[str, ...]


class Model:
    """A tree as a dict: path to content, None for a directory."""

    def __init__(self) -> None:
        self.tree: dict[Path, bytes | None] = {(): None}

    def children(self, path: Path) -> list[Path]:
        return [p for p in self.tree if p[: len(path)] == path and p != path]

    def can_make_parents(self, path: Path) -> bool:
        return all(self.tree.get(path[:end]) is None for end in range(len(path)))

    def make_parents(self, path: Path) -> None:
        for end in range(len(path)):
            self.tree.setdefault(path[:end], None)

    def mkdir(self, path: Path, parents: bool) -> bool:
        known = parents or path[:-1] in self.tree
        if path in self.tree or not self.can_make_parents(path) or not known:
            return False
        self.make_parents(path)
        self.tree[path] = None
        return True

    def put(self, path: Path, content: bytes, overwrite: bool) -> bool:
        if not self.can_make_parents(path):
            return False
        if path in self.tree and (self.tree[path] is None or not overwrite):
            return False
        self.make_parents(path)
        self.tree[path] = content
        return True

    def remove(self, path: Path, recursive: bool) -> bool:
        if path not in self.tree or (self.children(path) and not recursive):
            return False
        for gone in [path, *self.children(path)]:
            del self.tree[gone]
        return True

    def rename(self, source: Path, target: Path, overwrite: bool) -> bool:
        if source not in self.tree or self.tree.get(target[:-1], b"") is not None:
            return False
        if source == target:
            return True
        if target[: len(source)] == source:
            return False
        if target in self.tree:
            file_over_file = self.tree[source] is not None and self.tree[target] is not None
            if not (overwrite and file_over_file):
                return False
        moved = {target + p[len(source) :]: self.tree[p] for p in [source, *self.children(source)]}
        for gone in [source, *self.children(source)]:
            del self.tree[gone]
        self.tree.update(moved)
        return True


class NamespaceMachine(RuleBasedStateMachine):
    """The namenode and the model must agree on every answer and on the tree."""

    def __init__(self) -> None:
        super().__init__()
        self.namenode = Namenode()
        self.model = Model()

    def agree(self, expected: bool, cls: type[m.Change], **fields: Any) -> None:
        try:
            self.namenode.change(cls, **fields)
        except DfsError:
            assert not expected, f"{cls.__name__} {fields} was refused"
        else:
            assert expected, f"{cls.__name__} {fields} was done"

    @rule(path=PATHS, parents=st.booleans())
    def mkdir(self, path: Path, parents: bool) -> None:
        done = self.model.mkdir(path, parents)
        self.agree(done, m.Mkdir, path="/".join(path), parents=parents)

    @rule(path=PATHS, content=st.binary(max_size=3), overwrite=st.booleans())
    def put(self, path: Path, content: bytes, overwrite: bool) -> None:
        done = self.model.put(path, content, overwrite)
        fields = {"content": content, "digest": b"", "overwrite": overwrite}
        self.agree(done, m.PutInline, path="/".join(path), **fields)

    @rule(path=PATHS, recursive=st.booleans())
    def remove(self, path: Path, recursive: bool) -> None:
        done = self.model.remove(path, recursive)
        self.agree(done, m.Remove, path="/".join(path), recursive=recursive)

    @rule(source=PATHS, to=PATHS, overwrite=st.booleans())
    def rename(self, source: Path, to: Path, overwrite: bool) -> None:
        done = self.model.rename(source, to, overwrite)
        fields = {"source": "/".join(source), "target": "/".join(to), "overwrite": overwrite}
        self.agree(done, m.Rename, **fields)

    @rule()
    def restart(self) -> None:
        self.namenode.restart()

    @invariant()
    def trees_are_equal(self) -> None:
        found: dict[Path, bytes | None] = {(): None}
        todo = ["/"]
        while todo:
            for entry in self.namenode.ask(m.List(todo.pop())).entries:
                path = tuple(entry.path.strip("/").split("/"))
                if entry.is_dir:
                    found[path] = None
                    todo.append(entry.path)
                else:
                    content = self.namenode.ask(m.Locate(entry.path)).content or b""
                    found[path] = content
                    assert entry.size == len(content)
        assert found == self.model.tree

    def teardown(self) -> None:
        inodes = len(self.namenode.table.scan("inodes", b"\0", 10_000))
        assert inodes == len(self.model.tree), "an inode was left behind"
        replayed = MemoryTable(MODULE.tables)
        for index, command in enumerate(self.namenode.log):
            MODULE.apply(replayed, self.namenode.indexes[index], command)
        for table in MODULE.tables:
            rows = self.namenode.table.scan(table, b"\0", 10_000)
            assert replayed.scan(table, b"\0", 10_000) == rows, table


TestNamespaceModel = NamespaceMachine.TestCase
TestNamespaceModel.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
