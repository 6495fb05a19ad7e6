"""The tables of module ``mapreduce``: their keys and rows.

=======  ===================================  =============================================
table    key                                  row
=======  ===================================  =============================================
jobs     job number u64                       JobRow
splits   job number u64, index u64            PlannedSplit: the input of one map
tasks    job number u64, kind u8, index u64   TaskRow: a task of which an attempt started
events   job number u64, sequence u64         JobEvent: what happened to a job, from 1 on
master   name                                 one integer each
=======  ===================================  =============================================

Numbers in keys are big-endian. Jobs are numbered from 1 in the order of submission. What is
not here (who runs what, how far it is, where workers are) is soft and told anew by the workers.
"""

from __future__ import annotations

import struct

import msgspec

from dfs.namenode.keys import Row, get_row
from dfs.namenode.table import Table
from mapreduce.job import Counters, Failure, JobSpec
from mapreduce.wire import JobOptions, JobState, Locality, TaskKind

TABLES = ("jobs", "splits", "tasks", "events", "master")
EPOCH = b"epoch"
KINDS = (TaskKind.MAP, TaskKind.REDUCE)

_TASK_KEY = struct.Struct(">QBQ")
TASK_KEY_BYTES = _TASK_KEY.size


class JobRow(Row, frozen=True):
    """A job. ``maps`` counts the splits received; ``ready``: they are complete. ``maps_ended``
    and ``reduces_ended`` are the tasks that were done when the job ended, ``maps_failed`` and
    ``reduces_failed`` the attempts that had failed. ``first_error`` is what its first failure
    that counts said, while it runs; ``failure`` belongs to it."""

    job: str
    user: str
    token: bytes
    spec: JobSpec
    output: str
    overwrite: bool
    options: JobOptions
    submitted_ns: int
    state: JobState = JobState.QUEUED
    maps: int = 0
    ready: bool = False
    started_ns: int = 0
    ended_ns: int = 0
    error: str = ""
    failure: Failure | None = None
    counters: Counters = msgspec.field(default_factory=dict)
    locality: Locality = Locality()
    maps_ended: int = 0
    reduces_ended: int = 0
    dropped: bool = False
    maps_failed: int = 0
    reduces_failed: int = 0
    first_error: str = ""

    @property
    def reduces(self) -> int:
        """How many reduces the job has."""
        step = self.spec.steps[0]
        return step.partitions if step.has_reducer else 0

    @property
    def keeps_output(self) -> bool:
        """Do the parts of the ended job still lie in its hidden folder?"""
        return self.state is JobState.SUCCEEDED and not self.output and not self.dropped


class TaskRow(Row, frozen=True):
    """A task. ``attempts`` is the last number given out; ``done`` the attempt that the task was
    last committed to, 0: none, with what that one did. ``miss`` says why a map was not local.
    ``last_locality`` and ``last_miss`` are those of the attempt started last. ``failed`` attempts
    failed, of which ``faults`` count for the job's ``max_attempts``, and ``unread`` could not read
    their input; ``error`` and ``signature`` are those of the last one."""

    attempts: int
    done: int = 0
    worker: str = ""
    locality: str = ""
    miss: str = ""
    started_ns: int = 0
    ended_ns: int = 0
    records_in: int = 0
    records_out: int = 0
    output_bytes: int = 0
    counters: Counters = msgspec.field(default_factory=dict)
    last_locality: str = ""
    last_miss: str = ""
    failed: int = 0
    faults: int = 0
    unread: int = 0
    error: str = ""
    signature: str = ""


def task_key(number: int, kind: TaskKind, index: int) -> bytes:
    """Key of ``tasks``."""
    return _TASK_KEY.pack(number, KINDS.index(kind), index)


def task_of(key: bytes) -> tuple[TaskKind, int]:
    """Kind and index in a key of ``tasks``."""
    _, kind, index = _TASK_KEY.unpack(key)
    return KINDS[kind], index


def get_task(table: Table, number: int, kind: TaskKind, index: int) -> TaskRow:
    """The row of a task; an empty one when no attempt has started."""
    return get_row(table, "tasks", task_key(number, kind, index), TaskRow) or TaskRow(0)
