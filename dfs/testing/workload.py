"""A random user and random faults against a simulated cluster, judged by a dict.

The *model* is a dict from path to content, ``None`` for a directory. It also says which
changes are legal; one that is not must fail, and one that is may fail only for lack of
nodes or time. After a definite error nothing has changed, save that a failed put may
have made the parents; after an indefinite one either nothing has changed or everything.
Which it was, the cluster is asked, and its answer must be one of those.

The faults are those of ``dfs.testing.storage_faults``. At the end everything is started
again and must converge: each file whole and as written, the listing equal to the model,
every chunk with all its copies, and nothing left in the client's queues.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias, TypeVar

from dfs.errors import DfsError, Exists, Unavailable
from dfs.limits import KIB, MS_NS, SECOND_NS
from dfs.testing.cluster import StorageCluster
from dfs.testing.storage_faults import StorageFaults

Model: TypeAlias = dict[str, bytes | None]
T = TypeVar("T")

CHUNK_BYTES = 128 * KIB
SIZES = (0, 1, 100, 8 * KIB, 8 * KIB + 1, 64 * KIB, 128 * KIB, 128 * KIB + 1, 700_000)
NAMES = ("a", "b", "ü", "name with blanks")
FOLDERS = ("/", "/x/", "/x/y/")
EXIT_TEMPORARY = Unavailable.exit_code
PAUSES_MS = (0, 0, 10, 200, 1000)
ASKED_MAX = 100
REPAIR_LIMIT_NS = 600 * SECOND_NS


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


class Workload:
    """``operations`` random operations under faults, then convergence."""

    def __init__(self, cluster: StorageCluster, *, faults: bool = True) -> None:
        self._cluster = cluster
        self._world = cluster.world
        self._rng = self._world.rng("workload")
        self._connection = cluster.connect()
        self._client = self._connection.client()
        self._model: Model = {}
        self._faults = StorageFaults(cluster) if faults else None
        self._is_calm = False

    def run(self, operations: int) -> None:
        """Do it all; raises ``SimulationError`` when a promise is broken."""
        self._cluster.settle()
        if self._faults is not None:
            self._faults.begin()
        for _ in range(operations):
            self._step()
            self._world.run_for(self._rng.choice(PAUSES_MS) * MS_NS)
        self._calm_down()
        self._converge()

    # -- the user

    def _step(self) -> None:
        if self._rng.random() < 0.4:
            self._look()
        else:
            self._change(self._choose_change())

    def _choose_change(self) -> _Change:
        kind = self._rng.choice((self._put, self._put, self._put, self._mkdir, self._remove))
        return self._rename() if self._rng.random() < 0.15 else kind()

    def _put(self) -> _Change:
        client, model, path = self._client, self._model, self._path()
        data = self._rng.randbytes(self._rng.choice(SIZES))
        replication = self._rng.choice((2, 3))
        parents = dict.fromkeys(_parents(path))
        return _Change(
            f"put {path} ({len(data)} bytes, replication {replication})",
            lambda: client.write_bytes(path, data, chunk_size=CHUNK_BYTES, replication=replication),
            not _has_file(model, _parents(path)) and model.get(path, b"") is not None,
            {**model, **parents, path: data},
            {**model, **parents},
        )

    def _mkdir(self) -> _Change:
        client, model, path = self._client, self._model, self._path()
        made = [*_parents(path), path]
        return _Change(
            f"mkdir {path}",
            lambda: client.mkdir(path, parents=True, exist_ok=True),
            not _has_file(model, made),
            {**model, **dict.fromkeys(made)},
            model,
        )

    def _remove(self) -> _Change:
        client, model, path = self._client, self._model, self._path()
        rest = {p: content for p, content in model.items() if not _is_below(p, path)}
        return _Change(
            f"remove {path}",
            lambda: client.remove(path, recursive=True),
            path in model,
            rest,
            model,
        )

    def _rename(self) -> _Change:
        client, model, path, target = self._client, self._model, self._path(), self._path()
        if path == target:
            return self._remove()
        moved = {target + p[len(path) :]: c for p, c in model.items() if _is_below(p, path)}
        rest = {p: c for p, c in model.items() if not _is_below(p, path) and p != target}
        parents = _parents(target)
        both_files = model.get(path) is not None and model.get(target) is not None
        return _Change(
            f"rename {path} to {target}",
            lambda: client.rename(path, target, overwrite=True),
            path in model
            and all(p in model and model[p] is None for p in parents)
            and not _is_below(target, path)
            and (target not in model or both_files),
            {**rest, **moved},
            model,
        )

    def _change(self, change: _Change) -> None:
        self._note(f"begins: {change.text}")
        try:
            change.make()
        except DfsError as error:
            self._note(f"{change.text}: {type(error).__name__}: {error}")
            if error.exit_code != EXIT_TEMPORARY and change.is_legal and not self._failed(error):
                self._world.fail(f"{change.text} is legal and failed: {error!r}")
            may_have_happened = [] if error.definite else [change.after]
            self._find_out(change, [self._model, change.halfway, *may_have_happened])
            return
        self._note(f"has done: {change.text}")
        if not change.is_legal:
            self._world.fail(f"{change.text} is not legal and was done")
        self._model = change.after

    def _failed(self, error: DfsError) -> bool:
        """Is the name still taken by a put that failed, until its lease ends?"""
        return isinstance(error, Exists) and "writ" in error.message

    def _find_out(self, change: _Change, possible: list[Model]) -> None:
        """Which of these models is the cluster's state now?"""
        found = self._insist(self._listing)
        for model in possible:
            if found == _kinds(model) and self._contents_match(model):
                self._model = model
                return
        self._world.fail(
            f"after {change.text} the cluster has {found}, expected one of "
            f"{[_kinds(model) for model in possible]}"
        )

    def _contents_match(self, model: Model) -> bool:
        return all(
            self._insist(partial(self._client.read_bytes, path)) == content
            for path, content in model.items()
            if content is not None
        )

    def _look(self) -> None:
        """Read something and compare."""
        path = self._path()
        expected = self._model.get(path)
        try:
            if expected is not None:
                self._expect(path, self._client.read_bytes(path), expected)
                self._expect(path, self._client.stat(path).size, len(expected))
            else:
                self._expect(path, self._client.exists(path), path in self._model)
        except DfsError as error:
            self._note(f"look at {path}: {type(error).__name__}: {error}")
            if self._is_calm or not self._may_pass(error):
                self._world.fail(f"look at {path}: {error!r}")

    def _may_pass(self, error: DfsError) -> bool:
        """Can a question be answered so now, and well later?"""
        return error.exit_code == EXIT_TEMPORARY

    def _expect(self, path: str, found: object, expected: object) -> None:
        if found != expected:
            self._world.fail(f"{path}: found {_short(found)}, expected {_short(expected)}")

    def _insist(self, ask: Callable[[], T]) -> T:
        """The answer to a question, asked again while the cluster cannot answer."""
        for _ in range(ASKED_MAX):
            try:
                return ask()
            except DfsError as error:
                if not self._may_pass(error):
                    self._world.fail(f"a question was answered {error!r}")
                self._world.run_for(SECOND_NS)
        self._world.fail("a question was never answered")

    def _listing(self) -> dict[str, bool]:
        """Every path of the cluster, and whether it is a directory."""
        return dict(sorted(self._list_below("/")))

    def _list_below(self, folder: str) -> Iterator[tuple[str, bool]]:
        for entry in self._client.list(folder):
            yield entry.path, entry.is_dir
            if entry.is_dir:
                yield from self._list_below(entry.path)

    def _path(self) -> str:
        return self._rng.choice(FOLDERS) + self._rng.choice(NAMES)

    # -- the end

    def _calm_down(self) -> None:
        """End all faults; from now on every question has an answer."""
        self._is_calm = True
        if self._faults is not None:
            self._faults.end()

    def _converge(self) -> None:
        self._world.run_for(70 * SECOND_NS)  # leases of what failed have ended then
        self._expect("the listing", self._insist(self._listing), _kinds(self._model))
        for path, content in self._model.items():
            if content is not None:
                self._expect(path, self._client.read_bytes(path), content)
        self._world.run_until(self._is_replicated, REPAIR_LIMIT_NS, "all chunks have their copies")
        self._client.close()
        if not self._connection.core.idle:
            self._world.fail("the client's queues are not empty at the end")

    def _is_replicated(self) -> bool:
        files = [path for path, content in self._model.items() if content is not None]
        return all(
            len(chunk.nodes) >= self._client.stat(path).replication
            for path in files
            for chunk in self._client.locations(path)
        )

    def _note(self, text: str) -> None:
        self._world.note(self._cluster.namenode.peer._replace(name="user"), text)


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
