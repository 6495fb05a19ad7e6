"""Messages between a worker and the master, and between two workers."""

from __future__ import annotations

import msgspec

from dfs.wire.codec import Message, message
from mapreduce.job import Counters, Failure, JobSpec, MapTask, ReduceTask
from mapreduce.wire.values import AttemptId, FailureKind, JobOptions


class RunHeld(msgspec.Struct, frozen=True, array_like=True):
    """A run file that a worker holds, with the map attempt that wrote it."""

    map: AttemptId
    size_bytes: int


class AttemptProgress(msgspec.Struct, frozen=True, array_like=True):
    """How far a running attempt is; ``fraction`` of its input, 0 to 1."""

    attempt: AttemptId
    records: int
    fraction: float
    status: str = ""


@message(1050)
class RegisterWorker(Message, frozen=True):
    """A worker is here. Sent by: worker, first and after each lost connection.

    Answered by: WorkerRegistered, Refused. ``node`` is the datanode on the same machine, '' if
    there is none. ``attempts`` are those that run or whose end the master has not answered yet;
    what the master thinks of beyond them is lost. ``epoch`` is the highest that the worker ever
    obeyed. ``AnnounceRuns`` must follow before the worker gets work. ``groups`` says what limits
    the memory of tasks there and ends their processes.
    """

    endpoints: tuple[str, ...]
    host: str
    node: str
    slots: int
    attempts: tuple[AttemptId, ...] = ()
    epoch: int = 0
    groups: str = ""


@message(1051)
class WorkerRegistered(Message, frozen=True):
    """Welcome; announce your runs, then send heartbeats. Sent by: master."""

    epoch: int
    heartbeat_ns: int


@message(1052)
class AnnounceRuns(Message, frozen=True):
    """A page of the run files that the worker holds; ``last`` ends the list (it may be empty).

    Sent by: worker, after each registration. Answered by: Ok, NotFound (register first). Runs of
    jobs that have ended are answered with ``ForgetJob`` besides.
    """

    runs: tuple[RunHeld, ...]
    last: bool


@message(1053)
class WorkerHeartbeat(Message, frozen=True):
    """A worker lives and runs these attempts; each one named keeps its lease.

    Sent by: worker. Answered by: Ok, or NotFound: register again.
    """

    attempts: tuple[AttemptProgress, ...]


@message(1063)
class WorkerDrains(Message, frozen=True):
    """A worker will leave within seconds: it is given nothing more. What it runs goes on and what
    it holds is served until it leaves.

    Sent by: worker. Answered by: Ok, or NotFound: register again.
    """


@message(1070)
class WorkerLeaves(Message, frozen=True):
    """A worker ends now: what it runs and holds goes with it, so nobody need wait for it.

    Sent by: worker. Answered by: Ok, which it may not hear any more, or NotFound.
    """


@message(1054)
class LaunchMap(Message, frozen=True):
    """Order: run this map. Sent by: master.

    ``inode`` is the input file that was planned with: when the path names another one by now,
    the attempt fails as INPUT. ``folder`` is where a map-only task creates its part, through the
    file system, with nobody reading it before the commit.
    """

    epoch: int
    task: MapTask
    inode: int
    job: JobSpec
    options: JobOptions
    folder: str


@message(1055)
class LaunchReduce(Message, frozen=True):
    """Order: run this reduce; ``FindRuns`` tells where the runs lie. Sent by: master."""

    epoch: int
    task: ReduceTask
    job: JobSpec
    options: JobOptions
    folder: str


@message(1056)
class KillAttempt(Message, frozen=True):
    """Order: end this attempt and drop what it made. Sent by: master, also as the answer to
    words about an attempt that it has given up."""

    epoch: int
    attempt: AttemptId
    reason: str


@message(1057)
class ForgetJob(Message, frozen=True):
    """Order: this job is over; end its attempts and drop its runs. Sent by: master."""

    epoch: int
    job: str


@message(1058)
class AttemptSucceeded(Message, frozen=True):
    """An attempt has done all its work. Sent by: worker.

    Answered by: Ok when the task is committed to this attempt, KillAttempt when it is not, and
    then its output is worthless. ``files`` are the names of the parts in the attempt's folder
    (of a map with a reducer: none). ``records_out`` of such a map are those in its run file.
    """

    attempt: AttemptId
    counters: Counters
    records_in: int
    records_out: int
    output_bytes: int
    files: tuple[str, ...] = ()


@message(1059)
class AttemptFailed(Message, frozen=True):
    """An attempt has failed. Sent by: worker. Answered by: Ok, KillAttempt (it was dead already).

    ``failure`` comes with USER only; ``text`` is one line for people; ``runs`` with FETCH.
    """

    attempt: AttemptId
    kind: FailureKind
    text: str
    failure: Failure | None = None
    runs: tuple[AttemptId, ...] = ()


@message(1060)
class RunsLost(Message, frozen=True):
    """A reduce attempt cannot get these runs (unreachable, damaged, gone) and goes on waiting
    for others in their place. Sent by: worker. Answered by: Ok, KillAttempt."""

    attempt: AttemptId
    runs: tuple[AttemptId, ...]


class RunLocation(msgspec.Struct, frozen=True, array_like=True):
    """Where the output of one map lies. ``worker`` indexes the message's ``workers``."""

    map: int
    attempt: int
    worker: int


class WorkerAddress(msgspec.Struct, frozen=True, array_like=True):
    """A worker and where it can be reached; ``ipc:`` endpoints only on its own host."""

    worker: str
    endpoints: tuple[str, ...]
    host: str


@message(1061)
class FindRuns(Message, frozen=True):
    """Where are the outputs of the maps from index ``first`` on?

    Sent by: a worker that runs a reduce. Answered by: RunLocations, NotFound (the job is over).
    """

    job: str
    step: int
    first: int = 0


@message(1062)
class RunLocations(Message, frozen=True):
    """The maps below ``next`` that are done, by index; those left out have to be asked for
    again after a pause. ``next`` is the number of maps on the last page. Sent by: master."""

    runs: tuple[RunLocation, ...]
    workers: tuple[WorkerAddress, ...]
    next: int


class RunAsked(msgspec.Struct, frozen=True, array_like=True):
    """The run of a map, known by the attempt that wrote it."""

    map: int
    attempt: int


@message(1102)
class FetchRuns(Message, frozen=True):
    """One partition of the runs of many maps, at most 100; of the first from byte ``offset`` on.

    Sent by: worker. Answered by: RunsData, BadArgument, Unavailable (busy).
    """

    job: str
    step: int
    partition: int
    runs: tuple[RunAsked, ...]
    offset: int = 0


class SegmentPiece(msgspec.Struct, frozen=True, array_like=True):
    """Bytes of a map's partition; ``size_bytes`` is that of the whole partition as the run's
    footer has it."""

    map: int
    piece_bytes: int
    size_bytes: int


@message(1103)
class RunsData(Message, frozen=True):
    """The payload holds these pieces one behind the other, at most a frame.

    Sent by: worker. Each reaches to the end of its partition, but for one that stands alone.
    ``gone`` are the maps whose runs are not here or cannot be read. What is named nowhere did not
    fit: ask for it again. ``check`` is the xxh3-64 of the payload.
    """

    pieces: tuple[SegmentPiece, ...]
    gone: tuple[int, ...]
    check: int


@message(1110)
class ReadTaskLog(Message, frozen=True):
    """What an attempt printed, from byte ``offset`` on.

    Sent by: client, to the worker where it ran. Answered by: TaskLog, NotFound (it never ran
    there, or its log went with those of older jobs), Unavailable.
    """

    attempt: AttemptId
    offset: int = 0


@message(1111)
class TaskLog(Message, frozen=True):
    """The payload holds the bytes from ``offset`` on, at most 1 MiB of them; none at the end.
    Sent by: worker."""

    offset: int
