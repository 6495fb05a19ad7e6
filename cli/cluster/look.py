"""Asking for all that ``health`` needs: the pid files here, the namenode, the master."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.cluster.health import Answers, ClusterHealth, Here, assess
from cli.invocation import Invocation
from dfs.config import Config
from dfs.errors import DfsError, NotSupported
from dfs.local.layout import NAMENODE_ID, Home, node_process_ids
from dfs.local.notes import is_stopped, last_end
from dfs.local.processes import Process, is_paused, read_pid_file
from dfs.wire.namespace import GetStatus, NodeStatus, Status

if TYPE_CHECKING:
    from dfs.client.client import Client


def look(call: Invocation, config: Config, home: Home | None) -> ClusterHealth:
    """The cluster now; ``home`` is its folder if it is one of this machine."""
    here = look_here(config, home)
    try:
        return assess(here, ask(call.client()))
    except DfsError as error:
        return assess(here, error)


def look_here(config: Config, home: Home | None) -> Here:
    """What can be seen without asking anybody."""
    local = home.load_local() if home is not None else None
    if home is None:
        return Here(config.cluster.id, config.namenode.address, (), {})
    found = running(home)
    expected = role_ids(local.nodes if local else 0)
    return Here(
        config.cluster.id,
        config.namenode.address,
        expected[1:],
        {name: process.pid for name, process in found.items()},
        frozenset(name for name in expected if is_stopped(home, name)),
        frozenset(name for name, process in found.items() if is_paused(process)),
        {name: end.how for name in expected if (end := last_end(home, name))},
    )


def role_ids(nodes: int) -> list[str]:
    """The processes that people know of a cluster of so many nodes, the namenode first."""
    return [NAMENODE_ID, *(name for n in range(1, nodes + 1) for name in node_process_ids(n))]


def running(home: Home) -> dict[str, Process]:
    """The processes of this cluster that run here, by their ids."""
    found = {path.stem: read_pid_file(path) for path in sorted(home.run.glob("*.pid"))}
    return {process_id: process for process_id, process in found.items() if process is not None}


def ask(client: Client) -> Answers:
    """What namenode and master say; raises DfsError when they do not answer."""
    status = client.run(client.namenode.ask(GetStatus()))
    assert isinstance(status, Status), status
    return Answers(status, _ask_workers(client))


def _ask_workers(client: Client) -> list[NodeStatus] | None:
    """The workers in the form of datanodes; None where there is no master."""
    from mapreduce.wire import ListWorkers, WorkerList

    try:
        answer = client.run(client.namenode.ask(ListWorkers()))
    except NotSupported:
        return None
    assert isinstance(answer, WorkerList), answer
    return [
        NodeStatus(worker.worker, "worker", worker.state, worker.endpoints)
        for worker in answer.workers
    ]
