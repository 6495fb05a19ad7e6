"""The temporary folder of one local run, and those that killed runs left.

A run holds ``LOCK`` in its folder locked (flock) for as long as it lives, and the lock has that
name only once it is held. So a folder of ours whose lock nobody holds is left from a run that was
killed: the next run ends what it finds of its tasks and removes it.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path

from mapreduce.worker.process_tree import end_tagged
from mapreduce.worker.scratch import remove_tree
from mapreduce.worker.task_groups import clear_noted

PREFIX = "minimr-"
LOCK = "LOCK"
TASKS = "tasks"


class LocalScratch:
    """See the module's text. ``path`` is there until ``close``."""

    def __init__(self) -> None:
        """Make the folder; raises OSError."""
        sweep(Path(tempfile.gettempdir()))
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
        fresh = self.path / f"{LOCK}.new"
        self._lock = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        fresh.rename(self.path / LOCK)

    def close(self) -> None:
        """Remove the folder."""
        remove_tree(self.path)
        os.close(self._lock)


def sweep(folder: Path) -> None:
    """Remove what killed runs of this user left in ``folder``."""
    for path in folder.glob(f"{PREFIX}*"):
        try:
            lock = os.open(path / LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue  # of somebody else, not ours, or just being made
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(lock).st_uid == os.getuid():
                clear_noted(path / TASKS)
                end_tagged(str(path.resolve()))
                remove_tree(path)
        except BlockingIOError:
            continue  # it lives
        finally:
            os.close(lock)
