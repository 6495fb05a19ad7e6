"""Messages of MapReduce: client and master, worker and master, worker and worker.

Rules that hold for all of them:

* The unit of work is the *attempt*; everything said about work names one. Words about an
  attempt that the master has given up are answered ``KillAttempt`` and change nothing.
* Orders (``LaunchMap``, ``LaunchReduce``, ``KillAttempt``, ``ForgetJob``) carry the master's
  ``epoch`` and are not answered: what an order did shows in the next heartbeat, and an attempt
  that no heartbeat names loses its lease. A worker refuses orders of an epoch below the highest
  it has seen.
* Reports (``AttemptSucceeded``, ``AttemptFailed``, ``RunsLost``) are repeated by the worker
  until they are answered, after a new registration too. Repeating does no harm.
* Where a client names a job it may send an id, a unique beginning of one, or ``@last``.

Map output is known by the attempt that wrote it: an attempt has one *run file* at most.
Times are ns since the epoch unless the name says otherwise; sizes are bytes.
"""

from __future__ import annotations

from mapreduce.wire.clients import (
    AddSplits,
    DropOutput,
    EventList,
    JobList,
    JobNews,
    JobSubmitted,
    KillJob,
    KillTask,
    ListEvents,
    ListJobs,
    ListTasks,
    ListWorkers,
    StartJob,
    SubmitJob,
    TaskList,
    WatchJob,
    WorkerList,
)
from mapreduce.wire.values import (
    BUNDLE_FOLDER,
    ROWS_PER_PAGE,
    SPLITS_PER_PAGE,
    AttemptId,
    FailureKind,
    JobEvent,
    JobOptions,
    JobReport,
    JobState,
    Locality,
    PlannedSplit,
    TaskCounts,
    TaskKind,
    TaskReport,
    WorkerReport,
    bundle_path,
    files_folder,
    parse_task,
    side_file_path,
)
from mapreduce.wire.workers import (
    AnnounceRuns,
    AttemptFailed,
    AttemptProgress,
    AttemptSucceeded,
    FetchRun,
    FindRuns,
    ForgetJob,
    KillAttempt,
    LaunchMap,
    LaunchReduce,
    ReadTaskLog,
    RegisterWorker,
    RunData,
    RunHeld,
    RunLocation,
    RunLocations,
    RunsLost,
    TaskLog,
    WorkerAddress,
    WorkerDrains,
    WorkerHeartbeat,
    WorkerLeaves,
    WorkerRegistered,
)

__all__ = [
    "BUNDLE_FOLDER",
    "ROWS_PER_PAGE",
    "SPLITS_PER_PAGE",
    "AddSplits",
    "AnnounceRuns",
    "AttemptFailed",
    "AttemptId",
    "AttemptProgress",
    "AttemptSucceeded",
    "DropOutput",
    "EventList",
    "FailureKind",
    "FetchRun",
    "FindRuns",
    "ForgetJob",
    "JobEvent",
    "JobList",
    "JobNews",
    "JobOptions",
    "JobReport",
    "JobState",
    "JobSubmitted",
    "KillAttempt",
    "KillJob",
    "KillTask",
    "LaunchMap",
    "LaunchReduce",
    "ListEvents",
    "ListJobs",
    "ListTasks",
    "ListWorkers",
    "Locality",
    "PlannedSplit",
    "ReadTaskLog",
    "RegisterWorker",
    "RunData",
    "RunHeld",
    "RunLocation",
    "RunLocations",
    "RunsLost",
    "StartJob",
    "SubmitJob",
    "TaskCounts",
    "TaskKind",
    "TaskList",
    "TaskLog",
    "TaskReport",
    "WatchJob",
    "WorkerAddress",
    "WorkerDrains",
    "WorkerHeartbeat",
    "WorkerLeaves",
    "WorkerList",
    "WorkerRegistered",
    "WorkerReport",
    "bundle_path",
    "files_folder",
    "parse_task",
    "side_file_path",
]
