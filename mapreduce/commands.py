"""The commands of module ``mapreduce``: every way in which its tables change.

=======  ===================================  =============================================
table    key                                  row
=======  ===================================  =============================================
jobs     job number u64                       JobRow
splits   job number u64, index u64            PlannedSplit: the input of one map
tasks    job number u64, kind u8, index u64   TaskRow: a task of which an attempt started
master   name                                 one integer each
=======  ===================================  =============================================

Numbers in keys are big-endian. Jobs are numbered from 1 in the order of submission. What is
not here (who runs what, how far it is, where workers are) is soft and told anew by the workers.
"""

from __future__ import annotations

import struct
from typing import Any

import msgspec

from dfs.namenode.keys import Row, get_row, number_key, pair_key, put_row
from dfs.namenode.module import Command, Module
from dfs.namenode.table import Table
from mapreduce.job import Counters, Failure, JobSpec
from mapreduce.wire import JobOptions, JobState, Locality, PlannedSplit, TaskKind

EPOCH = b"epoch"
KINDS = (TaskKind.MAP, TaskKind.REDUCE)

_TASK_KEY = struct.Struct(">QBQ")


class JobRow(Row, frozen=True):
    """A job. ``maps`` counts the splits received; ``ready``: they are complete. ``maps_ended``
    and ``reduces_ended`` are the tasks that were done when the job ended."""

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
    ``last_locality`` and ``last_miss`` are those of the attempt started last."""

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


class MasterStarted(Command, frozen=True):
    """A master began; its orders carry this epoch."""

    TAG = 1000
    epoch: int


class JobSubmitted(Command, frozen=True):
    """A job without its splits."""

    TAG = 1001
    number: int
    row: JobRow


class SplitsAdded(Command, frozen=True):
    """The splits of a job from index ``first`` on."""

    TAG = 1002
    number: int
    first: int
    splits: tuple[PlannedSplit, ...]


class JobReady(Command, frozen=True):
    """The job has all its splits and may run."""

    TAG = 1003
    number: int


class JobBegan(Command, frozen=True):
    """The first attempt of the job starts."""

    TAG = 1004
    number: int
    wall_ns: int


class AttemptStarted(Command, frozen=True):
    """The number of an attempt is used up."""

    TAG = 1005
    number: int
    kind: TaskKind
    index: int
    attempt: int
    locality: str
    miss: str
    wall_ns: int


class TaskDone(Command, frozen=True):
    """A task is committed to one attempt; again, when the output of the first was lost."""

    TAG = 1006
    number: int
    kind: TaskKind
    index: int
    attempt: int
    worker: str
    locality: str
    miss: str
    records_in: int
    records_out: int
    output_bytes: int
    counters: Counters
    wall_ns: int


class JobEnded(Command, frozen=True):
    """A job reached its final state."""

    TAG = 1007
    number: int
    state: JobState
    error: str
    failure: Failure | None
    counters: Counters
    locality: Locality
    maps: int
    reduces: int
    wall_ns: int


class OutputDropped(Command, frozen=True):
    """The parts of an ended job without output path are gone."""

    TAG = 1008
    number: int


class RowsDropped(Command, frozen=True):
    """Rows of an ended job are forgotten; with ``whole`` nothing of it is left."""

    TAG = 1009
    number: int
    splits: tuple[int, ...]
    tasks: tuple[bytes, ...]
    whole: bool


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


def _apply(table: Table, index: int, command: Any) -> None:
    match command:
        case MasterStarted():
            table.put("master", EPOCH, number_key(command.epoch))
        case JobSubmitted():
            put_row(table, "jobs", number_key(command.number), command.row)
        case SplitsAdded():
            for at, split in enumerate(command.splits, command.first):
                key = pair_key(command.number, at)
                table.put("splits", key, msgspec.msgpack.encode(split))
            _change_job(table, command.number, maps=command.first + len(command.splits))
        case JobReady():
            _change_job(table, command.number, ready=True)
        case JobBegan():
            _change_job(table, command.number, state=JobState.RUNNING, started_ns=command.wall_ns)
        case AttemptStarted():
            row = get_task(table, command.number, command.kind, command.index)
            changed = msgspec.structs.replace(
                row,
                attempts=command.attempt,
                started_ns=command.wall_ns,
                last_locality=command.locality,
                last_miss=command.miss,
            )
            put_row(table, "tasks", task_key(command.number, command.kind, command.index), changed)
        case TaskDone():
            _finish_task(table, command)
        case JobEnded():
            _change_job(
                table,
                command.number,
                state=command.state,
                error=command.error,
                failure=command.failure,
                counters=command.counters,
                locality=command.locality,
                maps_ended=command.maps,
                reduces_ended=command.reduces,
                ended_ns=command.wall_ns,
            )
        case OutputDropped():
            _change_job(table, command.number, dropped=True)
        case RowsDropped():
            _drop_rows(table, command)
        case _:
            raise AssertionError(f"{command!r} at {index} is no command of module mapreduce")


def _change_job(table: Table, number: int, **changes: object) -> None:
    key = number_key(number)
    row = get_row(table, "jobs", key, JobRow)
    assert row is not None, f"job number {number} has no row"
    put_row(table, "jobs", key, msgspec.structs.replace(row, **changes))


def _finish_task(table: Table, command: TaskDone) -> None:
    old = get_task(table, command.number, command.kind, command.index)
    row = TaskRow(
        attempts=old.attempts,
        done=command.attempt,
        worker=command.worker,
        locality=command.locality,
        miss=command.miss,
        started_ns=old.started_ns,
        ended_ns=command.wall_ns,
        records_in=command.records_in,
        records_out=command.records_out,
        output_bytes=command.output_bytes,
        counters=command.counters,
    )
    put_row(table, "tasks", task_key(command.number, command.kind, command.index), row)


def _drop_rows(table: Table, command: RowsDropped) -> None:
    for index in command.splits:
        table.delete("splits", pair_key(command.number, index))
    for key in command.tasks:
        table.delete("tasks", key)
    if command.whole:
        table.delete("jobs", number_key(command.number))


MODULE = Module(
    name="mapreduce",
    commands=(
        MasterStarted,
        JobSubmitted,
        SplitsAdded,
        JobReady,
        JobBegan,
        AttemptStarted,
        TaskDone,
        JobEnded,
        OutputDropped,
        RowsDropped,
    ),
    tables=("jobs", "splits", "tasks", "master"),
    apply=_apply,
)
