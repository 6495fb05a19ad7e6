"""The tables of module ``mapreduce``: their keys and rows.

=======  =========================================  ===========================================
table    key                                        row
=======  =========================================  ===========================================
jobs     job number u64                             JobRow
splits   job number u64, index u64                  PlannedSplit: the input of one map of the
                                                    first step
tasks    job number u64, step u32, kind u8, index   TaskRow: a task of which an attempt started
         u64
events   job number u64, sequence u64               JobEvent: what happened to a job, from 1 on
master   name                                       one integer each
=======  =========================================  ===========================================

Numbers in keys are big-endian. Jobs are numbered from 1 in the order of submission. What is
not here (who runs what, how far it is, where workers are) is soft and told anew by the workers.
"""

from __future__ import annotations

import struct

import msgspec

from dfs.namenode.keys import Row, get_row
from dfs.namenode.table import Table
from mapreduce.job import Counters, Failure, JobSpec
from mapreduce.plan import StepPlan, plan_of
from mapreduce.wire import JobOptions, JobState, Locality, TaskKind

TABLES = ("jobs", "splits", "tasks", "events", "master")
EPOCH = b"epoch"
KINDS = (TaskKind.MAP, TaskKind.REDUCE)

_TASK_KEY = struct.Struct(">QIBQ")
_STEP_KEY = struct.Struct(">QI")
TASK_KEY_BYTES = _TASK_KEY.size
TASK_KIND_AT = _STEP_KEY.size
"""Where the kind stands in a key of ``tasks``."""


class JobRow(Row, frozen=True):
    """A job. ``maps`` counts the splits received, the maps of its first step; ``ready``: they are
    complete. ``maps_ended`` and ``reduces_ended`` are the tasks of all steps that were done when
    the job ended, ``maps_failed`` and ``reduces_failed`` the attempts that had failed.
    ``first_error`` is what its first failure that counts said, while it runs; ``failure`` belongs
    to it."""

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
    def plan(self) -> tuple[StepPlan, ...]:
        """Its steps, once it has all its splits."""
        return plan_of(self.spec, self.maps)

    def tasks_before(self, step: int, kind: TaskKind) -> int:
        """The tasks of one kind in the steps before this one."""
        return sum(task_count(plan, kind) for plan in self.plan[:step])

    def task_total(self, kind: TaskKind) -> int:
        """The tasks of one kind in all steps."""
        return self.tasks_before(len(self.spec.steps), kind)

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


def task_count(plan: StepPlan, kind: TaskKind) -> int:
    """The tasks of one kind in a step."""
    return plan.maps if kind is TaskKind.MAP else plan.reduces


def task_key(number: int, step: int, kind: TaskKind, index: int) -> bytes:
    """Key of ``tasks``."""
    return _TASK_KEY.pack(number, step, KINDS.index(kind), index)


def step_key(number: int, step: int) -> bytes:
    """How the keys of the tasks of one step begin."""
    return _STEP_KEY.pack(number, step)


def task_of(key: bytes) -> tuple[int, TaskKind, int]:
    """Step, kind and index in a key of ``tasks``."""
    _, step, kind, index = _TASK_KEY.unpack(key)
    return step, KINDS[kind], index


def get_task(table: Table, number: int, step: int, kind: TaskKind, index: int) -> TaskRow:
    """The row of a task; an empty one when no attempt has started."""
    key = task_key(number, step, kind, index)
    return get_row(table, "tasks", key, TaskRow) or TaskRow(0)
