"""Errors of jobs. User code is at fault, or the engine broke a promise to itself."""

from __future__ import annotations

from dfs.errors import DfsError, JobFault
from mapreduce.job import Failure


class UserCodeError(JobFault):
    """The job's own code failed; `failure` says how and on which record."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.describe(), failure.path)
        self.failure = failure

    def __reduce__(self) -> tuple[type[UserCodeError], tuple[Failure]]:  # type: ignore[override]
        return type(self), (self.failure,)


class JobFailed(JobFault):
    """A job ended without output; the text holds the first failing attempt's own traceback."""

    def __init__(self, message: str, job_id: str = "", failure: Failure | None = None) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.failure = failure

    def __reduce__(  # type: ignore[override]
        self,
    ) -> tuple[type[JobFailed], tuple[str, str, Failure | None]]:
        return type(self), (self.message, self.job_id, self.failure)


class RecordsLost(JobFault):
    """Records were lost or doubled between maps and reduces: a fault of the engine."""


class RunCorrupt(DfsError):
    """Bytes of a run file are not those that its map wrote: the map must run again.

    `map_index` names the map whose output is damaged, -1 if it is this task's own spill.
    """

    code = "run_corrupt"

    def __init__(self, message: str, map_index: int = -1) -> None:
        super().__init__(message)
        self.map_index = map_index

    def __reduce__(self) -> tuple[type[RunCorrupt], tuple[str, int]]:  # type: ignore[override]
        return type(self), (self.message, self.map_index)
