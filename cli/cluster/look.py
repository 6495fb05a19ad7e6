"""Asking for all that ``health`` needs: the pid files here, the namenode, the master."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.cluster.health import Answers, ClusterHealth, Here, assess
from cli.invocation import Invocation
from dfs.config import Config
from dfs.errors import DfsError, NotSupported
from dfs.local.layout import NAMENODE_ID, Home, node_process_ids
from dfs.local.processes import Process, read_pid_file
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
    expected = [
        process_id
        for number in range(1, (local.nodes if local else 0) + 1)
        for process_id in node_process_ids(number)
    ]
    pids = {name: process.pid for name, process in running(home).items()} if home else {}
    return Here(config.cluster.id, config.namenode.address, expected, pids)


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


def is_namenode_running(home: Home) -> bool:
    """Does the namenode of this cluster run here?"""
    return read_pid_file(home.pid_file(NAMENODE_ID)) is not None
