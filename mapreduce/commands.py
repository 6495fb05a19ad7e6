"""The commands of module ``mapreduce``: every way in which its tables change.

The tables and their rows are in ``mapreduce.tables``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from dfs.namenode.keys import get_row, number_key, pair_key, put_row
from dfs.namenode.module import Command, Module
from dfs.namenode.table import Table
from mapreduce.invariants import CHECKS
from mapreduce.job import Counters, Failure
from mapreduce.tables import EPOCH, TABLES, JobRow, TaskRow, get_task, task_key
from mapreduce.wire import JobEvent, JobState, Locality, PlannedSplit, TaskKind


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
    step: int = 0


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
    step: int = 0


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
    maps_failed: int = 0
    reduces_failed: int = 0


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


class TaskFailed(Command, frozen=True):
    """An attempt at a task failed; what is counted of the task from now on. ``first_error`` and
    ``failure`` are of the first one of the job that counts, else empty."""

    TAG = 1020
    number: int
    kind: TaskKind
    index: int
    failed: int
    faults: int
    unread: int
    error: str
    signature: str
    first_error: str = ""
    failure: Failure | None = None
    step: int = 0


TaskCommand = AttemptStarted | TaskDone | TaskFailed


class EventsRecorded(Command, frozen=True):
    """What happened to a job; the events carry their sequence."""

    TAG = 1040
    number: int
    events: tuple[JobEvent, ...]


class EventsDropped(Command, frozen=True):
    """The events of an ended job from sequence ``first`` up to ``last`` are forgotten."""

    TAG = 1041
    number: int
    first: int
    last: int


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
            row = _get_task(table, command)
            changed = msgspec.structs.replace(
                row,
                attempts=command.attempt,
                started_ns=command.wall_ns,
                last_locality=command.locality,
                last_miss=command.miss,
            )
            _put_task(table, command, changed)
        case TaskDone():
            _finish_task(table, command)
        case TaskFailed():
            _count_failure(table, command)
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
                maps_failed=command.maps_failed,
                reduces_failed=command.reduces_failed,
                first_error="",
            )
        case OutputDropped():
            _change_job(table, command.number, dropped=True)
        case RowsDropped():
            _drop_rows(table, command)
        case EventsRecorded():
            for event in command.events:
                key = pair_key(command.number, event.sequence)
                table.put("events", key, msgspec.msgpack.encode(event))
        case EventsDropped():
            for sequence in range(command.first, command.last + 1):
                table.delete("events", pair_key(command.number, sequence))
        case _:
            raise AssertionError(f"{command!r} at {index} is no command of module mapreduce")


def _change_job(table: Table, number: int, **changes: object) -> None:
    key = number_key(number)
    row = get_row(table, "jobs", key, JobRow)
    assert row is not None, f"job number {number} has no row"
    put_row(table, "jobs", key, msgspec.structs.replace(row, **changes))


def _finish_task(table: Table, command: TaskDone) -> None:
    old = _get_task(table, command)
    row = msgspec.structs.replace(
        old,
        done=command.attempt,
        worker=command.worker,
        locality=command.locality,
        miss=command.miss,
        ended_ns=command.wall_ns,
        records_in=command.records_in,
        records_out=command.records_out,
        output_bytes=command.output_bytes,
        counters=command.counters,
    )
    _put_task(table, command, row)


def _get_task(table: Table, command: TaskCommand) -> TaskRow:
    return get_task(table, command.number, command.step, command.kind, command.index)


def _put_task(table: Table, command: TaskCommand, row: TaskRow) -> None:
    key = task_key(command.number, command.step, command.kind, command.index)
    put_row(table, "tasks", key, row)


def _count_failure(table: Table, command: TaskFailed) -> None:
    row = msgspec.structs.replace(
        _get_task(table, command),
        failed=command.failed,
        faults=command.faults,
        unread=command.unread,
        error=command.error,
        signature=command.signature,
    )
    _put_task(table, command, row)
    if command.first_error:
        error, failure = command.first_error, command.failure
        _change_job(table, command.number, first_error=error, failure=failure)


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
        TaskFailed,
        EventsRecorded,
        EventsDropped,
    ),
    tables=TABLES,
    apply=_apply,
    checks=CHECKS,
)
