"""The process that runs tasks: ``python -m mapreduce.worker.task_process SOCKET PARENT``.

It is started ahead of need, imports what every task needs, says ``Ready`` and waits on the socket
it inherited. It opens one job in its life and runs that job's tasks one after the other. It is
the only process of the cluster in which user code runs and in which anything is unpickled; all
that it knows came over the socket, and it holds no other; open files of chunks come there too.

An attempt ends with one word to the worker. The worker does not trust the process after any
word but ``Succeeded`` and kills it, so nothing is cleaned up here.
"""

from __future__ import annotations

import gc
import os
import socket
import sys
import traceback
from pathlib import Path

from dfs.errors import BadArgument, DfsError, ProtocolError, StorageFault
from mapreduce.bundle import unpack
from mapreduce.errors import RunCorrupt, UserCodeError
from mapreduce.job import Failure
from mapreduce.job_class import Job
from mapreduce.loader import load_from_bundle
from mapreduce.task.map_task import run_map
from mapreduce.task.reduce_task import run_reduce
from mapreduce.task.standing import where
from mapreduce.worker.channel import ChannelClosed, TakingChannel
from mapreduce.worker.confine import bound_address_space, confine
from mapreduce.worker.task_env import WorkerEnv
from mapreduce.worker.task_messages import (
    End,
    EnvironmentFailed,
    OpenJob,
    Ready,
    StartMap,
    StartReduce,
    Succeeded,
    ToTask,
    UserFailed,
)
from mapreduce.worker.whereabouts import answer_when_asked

TaskChannel = TakingChannel[ToTask]
CODE_FOLDER = "code"
GC_THRESHOLDS = (50_000, 20, 100)
"""A task makes and drops many small objects and few cycles: the collector looks for these more
seldom than by default, which is 7 % of a word count's time."""


def open_job(order: OpenJob) -> Job:
    """Unpack and import the job's code below the current folder."""
    os.environ.update(order.env)
    if order.memory_bytes:
        bound_address_space(order.memory_bytes)
    folder = Path(CODE_FOLDER)
    folder.mkdir()
    unpack(Path(order.bundle_path).read_bytes(), order.job.bundle, folder)
    job = load_from_bundle(folder, order.job)
    job.give_files({name: Path(path) for name, path in order.files.items()})
    return job


def run_task(order: StartMap | StartReduce, job: Job, channel: TaskChannel) -> Succeeded:
    """Run one attempt to its end."""
    folder = Path(order.folder)
    if isinstance(order, StartMap):
        env = WorkerEnv(channel, folder, Path(order.run_path))
        return Succeeded(map=run_map(order.task, job, env))
    return Succeeded(reduce=run_reduce(order.task, job, WorkerEnv(channel, folder)))


def word_for(error: Exception) -> End:
    """How an error is told to the worker: whose fault was it?"""
    if isinstance(error, UserCodeError):
        return UserFailed(error.failure)
    if isinstance(error, BadArgument):
        failure = Failure("loading", error.message, "", signature=f"loading {error.message}")
        return UserFailed(failure)
    if isinstance(error, RunCorrupt):
        return EnvironmentFailed(StorageFault.number, error.message, error.map_index)
    if isinstance(error, DfsError):
        return EnvironmentFailed(error.number, error.message)
    if isinstance(error, OSError):
        return EnvironmentFailed(StorageFault.number, f"{type(error).__name__}: {error}")
    return EnvironmentFailed(DfsError.number, "".join(traceback.format_exception(error)))


def serve(channel: TaskChannel) -> None:
    """Obey orders until an attempt fails or the worker hangs up."""
    job: Job | None = None
    channel.send(Ready())
    while True:
        order, _ = channel.receive()
        try:
            if isinstance(order, OpenJob):
                job = open_job(order)
                channel.send(Ready())
                continue
            if job is None or not isinstance(order, StartMap | StartReduce):
                raise ProtocolError(f"{type(order).__name__} is no order for this process now")
            word: End = run_task(order, job, channel)
        except Exception as error:  # noqa: BLE001 - the edge of the executor: all is reported
            word = word_for(error)  # nor can this be sent when the worker is gone
        _flush()
        channel.send(word)
        if not isinstance(word, Succeeded):
            return


def _flush() -> None:
    """What the task printed belongs to its attempt; text that cannot be written is lost."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # the user's code closed it
            continue


def main() -> None:
    """Become a task process; arguments: number of the inherited socket, pid of the worker."""
    descriptor, parent = map(int, sys.argv[1:])
    confine(parent)
    answer_when_asked(Path.cwd(), where)
    os.environ.pop("PYTHONPATH", None)  # it served to find this module, and is not the user's
    os.set_inheritable(descriptor, False)
    connection = socket.socket(fileno=descriptor)
    channel: TaskChannel = TakingChannel(connection, ToTask)  # type: ignore[arg-type]
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        serve(channel)
    except ChannelClosed:
        return


if __name__ == "__main__":
    main()
