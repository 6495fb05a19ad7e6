"""The event log of each job: what happened to it, its tasks and attempts, one row each.

What happens in a decision is recorded with it: the events of a turn become commands of the same
record, so that an event is durable when its cause is, survives a restart, and is seen by nobody
before. They are only ever appended, and go with the rows of their job.

A job has at most ``JOB_EVENTS_MAX`` of them. The last one says that the log is full; what comes
later is left out, but for the states of the job, which are few.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from dfs.namenode.keys import number_key, number_of, pair_key, second_of
from dfs.namenode.module import Command
from dfs.namenode.table import Table, scan_prefix
from mapreduce.commands import EventsDropped, EventsRecorded
from mapreduce.limits import (
    EVENTS_MAX_BYTES,
    EVENTS_SCANNED_MAX_ROWS,
    JOB_EVENTS_MAX,
    ROWS_DROPPED_MAX,
)
from mapreduce.master.rows import number_in
from mapreduce.wire import JobEvent

STATE = "state"
LOG_FULL = "log_full"
MASTER_STARTED = "master_started"
ATTEMPT_STARTED = "attempt_started"
BACKUP_STARTED = "backup_started"
ATTEMPT_PROGRESS = "attempt_progress"
ATTEMPT_DONE = "attempt_done"

_decoder = msgspec.msgpack.Decoder(JobEvent)


class History:
    """The events of the turn, and the last sequence of each job that has had one."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._turn: dict[str, list[JobEvent]] = {}

    def add(self, table: Table, job: str, event: JobEvent) -> None:
        """Something happened to a job; its sequence is given here."""
        last = self._last.get(job)
        if last is None:
            last = last_sequence(table, job)
        if last + 1 == JOB_EVENTS_MAX:
            text = f"{JOB_EVENTS_MAX} events are recorded; of later ones only the job's states are"
            last = self._append(job, last, JobEvent(0, event.wall_ns, LOG_FULL, text))
        if last < JOB_EVENTS_MAX or event.kind == STATE:
            last = self._append(job, last, event)
        self._last[job] = last

    def _append(self, job: str, last: int, event: JobEvent) -> int:
        numbered = msgspec.structs.replace(event, sequence=last + 1)
        self._turn.setdefault(job, []).append(numbered)
        return last + 1

    def take(self) -> list[Command]:
        """The commands that record the events of the turn."""
        turn, self._turn = self._turn, {}
        return [EventsRecorded(number_in(job), tuple(events)) for job, events in turn.items()]

    def forget(self, job: str) -> None:
        """The job has no rows any more."""
        self._last.pop(job, None)


class Page(NamedTuple):
    """Events, the cursor behind what was looked at, and whether there are more behind it."""

    events: tuple[JobEvent, ...]
    cursor: int
    more: bool


def last_sequence(table: Table, job: str) -> int:
    """The sequence of a job's last event, 0 when it has none."""
    number = number_in(job)
    found = table.last("events", number_key(number + 1))
    return second_of(found[0]) if found is not None and number_of(found[0]) == number else 0


def read(
    table: Table, job: str, cursor: int, kinds: frozenset[str] | None = None, task: str = ""
) -> Page:
    """A page of a job's events after ``cursor``: those of some kinds, those that concern one
    task, or all. It may be empty and have more behind it: what is looked at is bounded too."""
    number = number_in(job)
    start = pair_key(number, max(cursor, 0) + 1)
    page: list[JobEvent] = []
    room = EVENTS_MAX_BYTES
    looked = 0
    for _, value in scan_prefix(table, "events", number_key(number), start):
        if looked == EVENTS_SCANNED_MAX_ROWS or room < 0:
            return Page(tuple(page), cursor, True)
        event = _decoder.decode(value)
        looked, cursor = looked + 1, event.sequence
        if (kinds is None or event.kind in kinds) and _concerns(event, task):
            page.append(event)
            room -= len(value)
    return Page(tuple(page), cursor, False)


def _concerns(event: JobEvent, task: str) -> bool:
    """Is it of this task, or of the job as a whole? '' is any task."""
    return task in ("", event.attempt.rpartition(".")[0]) or not event.attempt


def drop_slice(table: Table, number: int) -> Sequence[Command]:
    """The command that drops the oldest events of a job; none when there are none."""
    rows = scan_prefix(table, "events", number_key(number))
    sequences = [second_of(key) for _, (key, _) in zip(range(ROWS_DROPPED_MAX), rows, strict=False)]
    return [EventsDropped(number, sequences[0], sequences[-1])] if sequences else []
