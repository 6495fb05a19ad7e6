"""The invariants of the tables of module ``mapreduce``, a check for the rows of each table.

The numbers are those of ``docs/invariants.md``. The rows of an ended job are dropped in
slices, its own row last, so what is missing of an ended job is no problem. The hidden
folders of jobs are files like others, which people may remove: that fails the job, and
breaks no invariant.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from dfs.namenode.keys import number_key, number_of, pair_key, second_of
from dfs.namenode.module import RowCheck
from dfs.namenode.problem import NUMBER_BYTES, RowError, Rows
from mapreduce.tables import (
    EPOCH,
    KINDS,
    TASK_KEY_BYTES,
    TASK_KIND_AT,
    JobRow,
    TaskRow,
    task_count,
    task_of,
)
from mapreduce.wire import JobEvent, JobState, PlannedSplit, TaskKind

Found = Iterator[tuple[int, str]]

_split_decoder = msgspec.msgpack.Decoder(PlannedSplit)
_event_decoder = msgspec.msgpack.Decoder(JobEvent)


def _job(rows: Rows, key: bytes) -> JobRow | None:
    row = rows.get("jobs", key, JobRow)
    if row is not None and not row.spec.steps:
        raise RowError("jobs", key, "a job without a step")
    return row


def _check_job(rows: Rows, key: bytes, value: bytes) -> Found:
    """A job: its id, its state and times, and that its splits are there."""
    row = _job(rows, key)
    if row is None or len(key) != NUMBER_BYTES:
        raise RowError("jobs", key, "the key is no number")
    number = number_of(key)
    if row.job.rpartition("-")[2] != f"{number:04d}":
        yield 40, f"job number {number} is called {row.job}"
    started = row.started_ns > 0
    sound = {
        JobState.QUEUED: not started and not row.ended_ns,
        JobState.RUNNING: row.ready and started and not row.ended_ns,
        JobState.SUCCEEDED: row.ready and row.ended_ns > 0,
        JobState.FAILED: row.ended_ns > 0,
        JobState.KILLED: row.ended_ns > 0,
    }
    if not sound[row.state]:
        yield 41, f"{row.job} is {row.state} and ready, started and ended do not say so"
    last = rows.before("splits", pair_key(number + 1, 0))
    has = second_of(last[0]) + 1 if last is not None and number_of(last[0]) == number else 0
    if not row.state.is_final and has != row.maps:
        yield 42, f"{row.job} has {row.maps} maps and splits up to {has}"


def _check_split(rows: Rows, key: bytes, value: bytes) -> Found:
    """A split, its job, and the split before it."""
    if len(key) != 2 * NUMBER_BYTES:
        raise RowError("splits", key, "the key is no job with an index")
    number, index = number_of(key), second_of(key)
    try:
        _split_decoder.decode(value)
    except msgspec.DecodeError as error:
        raise RowError("splits", key, str(error)) from error
    job = _job(rows, number_key(number))
    if job is None or index >= job.maps:
        yield 43, f"split {index} of job number {number} belongs to no map"
    elif (
        index and not job.state.is_final and rows.raw("splits", pair_key(number, index - 1)) is None
    ):
        yield 42, f"{job.job} has split {index} and not the one before it"


def _check_task(rows: Rows, key: bytes, value: bytes) -> Found:
    """A task, its job, and the attempt it is committed to."""
    if len(key) != TASK_KEY_BYTES or key[TASK_KIND_AT] >= len(KINDS):
        raise RowError("tasks", key, "the key is no task of a job")
    number, (step, kind, index) = number_of(key), task_of(key)
    name = f"{kind} {index} of step {step + 1} of job number {number}"
    row = rows.decode(TaskRow, "tasks", key, value)
    job = _job(rows, number_key(number))
    count = 0 if job is None else _tasks_of(job, step, kind)
    if index >= count or job is None or not job.ready:
        yield 44, f"{name}, which has {count}, was started"
    if row.attempts < 1 or not 0 <= row.done <= row.attempts or (row.done > 0) != bool(row.worker):
        yield (
            45,
            f"{name} is committed to attempt {row.done} of {row.attempts}, on {row.worker!r}",
        )


def _tasks_of(job: JobRow, step: int, kind: TaskKind) -> int:
    """How many tasks of this kind a step of the job has; 0 without such a step."""
    return task_count(job.plan[step], kind) if step < len(job.spec.steps) else 0


def _check_event(rows: Rows, key: bytes, value: bytes) -> Found:
    """An event, its sequence, and its job."""
    if len(key) != 2 * NUMBER_BYTES:
        raise RowError("events", key, "the key is no job with a sequence")
    number, sequence = number_of(key), second_of(key)
    try:
        event = _event_decoder.decode(value)
    except msgspec.DecodeError as error:
        raise RowError("events", key, str(error)) from error
    if event.sequence != sequence or _job(rows, number_key(number)) is None:
        yield 46, f"event {sequence} of job number {number} says {event.sequence}, or has no job"


def _check_master(rows: Rows, key: bytes, value: bytes) -> Found:
    """The master's counter."""
    if key != EPOCH or len(value) != NUMBER_BYTES or number_of(value) < 1:
        raise RowError("master", key, f"{len(value)} bytes for {key!r} have no meaning")
    yield from ()


CHECKS: dict[str, RowCheck] = {
    "jobs": _check_job,
    "splits": _check_split,
    "tasks": _check_task,
    "events": _check_event,
    "master": _check_master,
}
