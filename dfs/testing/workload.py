"""Random users and random faults against a simulated cluster.

Each user has a folder of its own (``dfs.testing.own_folder``) and all share another one
(``dfs.testing.shared_folder``); what they do overlaps. The faults are those of
``dfs.testing.storage_faults``. At the end everything is started again and must converge
(``dfs.testing.convergence``).
"""

from __future__ import annotations

from dfs.errors import DfsError
from dfs.limits import MS_NS, SECOND_NS
from dfs.testing.checks import watch
from dfs.testing.client import SimulatedConnection
from dfs.testing.cluster import StorageCluster
from dfs.testing.convergence import Convergence
from dfs.testing.own_folder import OwnFolder
from dfs.testing.shared_folder import FOLDER, SharedFolder
from dfs.testing.storage_faults import StorageFaults
from dfs.testing.users import User

PAUSES_MS = (0, 0, 10, 200, 1000)
SHARED = 0.3
"""How often a user acts in the shared folder."""
USER_LIMIT_NS = 3600 * 24 * SECOND_NS


class Person:
    """A user, whose processes follow each other when they are killed."""

    def __init__(self, cluster: StorageCluster, name: str, shared: SharedFolder, acts: int) -> None:
        self.connection = cluster.connect(name)
        self.own = OwnFolder(
            cluster.world, cluster.world.rng(name), self.connection.client(), f"/{name}"
        )
        self._cluster = cluster
        self._world = cluster.world
        self._name = name
        self._shared = shared
        self._acts_left = acts
        self._rng = cluster.world.rng(f"{name}/pauses")
        self._processes = 1
        self._user: User | None = None

    @property
    def has_ended(self) -> bool:
        """Has it done all it wanted?"""
        return self._user is not None and self._user.has_ended and not self._acts_left

    def begin(self) -> None:
        """Start to act."""
        self._user = self._world.begin(self._act)

    def lose_process(self) -> None:
        """Kill its process, wherever it is, and start another one."""
        if self._user is None or self._user.has_ended:
            return
        self._world.kill(self.connection.node)
        self._world.end(self._user)
        self._processes += 1
        self.connection = self._cluster.connect(f"{self._name}-{self._processes}")
        self._user = self._world.begin(self._go_on)

    def _go_on(self) -> None:
        self.own.go_on(self.connection.client())
        self._act()

    def _act(self) -> None:
        while self._acts_left:
            self._acts_left -= 1
            if self._rng.random() < SHARED:
                self._shared.act(self.own.client)
            else:
                self.own.act()
            self._world.run_for(self._rng.choice(PAUSES_MS) * MS_NS)


class Workload:
    """``operations`` random operations of ``users`` users under faults, then convergence."""

    def __init__(self, cluster: StorageCluster, *, faults: bool = True, users: int = 2) -> None:
        self._cluster = cluster
        self._world = cluster.world
        self._rng = self._world.rng("workload")
        self._shared = SharedFolder(self._world, self._world.rng("shared"))
        self._users = users
        self._faults = StorageFaults(cluster, self._kill_user) if faults else None
        self._people: list[Person] = []
        watch(cluster)

    def run(self, operations: int) -> None:
        """Do it all; raises ``SimulationError`` when a promise is broken."""
        self._cluster.settle()
        for number in range(self._users):
            name = f"user{number}"
            acts = operations // self._users
            self._people.append(Person(self._cluster, name, self._shared, acts))
        self._people[0].own.client.mkdir(FOLDER)
        if self._faults is not None:
            self._faults.begin()
        for person in self._people:
            person.begin()
        self._world.run_until(self._has_ended, USER_LIMIT_NS, "all users have done what they want")
        if self._faults is not None:
            self._faults.end()
        self._converge()

    def _has_ended(self) -> bool:
        return all(person.has_ended for person in self._people)

    def _kill_user(self) -> None:
        self._rng.choice(self._people).lose_process()

    def _converge(self) -> None:
        convergence = Convergence(self._cluster)
        convergence.begin()
        for person in self._people:
            person.own.check()
        self._shared.check(self._people[0].own.client)
        convergence.check_replicas(self._people[0].own.client)
        for person in self._people:
            self._close(person.connection)
        convergence.check_rest()

    def _close(self, connection: SimulatedConnection) -> None:
        try:
            connection.client().close()
        except DfsError as error:
            self._world.fail(f"a client cannot be closed: {error!r}")
        if not connection.core.idle:
            self._world.fail("a client's queues are not empty at the end")
