"""Side files of jobs on a worker: each is fetched once, whatever jobs and tasks read it.

    scratch/files/store/DIGEST    the content, read-only
    scratch/files/jobs/JOB/NAME   a link to it, which the job's tasks open

A content without a link belongs to no job; the oldest of these go when there are more than
``KEPT`` or they hold more than ``KEPT_BYTES``. The links go with their job, and all of them when
the worker starts, since no task has outlived the worker before it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from threading import Lock

from dfs.errors import Corrupt
from mapreduce.job import DIGEST_BYTES, SideFile, check_side_files
from mapreduce.wire import side_file_path
from mapreduce.worker.serving import WholeFiles

KEPT = 100
KEPT_BYTES = 2 << 30
_PIECE_BYTES = 1 << 20
_READ_ONLY = 0o444


class SideStore:
    """See the module's text. Its methods may be called from any thread."""

    def __init__(self, folder: Path, storage: WholeFiles) -> None:
        self._storage = storage
        self._store = folder / "store"
        self._jobs = folder / "jobs"
        self._lock = Lock()
        shutil.rmtree(self._jobs, ignore_errors=True)
        for made in (self._store, self._jobs):
            made.mkdir(mode=0o700, parents=True, exist_ok=True)
        for partial in self._store.glob("*.part"):
            partial.unlink()

    def paths(self, job_id: str, files: Sequence[SideFile]) -> dict[str, str]:
        """Where a job's files lie, by name; fetched if they are not here. Errors: DfsError,
        OSError."""
        check_side_files(files)
        folder = self._jobs / job_id
        with self._lock:
            return {file.name: str(self._linked(folder, job_id, file)) for file in files}

    def drop_job(self, job_id: str) -> None:
        """The job is over."""
        with self._lock:
            shutil.rmtree(self._jobs / job_id, ignore_errors=True)
            self._forget_oldest()

    def _linked(self, folder: Path, job_id: str, file: SideFile) -> Path:
        link = folder / file.name
        if not link.exists():
            content = self._store / file.digest
            if not content.exists():
                self._fetch(side_file_path(job_id, file.name), file, content)
            folder.mkdir(mode=0o700, exist_ok=True)
            os.utime(content)
            link.hardlink_to(content)
        return link

    def _fetch(self, path: str, file: SideFile, content: Path) -> None:
        """Copy a file from the DFS; raises Corrupt unless it is the one that was shipped."""
        partial = content.with_suffix(".part")
        digest = blake2b(digest_size=DIGEST_BYTES)
        with self._storage.open(path) as source, partial.open("wb") as target:
            while piece := source.read(_PIECE_BYTES):
                digest.update(piece)
                target.write(piece)
        if digest.hexdigest() != file.digest:
            partial.unlink()
            raise Corrupt(f"the side file {file.name} is not the one that was shipped", path)
        partial.chmod(_READ_ONLY)
        partial.rename(content)

    def _forget_oldest(self) -> None:
        unused = [(path, path.stat()) for path in self._store.iterdir()]
        unused = [(path, stat) for path, stat in unused if stat.st_nlink == 1]
        unused.sort(key=lambda entry: entry[1].st_mtime_ns, reverse=True)
        held = 0
        for number, (path, stat) in enumerate(unused, start=1):
            held += stat.st_size
            if number > KEPT or held > KEPT_BYTES:
                path.unlink()
