"""Names, states and reports that the messages of MapReduce are made of."""

from __future__ import annotations

import re
from enum import StrEnum

import msgspec

from dfs.errors import BadArgument
from mapreduce.job import Counters, FileSplit, MapTask, ReduceTask, task_name

SPLITS_PER_PAGE = 1000
"""Splits in one ``AddSplits``; fewer where the paths are long."""
ROWS_PER_PAGE = 1000
"""Jobs, tasks, runs or locations in one message."""
BUNDLE_FOLDER = "/.jobs/bundles"
"""Where clients put the bundles of their jobs, each as ``DIGEST.zip``."""
BUNDLE_DIGEST_CHARS = 64


def bundle_path(digest: str) -> str:
    """Where the bundle with this BLAKE2b digest (hex) lies. Raises BadArgument for what is none."""
    if len(digest) != BUNDLE_DIGEST_CHARS or not set(digest) <= set("0123456789abcdef"):
        raise BadArgument(f"{digest[:BUNDLE_DIGEST_CHARS]!r} is no digest of a bundle")
    return f"{BUNDLE_FOLDER}/{digest}.zip"


def files_folder(job: str) -> str:
    """Where the client puts the side files of a job that it has opened; they go with the job."""
    return f"/.jobs/{job}/files"


def side_file_path(job: str, name: str) -> str:
    """Where a side file of a job lies."""
    return f"{files_folder(job)}/{name}"


class TaskKind(StrEnum):
    """The two kinds of tasks."""

    MAP = "map"
    REDUCE = "reduce"


class JobState(StrEnum):
    """``queued`` until the first attempt starts; the last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    KILLED = "killed"

    @property
    def is_final(self) -> bool:
        """Nothing happens to such a job any more."""
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.KILLED)


class FailureKind(StrEnum):
    """Why an attempt failed. The first five count towards ``max_attempts``."""

    USER = "user"
    """The job's code raised; ``failure`` says where."""
    CRASH = "crash"
    """The task's process died: exit status or signal."""
    MEMORY = "memory"
    """Killed since its processes held more than their memory limit."""
    SCRATCH = "scratch"
    """Killed since its processes filled the disk beyond their share."""
    TIMEOUT = "timeout"
    """Killed because it made no progress for ``task_timeout_ns``."""
    INPUT = "input"
    """No replica of the input could be read; after ``max_attempts`` of these the job fails."""
    FETCH = "fetch"
    """Map output could not be fetched; ``runs`` names the attempts that wrote it."""
    NODE = "node"
    """The worker or its machine failed: disk full, no process, output refused."""


class AttemptId(msgspec.Struct, frozen=True, array_like=True, order=True):
    """One attempt at one task of one job; prints as ``m-00017.1``. Numbers of attempts begin
    at 1 and are never used twice, whatever restarts."""

    job: str
    step: int
    kind: TaskKind
    index: int
    attempt: int

    @classmethod
    def of(cls, task: MapTask | ReduceTask) -> AttemptId:
        """The attempt that a task specification stands for."""
        kind = TaskKind.MAP if isinstance(task, MapTask) else TaskKind.REDUCE
        return cls(task.job_id, task.step, kind, task.index, task.attempt)

    @property
    def task(self) -> str:
        """The task's name, as people see it: ``m-00017``, of a later step ``2:m-00017``."""
        return task_name(self.step, self.kind[0], self.index)

    @property
    def file_name(self) -> str:
        """The attempt in names of files: ``0-m-00017.1``, with the step in front."""
        return f"{self.step}-{self.kind[0]}-{self.index:05d}.{self.attempt}"

    def __str__(self) -> str:
        return f"{self.task}.{self.attempt}"


_NAMED = re.compile(r"(?:([1-9][0-9]{0,2}):)?([mr])-([0-9]{1,9})(?:\.([1-9][0-9]{0,8}))?", re.ASCII)


def parse_task(job: str, text: str) -> AttemptId:
    """What ``m-00003`` (attempt 0), ``m-00003.1`` or ``2:m-00003`` names in a job.

    Raises BadArgument.
    """
    found = _NAMED.fullmatch(text)
    if found is None:
        raise BadArgument(f"{text!r} is no task (m-00003, r-00000) and no attempt (m-00003.1)")
    kind = TaskKind.MAP if found[2] == "m" else TaskKind.REDUCE
    return AttemptId(job, int(found[1] or 1) - 1, kind, int(found[3]), int(found[4] or 0))


class JobOptions(msgspec.Struct, frozen=True):
    """What the caller decided about one run of a job, beside the job itself."""

    max_attempts: int = 4
    """Attempts at one task that may fail by its own fault before the job fails."""
    task_timeout_ns: int = 600_000_000_000
    """An attempt without progress for so long is killed."""
    task_memory_bytes: int = 0
    """Memory of one task; 0: the worker's configured limit."""
    env: dict[str, str] = {}
    """Variables of the tasks' environment."""
    speculative: bool = True
    """Slow tasks may get backup attempts."""


class PlannedSplit(msgspec.Struct, frozen=True, array_like=True):
    """One map's input; ``inode`` pins the version of the file that was planned with."""

    split: FileSplit
    inode: int


class TaskCounts(msgspec.Struct, frozen=True):
    """Tasks of one kind by state; ``failed`` counts failed attempts."""

    total: int = 0
    done: int = 0
    running: int = 0
    failed: int = 0


class Locality(msgspec.Struct, frozen=True):
    """Where the maps of a job that are done were run."""

    node: int = 0
    rack: int = 0
    remote: int = 0


class JobReport(msgspec.Struct, frozen=True):
    """A job as people see it. ``output`` is '' for a job that keeps it in its hidden folder;
    ``error`` is one line or a traceback. Times are 0 while they have not come."""

    job: str
    name: str
    user: str
    state: JobState
    maps: TaskCounts
    reduces: TaskCounts
    counters: Counters
    locality: Locality
    submitted_ns: int
    started_ns: int = 0
    ended_ns: int = 0
    output: str = ""
    error: str = ""


class JobEvent(msgspec.Struct, frozen=True, array_like=True):
    """Something that happened to a job; ``sequence`` counts its events from 1.

    ``kind`` is state, master_started, attempt_started, backup_started, attempt_progress,
    attempt_done, attempt_failed, attempt_lost, attempt_killed, map_output_lost, worker_avoided or
    log_full. What concerns an attempt names it (``m-00017.1``) and its worker. ``locality`` and
    ``miss`` come with a start; records, bytes and counters with a success.
    """

    sequence: int
    wall_ns: int
    kind: str
    text: str
    attempt: str = ""
    worker: str = ""
    locality: str = ""
    miss: str = ""
    records_in: int = 0
    records_out: int = 0
    output_bytes: int = 0
    counters: Counters = {}


class TaskReport(msgspec.Struct, frozen=True):
    """A task as people see it. ``state``: waiting, running, done. ``attempt`` and ``worker`` are
    those of the running attempt, or of the one that is done. ``miss`` says why a map did not run
    where its input lies."""

    task: str
    attempt: int
    state: str
    worker: str = ""
    locality: str = ""
    started_ns: int = 0
    ended_ns: int = 0
    records_in: int = 0
    records_out: int = 0
    failed: int = 0
    error: str = ""
    miss: str = ""


class WorkerReport(msgspec.Struct, frozen=True):
    """A worker as people see it. ``state``: live, stale, dead, draining, left. ``avoided`` says why
    and for how long it gets nothing, of all jobs or of some; ``groups`` what limits the memory of
    its tasks and ends their processes."""

    worker: str
    state: str
    node: str
    slots: int
    running: tuple[str, ...]
    endpoints: tuple[str, ...]
    avoided: str = ""
    host: str = ""
    groups: str = ""
