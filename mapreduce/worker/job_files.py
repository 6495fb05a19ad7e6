"""Files of jobs on a worker: their code, side files, and what their tasks printed.

A bundle is fetched once, by whoever needs it first, and is named by its digest; the task that
opens it verifies it. Bundles and logs outlive their job, since the next run of the same code needs
the one and people read the other; both are bounded by dropping the oldest.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from threading import Lock

from dfs.errors import NotFound
from dfs.limits import MIB
from mapreduce.wire import AttemptId, bundle_path
from mapreduce.worker.attempt_log import AttemptLog
from mapreduce.worker.serving import WholeFiles
from mapreduce.worker.side_store import SideStore
from mapreduce.worker.work import LOG_PIECE_BYTES

BUNDLES_KEPT = 50
JOBS_LOGGED = 50
JOB_LOGS_MAX_BYTES = 100 * MIB
"""What the attempts of one job may print here, beside a little that each may."""


class JobFiles:
    """The folders ``bundles`` and ``logs`` below ``scratch``; ``side`` is ``files``."""

    def __init__(self, scratch: Path, storage: WholeFiles) -> None:
        self._storage = storage
        self._bundles = scratch / "bundles"
        self._logs = scratch / "logs"
        self._printed: dict[str, int] = {}
        self._lock = Lock()
        self.side = SideStore(scratch / "files", storage)
        for folder in (self._bundles, self._logs):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def bundle(self, digest: str) -> Path:
        """The local copy of a bundle; fetched from the DFS when it is not there. Errors: DfsError,
        OSError."""
        path = self._bundles / f"{digest}.zip"
        with self._lock:
            if not path.exists():
                _keep_newest(self._bundles, BUNDLES_KEPT - 1)
                partial = path.with_suffix(".part")
                partial.write_bytes(self._storage.read(bundle_path(digest)))
                partial.rename(path)
        return path

    def log_path(self, attempt: AttemptId) -> Path:
        """Where an attempt's output goes."""
        return self._logs / attempt.job / f"{attempt.file_name}.log"

    def open_log(self, attempt: AttemptId) -> AttemptLog:
        """Begin an attempt's log. Raises OSError."""
        path = self.log_path(attempt)
        with self._lock:
            if not path.parent.exists():
                _keep_newest(self._logs, JOBS_LOGGED - 1)
                path.parent.mkdir(mode=0o700)
            if attempt.job not in self._printed:
                here = set(os.listdir(self._logs))
                self._printed = {job: n for job, n in self._printed.items() if job in here}
                self._printed[attempt.job] = _sizes(path.parent)
            return AttemptLog(path, JOB_LOGS_MAX_BYTES - self._printed[attempt.job])

    def close_log(self, attempt: AttemptId, log: AttemptLog) -> None:
        """An attempt prints no more."""
        log.close()
        with self._lock:
            if attempt.job in self._printed:
                self._printed[attempt.job] += log.size_bytes

    def read_log(self, attempt: AttemptId, offset: int) -> bytes:
        """A piece of what an attempt printed, empty at its end. Raises NotFound."""
        path = self.log_path(attempt)
        try:
            with path.open("rb") as file:
                file.seek(max(0, offset))
                return file.read(LOG_PIECE_BYTES)
        except FileNotFoundError:
            raise NotFound(
                f"what {attempt} of {attempt.job} printed is not here: a worker keeps the logs of"
                f" the {JOBS_LOGGED} jobs that came last"
            ) from None


def _sizes(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.iterdir())


def _keep_newest(folder: Path, count: int) -> None:
    """Remove the oldest entries until ``count`` are left."""
    entries = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in entries[count:]:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
