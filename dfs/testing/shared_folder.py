"""A folder that several users change at the same time, judged by a history of what they saw."""

from __future__ import annotations

from hashlib import blake2b
from random import Random

from dfs.client.client import Client
from dfs.errors import DfsError, Exists, LeaseLost, NotFound
from dfs.limits import KIB
from dfs.testing import histories
from dfs.testing.histories import Act, History
from dfs.testing.own_folder import EXIT_TEMPORARY
from dfs.testing.world import World

FOLDER = "/shared"
NAMES = ("one", "two", "three")
SIZES = (1, 8 * KIB + 1, 150_000)
CHUNK_BYTES = 64 * KIB


class SharedFolder:
    """What all users do in it. Each content is written once, so that a reader knows whose it is."""

    def __init__(self, world: World, rng: Random) -> None:
        self.history = History()
        self._world = world
        self._rng = rng
        self._contents: dict[bytes, int] = {}

    def act(self, client: Client) -> None:
        """Do something as the user of this client."""
        kinds = (self._put, self._put, self._read, self._read, self._remove, self._rename)
        self._rng.choice((*kinds, self._list))(client)

    def check(self, client: Client) -> None:
        """Look at all of it once more, when all is well; then judge the history."""
        self._list(client)
        for name in NAMES:
            self._read_one(client, name)
        if not self.history.is_linearizable():
            acts = "\n".join(f"{a.began}-{a.ended} {a.text}" for a in self.history.acts)
            self._world.fail(f"no serial order explains what users saw in {FOLDER}:\n{acts}")

    def _put(self, client: Client) -> None:
        name, data = self._rng.choice(NAMES), self._rng.randbytes(self._rng.choice(SIZES) + 8)
        number = self._contents[_digest(data)] = len(self._contents) + 1
        act = self.history.begin(f"put {number} at {name}", histories.put(name, number))
        try:
            client.write_bytes(_path(name), data, chunk_size=CHUNK_BYTES)
        except DfsError as error:
            self._failed(act, error)
        else:
            self.history.end(act)

    def _remove(self, client: Client) -> None:
        name = self._rng.choice(NAMES)
        act = self.history.begin(f"remove {name}", histories.remove(name))
        try:
            client.remove(_path(name))
        except NotFound:
            self._found_none(act, name)
        except DfsError as error:
            self._failed(act, error)
        else:
            self.history.end(act)

    def _rename(self, client: Client) -> None:
        source, target = self._rng.sample(NAMES, 2)
        act = self.history.begin(f"rename {source} {target}", histories.rename(source, target))
        try:
            client.rename(_path(source), _path(target), overwrite=True)
        except NotFound:
            self._found_none(act, source)
        except DfsError as error:
            self._failed(act, error)
        else:
            self.history.end(act)

    def _read(self, client: Client) -> None:
        self._read_one(client, self._rng.choice(NAMES))

    def _read_one(self, client: Client, name: str) -> None:
        act = self.history.begin(f"read {name}", histories.saw(name, None))
        try:
            data = client.read_bytes(_path(name))
        except NotFound:
            self._found_none(act, name)
        except DfsError as error:
            self.history.drop(act)
            if error.exit_code != EXIT_TEMPORARY:
                self._world.fail(f"read {_path(name)}: {error!r}")
        else:
            number = self._contents.get(_digest(data))
            if number is None:
                self._world.fail(f"{_path(name)} has {len(data)} bytes that nobody wrote")
            act.text, act.effect = f"{act.text}: {number}", histories.saw(name, number)
            self.history.end(act)

    def _list(self, client: Client) -> None:
        act = self.history.begin("list", histories.listed([]))
        try:
            names = sorted(entry.name for entry in client.list(FOLDER))
        except DfsError as error:
            self.history.drop(act)
            if error.exit_code != EXIT_TEMPORARY:
                self._world.fail(f"list {FOLDER}: {error!r}")
        else:
            act.text, act.effect = f"list: {names}", histories.listed(names)
            self.history.end(act)

    def _found_none(self, act: Act, name: str) -> None:
        """The answer was that there is no such file."""
        act.text, act.effect = f"{act.text}: none", histories.saw(name, None)
        self.history.end(act)

    def _failed(self, act: Act, error: DfsError) -> None:
        """A change failed: after a definite error it did not happen."""
        self._world.note_of("user", f"{act.text}: {error!r}")
        if error.definite:
            self.history.drop(act)
        if error.exit_code != EXIT_TEMPORARY and not isinstance(error, Exists | LeaseLost):
            self._world.fail(f"{act.text}: {error!r}")


def _path(name: str) -> str:
    return f"{FOLDER}/{name}"


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=16).digest()
