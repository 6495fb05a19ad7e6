"""A random user of a folder that nobody else changes, judged by a dict.

The *model* is a dict from path to content, ``None`` for a directory. It also says which
changes are legal; one that is not must fail, and one that is may fail only for lack of
nodes or time. After a definite error nothing has changed, save that a failed put may
have made the parents; after an indefinite one either nothing has changed or everything.
Which it was, the cluster is asked, and its answer must be one of those.

A failed append is the exception: until its writer's lease ends the file is as it was, then it
ends behind any chunk of what was appended. ``_longer`` has what such a file may become.

Every byte that is read is compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import NoReturn, Protocol, TypeAlias, TypeVar

from dfs.client.client import Client
from dfs.client.options import FileKeywords
from dfs.errors import DfsError, Exists, LeaseLost, Unavailable
from dfs.limits import KIB, MS_NS, SECOND_NS

Model: TypeAlias = dict[str, bytes | None]
T = TypeVar("T")

CHUNK_BYTES = 128 * KIB
SIZES = (0, 1, 100, 8 * KIB, 8 * KIB + 1, 64 * KIB, 128 * KIB, 128 * KIB + 1, 700_000)
NAMES = ("a", "b", "ü", "name with blanks")
FOLDERS = ("/", "/x/", "/x/y/")
EXIT_TEMPORARY = Unavailable.exit_code
WRITE_PAUSE_MAX_NS = 300 * MS_NS
LATE_NS = 40 * SECOND_NS
"""Longer than anything that was sent can be on its way or wait in a paused process."""
ASKED_MAX = 200


class Surroundings(Protocol):
    """Where the user is: a simulated world, or the real one."""

    def run_for(self, duration_ns: int) -> None:
        """Let so much time pass."""

    def note_of(self, who: str, text: str) -> None:
        """Remember a line about what happened."""

    def fail(self, what: str) -> NoReturn:
        """A promise was broken."""


@dataclass(frozen=True, slots=True)
class _Change:
    """A change of the namespace: how to make it, whether it may succeed, and the model after it.

    ``halfway`` is the model after a failure that left the parents behind.
    """

    text: str
    make: Callable[[], object]
    is_legal: bool
    after: Model
    halfway: Model


class OwnFolder:
    """One folder and what must be in it; ``client`` may be replaced by another one."""

    def __init__(self, world: Surroundings, rng: Random, client: Client, top: str) -> None:
        self.client = client
        self.model: Model = {}
        self._world = world
        self._rng = rng
        self._top = top
        self._under_way: _Change | None = None
        self._longer: dict[bytes, list[bytes]] = {}

    def act(self) -> None:
        """Look at something or change something."""
        if self._rng.random() < 0.4:
            self._look()
        else:
            self._change(self._choose_change())

    def go_on(self, client: Client) -> None:
        """The process of the client was killed, perhaps while it changed something."""
        self.client = client
        change = self._under_way
        if change is not None:
            self._world.run_for(LATE_NS)
            self._find_out(change, [self.model, change.halfway, change.after])
            self._under_way = None

    def check(self) -> None:
        """The folder must be as the model says, each file to its last byte."""
        found = self._insist(self._listing)
        if found != _kinds(self.model):
            self._world.fail(f"{self._top} has {found}, expected {_kinds(self.model)}")
        for path, content in list(self.files()):
            data = self._insist(partial(self.client.read_bytes, path))
            self._check_content(path, data, content)

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Path and content of each file that must be there."""
        for path, content in self.model.items():
            if content is not None:
                yield path, content

    # -- changes

    def _choose_change(self) -> _Change:
        kinds = (self._put, self._put, self._put, self._append, self._mkdir, self._remove)
        kind = self._rng.choice(kinds)
        return self._rename() if self._rng.random() < 0.15 else kind()

    def _put(self) -> _Change:
        model, path = self.model, self._path()
        data = self._rng.randbytes(self._rng.choice(SIZES))
        replication = self._rng.choice((2, 3))
        in_pieces = self._rng.random() < 0.3
        write = self._write_in_pieces if in_pieces else self._write_at_once
        parents = dict.fromkeys(_parents(path))
        return _Change(
            f"put {path} ({len(data)} bytes, replication {replication})",
            lambda: write(path, data, replication),
            not _has_file(model, _parents(path)) and model.get(path, b"") is not None,
            {**model, **parents, path: data},
            {**model, **parents},
        )

    def _write_at_once(self, path: str, data: bytes, replication: int) -> None:
        self.client.write_bytes(path, data, chunk_size=CHUNK_BYTES, replication=replication)

    def _write_in_pieces(self, path: str, data: bytes, replication: int) -> None:
        settings = FileKeywords(chunk_size=CHUNK_BYTES, replication=replication)
        with self.client.open(path, "wb", **settings) as file:
            for start in range(0, len(data), CHUNK_BYTES // 2):
                file.write(data[start : start + CHUNK_BYTES // 2])
                self._world.run_for(self._rng.randint(0, WRITE_PAUSE_MAX_NS))

    def _append(self) -> _Change:
        model, path = self.model, self._path()
        data = self._rng.randbytes(self._rng.choice(SIZES))
        old = model.get(path) or b""
        parents = dict.fromkeys(_parents(path))
        if path in model:
            self._longer.setdefault(old, []).append(old + data)
        return _Change(
            f"append {len(data)} bytes to {path} with {len(old)}",
            lambda: self._write_behind(path, data),
            not _has_file(model, _parents(path)) and model.get(path, b"") is not None,
            {**model, **parents, path: old + data},
            {**model, **parents},
        )

    def _write_behind(self, path: str, data: bytes) -> None:
        with self.client.open(path, "ab", chunk_size=CHUNK_BYTES) as file:
            file.write(data)

    def _mkdir(self) -> _Change:
        model, path = self.model, self._path()
        made = [*_parents(path), path]
        return _Change(
            f"mkdir {path}",
            lambda: self.client.mkdir(path, parents=True, exist_ok=True),
            not _has_file(model, made),
            {**model, **dict.fromkeys(made)},
            model,
        )

    def _remove(self) -> _Change:
        model, path = self.model, self._path()
        rest = {p: content for p, content in model.items() if not _is_below(p, path)}
        return _Change(
            f"remove {path}",
            lambda: self.client.remove(path, recursive=True),
            path in model,
            rest,
            model,
        )

    def _rename(self) -> _Change:
        model, path, target = self.model, self._path(), self._path()
        if path == target:
            return self._remove()
        moved = {target + p[len(path) :]: c for p, c in model.items() if _is_below(p, path)}
        rest = {p: c for p, c in model.items() if not _is_below(p, path) and p != target}
        parents = _parents(target)
        both_files = model.get(path) is not None and model.get(target) is not None
        return _Change(
            f"rename {path} to {target}",
            lambda: self.client.rename(path, target, overwrite=True),
            path in model
            and all(p in model and model[p] is None for p in parents)
            and not _is_below(target, path)
            and (target not in model or both_files),
            {**rest, **moved},
            model,
        )

    def _change(self, change: _Change) -> None:
        self._note(f"begins: {change.text}")
        self._under_way = change
        try:
            change.make()
        except DfsError as error:
            self._note(f"{change.text}: {type(error).__name__}: {error}")
            if change.is_legal and not _may_fail(error):
                self._world.fail(f"{change.text} is legal and failed: {error!r}")
            may_have_happened = [] if error.definite else [change.after]
            self._find_out(change, [self.model, change.halfway, *may_have_happened])
            self._under_way = None
            return
        self._under_way = None
        self._note(f"has done: {change.text}")
        if not change.is_legal:
            self._world.fail(f"{change.text} is not legal and was done")
        self.model = change.after

    def _find_out(self, change: _Change, possible: list[Model]) -> None:
        """Which of these models is the cluster's state now?"""
        found = self._insist(self._listing)
        for model in possible:
            before, self.model = self.model, dict(model)
            if found == _kinds(model) and self._contents_match():
                return
            self.model = before
        self._world.fail(
            f"after {change.text} the cluster has {found}, expected one of "
            f"{[_kinds(model) for model in possible]}"
        )

    def _contents_match(self) -> bool:
        return all(
            self._accept(path, self._insist(partial(self.client.read_bytes, path)), content)
            for path, content in list(self.files())
        )

    def _accept(self, path: str, found: bytes, expected: bytes) -> bool:
        """Is this the content, or what a failed append may have made of it?"""
        longer = [full for full in self._longer.get(expected, ()) if full.startswith(found)]
        if found != expected and found.startswith(expected) and longer:
            self._longer.setdefault(found, []).extend(longer)
            self.model[path] = found
            return True
        return found == expected

    # -- looking

    def _look(self) -> None:
        """Read something and compare."""
        path = self._path()
        expected = self.model.get(path)
        try:
            if expected is not None:
                self._read(path, expected)
            else:
                self._expect(path, self.client.exists(path), path in self.model)
        except DfsError as error:
            self._note(f"look at {path}: {type(error).__name__}: {error}")
            if error.exit_code != EXIT_TEMPORARY:
                self._world.fail(f"look at {path}: {error!r}")

    def _read(self, path: str, expected: bytes) -> None:
        """Look at all of a file, at its size, or read a part of it."""
        if expected in self._longer or self._rng.random() < 0.4:
            self._check_content(path, self.client.read_bytes(path), expected)
            return
        if self._rng.random() < 0.2:
            self._expect(path, self.client.stat(path).size, len(expected))
            return
        start, length = self._rng.randint(0, len(expected)), self._rng.randint(0, CHUNK_BYTES)
        with self.client.open(path, "rb") as file:
            file.seek(start)
            self._expect(path, file.read(length), expected[start : start + length])

    def _check_content(self, path: str, found: bytes, expected: bytes) -> None:
        if not self._accept(path, found, expected):
            self._expect(path, found, expected)

    def _expect(self, path: str, found: object, expected: object) -> None:
        if found != expected:
            self._world.fail(f"{path}: found {_short(found)}, expected {_short(expected)}")

    def _insist(self, ask: Callable[[], T]) -> T:
        """The answer to a question, asked again while the cluster cannot answer."""
        for _ in range(ASKED_MAX):
            try:
                return ask()
            except DfsError as error:
                if error.exit_code != EXIT_TEMPORARY:
                    self._world.fail(f"a question was answered {error!r}")
                self._world.run_for(SECOND_NS)
        self._world.fail("a question was never answered")

    def _listing(self) -> dict[str, bool]:
        """Every path of the folder, itself included, and whether it is a directory."""
        if not self.client.exists(self._top):
            return {}
        return dict(sorted({self._top: True, **dict(self._list_below(self._top))}.items()))

    def _list_below(self, folder: str) -> Iterator[tuple[str, bool]]:
        for entry in self.client.list(folder):
            yield entry.path, entry.is_dir
            if entry.is_dir:
                yield from self._list_below(entry.path)

    def _path(self) -> str:
        return self._top + self._rng.choice(FOLDERS) + self._rng.choice(NAMES)

    def _note(self, text: str) -> None:
        self._world.note_of("user", text)


def _may_fail(error: DfsError) -> bool:
    """Can a legal change fail so?

    There was no answer in time, or too few nodes; the name is still taken by a put that failed,
    until its lease ends; the user was cut off for longer than a lease lasts.
    """
    taken = isinstance(error, Exists) and "writ" in error.message
    return error.exit_code == EXIT_TEMPORARY or taken or isinstance(error, LeaseLost)


def _parents(path: str) -> list[str]:
    parts = path.split("/")[1:-1]
    return ["/" + "/".join(parts[: n + 1]) for n in range(len(parts))]


def _has_file(model: Model, paths: list[str]) -> bool:
    return any(model.get(path) is not None for path in paths)


def _is_below(path: str, top: str) -> bool:
    return path == top or path.startswith(f"{top}/")


def _kinds(model: Model) -> dict[str, bool]:
    return {path: model[path] is None for path in sorted(model)}


def _short(value: object) -> str:
    return f"{len(value)} bytes" if isinstance(value, bytes) else repr(value)
