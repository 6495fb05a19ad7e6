"""What the worker's core has done at the edge: values, with what comes back for each.

=====================  ===========================================================================
work                   result
=====================  ===========================================================================
``FindHeldRuns``       tuple of ``RunHeld``; everything that belongs to no run was removed
``RunAttempt``         the report of its end: ``AttemptSucceeded`` or ``AttemptFailed``
``StopAttempt``        None, once it is dying; its ``RunAttempt`` ends after that
``SampleAttempts``     tuple of ``AttemptProgress``, one for each running attempt
``StoreSegments``      None; raises ``RunCorrupt`` when the bytes are not those that were sent,
                       and ``NotFound`` when the attempt does not run (yet)
``ReadRuns``           ``RunPack``
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
from mapreduce.wire import AttemptId, SegmentPiece

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
class StoreSegments:
    """What one fetch brought for a reduce attempt; the task gets each segment when it is whole.

    ``pieces`` lie in the payload one behind the other and are of these ``runs``. ``offset`` is
    that of the first piece: 0 begins its segment, also a second time; behind another one it stands
    alone. ``check`` is the xxh3-64 of the payload.
    """

    attempt: AttemptId
    runs: tuple[AttemptId, ...]
    pieces: tuple[SegmentPiece, ...]
    offset: int
    check: int
    payload: Payload


@dataclass(frozen=True, slots=True)
class ReadRuns:
    """One partition of runs held here, as many as ``FETCH_MAX_BYTES`` have room for; of the first
    from byte ``offset`` on."""

    runs: tuple[AttemptId, ...]
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class RunPack:
    """What was read of runs: see ``RunsData``. ``unreadable`` says of each run that is damaged or
    gone, why."""

    pieces: tuple[SegmentPiece, ...]
    unreadable: dict[AttemptId, str]
    check: int
    payload: Payload


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
    | StoreSegments
    | ReadRuns
    | ReadLog
    | DropRun
    | DropJob
)
