"""A cluster that runs jobs, in one thread: storage, a master in the namenode, workers."""

from __future__ import annotations

from collections.abc import Mapping

from dfs.config.schema import Files
from dfs.events import Now
from dfs.namenode.apply import MODULE as STORAGE
from dfs.namenode.changes import FileSettings
from dfs.namenode.core import NamenodeSettings, NamespaceCore
from dfs.namenode.server import NamenodeCore
from dfs.namenode.storage import Storage
from dfs.namenode.table import Table
from dfs.namenode.writing import GROUP
from dfs.testing.cluster import CLUSTER, TIMES, NamenodeMachine, StorageCluster
from mapreduce.commands import MODULE as JOBS
from mapreduce.job_class import Job
from mapreduce.master.server import companion
from mapreduce.testing.worker import WorkerMachine

OWNER = "root"


class MasterMachine(NamenodeMachine):
    """A namenode with a master beside it."""

    modules = (STORAGE, JOBS)

    def __init__(self, files: Files) -> None:
        super().__init__(files)
        self._files = files

    def compose(self, table: Table, now: Now) -> NamenodeCore:
        """Both cores joined, as in production."""
        settings = NamenodeSettings(CLUSTER, OWNER, self._files, TIMES, self.modules)
        namespace = NamespaceCore(settings, table, now)
        defaults = FileSettings(self._files.replication, self._files.chunk_bytes, 0)
        storage = Storage(namespace.nodes, OWNER, GROUP, defaults)
        return companion(TIMES).compose(namespace, storage, table, now)


class JobCluster(StorageCluster):
    """As many workers as datanodes, each beside one. ``jobs``: classes by bundle digest."""

    def __init__(
        self,
        seed: int | str,
        jobs: Mapping[str, type[Job]],
        *,
        nodes: int = 3,
        replay: str = "",
    ) -> None:
        files = Files(replication=min(nodes, 3))
        super().__init__(seed, nodes, replay=replay, namenode=MasterMachine(files))
        self.worker_machines = [
            WorkerMachine(self.world, number, 1, jobs) for number in range(1, nodes + 1)
        ]
        self.workers = [
            self.world.add(machine.peer, machine.endpoints, machine)
            for machine in self.worker_machines
        ]
