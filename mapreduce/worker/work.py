"""What the worker's core has done at the edge: values, with what comes back for each.

=====================  ===========================================================================
work                   result
=====================  ===========================================================================
``FindHeldRuns``       tuple of ``RunHeld``; everything that belongs to no run was removed
``RunAttempt``         the report of its end: ``AttemptSucceeded`` or ``AttemptFailed``
``StopAttempt``        None, once it is dying; its ``RunAttempt`` ends after that
``SampleAttempts``     tuple of ``AttemptProgress``, one for each running attempt
``StoreSegment``       None; raises ``RunCorrupt`` when the bytes are not those that were sent,
                       and ``NotFound`` when the attempt does not run (yet)
``ReadRun``            ``RunPiece``; raises ``RunCorrupt`` when the run is damaged or gone
``ReadLog``            bytes; raises ``NotFound`` when there is no such log (any more)
``DropRun``            None
``DropJob``            None
=====================  ===========================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from dfs.events import Payload
from mapreduce.job import JobSpec, MapTask, ReduceTask
from mapreduce.wire import AttemptId

RUN_PIECE_BYTES = 1 << 20
LOG_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class FindHeldRuns:
    """What did an earlier worker leave here?"""


@dataclass(frozen=True, slots=True)
class RunAttempt:
    """Run a task to its end. ``inode`` pins a map's input; parts are created in ``folder``; its
    processes may hold ``memory_bytes``, 0: what the worker is configured with."""

    task: MapTask | ReduceTask
    job: JobSpec
    env: dict[str, str]
    folder: str
    inode: int = 0
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class StopAttempt:
    """Kill the attempt's process, with what it started. ``silent``: since it made no progress for
    too long, of which a report comes."""

    attempt: AttemptId
    silent: str = ""


@dataclass(frozen=True, slots=True)
class SampleAttempts:
    """How far are the running attempts?"""


@dataclass(frozen=True, slots=True)
class StoreSegment:
    """The next bytes of a reduce attempt's segment of a run; the task gets it when it is whole.

    ``offset`` 0 begins the segment, also a second time; ``check`` is the xxh3-64 of the payload.
    """

    attempt: AttemptId
    run: AttemptId
    offset: int
    size_bytes: int
    check: int
    payload: Payload


@dataclass(frozen=True, slots=True)
class ReadRun:
    """At most ``RUN_PIECE_BYTES`` of one partition of a run held here."""

    run: AttemptId
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class RunPiece:
    """Bytes of a partition, with its whole size and the number of records in it."""

    payload: Payload
    size_bytes: int
    records: int
    check: int


@dataclass(frozen=True, slots=True)
class ReadLog:
    """At most ``LOG_PIECE_BYTES`` of what an attempt printed."""

    attempt: AttemptId
    offset: int


@dataclass(frozen=True, slots=True)
class DropRun:
    """Nobody wants this run."""

    run: AttemptId


@dataclass(frozen=True, slots=True)
class DropJob:
    """The job is over: its runs, idle processes and files go; what was printed stays a while."""

    job: str


WorkerTask: TypeAlias = (
    FindHeldRuns
    | RunAttempt
    | StopAttempt
    | SampleAttempts
    | StoreSegment
    | ReadRun
    | ReadLog
    | DropRun
    | DropJob
)
