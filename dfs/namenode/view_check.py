"""After an unclean end: are the view's data sound? Checked before they are opened, or beside.

LMDB keeps no checksums, and a damaged page can kill the process that follows it, by signal. So
after anything but a clean close another process reads the file: its structure first (every page
reachable or free, once, in order, as many rows as are counted), then every row. That takes as long
as the file is long. The namenode answers reads meanwhile, and these hold what that may do wrong:

* *What a read returns was written.* Each row has a checksum over table, key and row; a row that
  does not fit ends the process. What damage can hide from a read is that there is a row at all.
* *Nothing follows from what was not there.* Until the verdict no record is logged: every change
  waits, nobody's lease ends, the master is not there, no replica is copied or deleted. So a row
  that was hidden is at worst reported missing, once, to somebody who only asked.
* *Nothing is written under the check.* Without records there are no commits. The file stays as it
  was when the check began, behind the replay of the log's tail: both meta pages are at rest, the
  one that the check takes is the one the namenode reads by, and no page is used again. Space
  reserved behind the last page is in no tree. (Once sound, it is at use from then on.)
* *The replay hides no damage.* A page that is in use twice, or neither in use nor free, stays so
  through any change of the tree, and so does a count of rows that is not theirs.
* *A start that dies of damage is not repeated.* Before the data are opened unchecked, a mark is
  made, and only a verdict removes it. Where it stands, the start before had none, for whatever
  reason: then the data are checked before they are opened. Damage is written into the mark; then
  the view is made again at the next start without another look (``dfs.namenode.view_recovery``).

No clean end is marked while the mark stands, and no snapshot is taken.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from dfs.disk import LocalDisk, read_whole, write_durably, write_whole
from dfs.errors import Corrupt, StorageFault
from dfs.namenode.log_recovery import storage_faults

DATA_FILE = "data.mdb"
CLEAN_FILE = "CLEAN"
UNCHECKED_FILE = "UNCHECKED"

_CHECK_NICENESS = 10
_CHECK_ROWS = (
    "import sys; from dfs.namenode.lmdb_table import problem_of_rows as problem;"
    " sys.exit(problem(sys.argv[1]))"
)


def begin_use(folder: LocalDisk, *, may_wait: bool) -> None:
    """Find out, before data are opened, whether they are sound; return when they may be opened.

    ``may_wait``: after an unclean end they may be opened before they are checked, if the last
    start came to a verdict. Raises ``Corrupt`` when they are damaged, ``StorageFault`` and
    ``OSError``.
    """
    if folder.exists(UNCHECKED_FILE):
        _check_now(folder, read_whole(folder, UNCHECKED_FILE).decode(errors="replace"))
        _remove(folder, UNCHECKED_FILE)
    elif folder.exists(CLEAN_FILE):
        _remove(folder, CLEAN_FILE)
    elif folder.exists(DATA_FILE):
        if may_wait:
            write_durably(folder, UNCHECKED_FILE, b"")
        else:
            _check_now(folder)


def mark_clean(folder: LocalDisk) -> None:
    """The data were closed in good order: no check is needed at the next start, if they are known
    to be sound."""
    if is_checked(folder):
        write_durably(folder, CLEAN_FILE, b"")


def is_checked(folder: LocalDisk) -> bool:
    """Are open data known to be sound?"""
    return not folder.exists(UNCHECKED_FILE)


def _check_now(folder: LocalDisk, known: str = "") -> None:
    problem = known or DataCheck().problem_of(folder.path(DATA_FILE))
    if problem:
        raise Corrupt(f"the view in {folder.path('')} is damaged ({problem})")


def _remove(folder: LocalDisk, name: str) -> None:
    folder.unlink(name)
    folder.sync_folder("")


class DataCheck:
    """Checks data files in child processes, one at a time; ``stop`` ends it from another thread."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[str] | None = None
        self._stopped = False

    def problem_of(self, path: Path) -> str:
        """What is wrong with a data file, in its structure or in a row; "" if nothing is.

        Raises ``StorageFault`` when the check was killed, which says nothing of the file.
        """
        structure = ["-I", "-m", "lmdb", "verify", "-s", str(path)]
        rows = ["-P", "-c", _CHECK_ROWS, str(path)]
        return self._complaint(path, structure) or self._complaint(path, rows)

    def _complaint(self, path: Path, arguments: list[str]) -> str:
        with subprocess.Popen(
            [sys.executable, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as child:
            self._child = child
            os.setpriority(os.PRIO_PROCESS, child.pid, _CHECK_NICENESS)
            if self._stopped:
                child.kill()
            said, complaint = child.communicate()
        if child.returncode == 0:
            return ""
        if child.returncode == -signal.SIGKILL:
            raise StorageFault(f"the check of {path} was killed: look for too little memory")
        return (said or complaint).strip().partition("\n")[0] or f"exit code {child.returncode}"

    def stop(self) -> None:
        """End the check that runs, and those to come."""
        self._stopped = True
        if self._child is not None:
            self._child.kill()


class ViewCheck:
    """The check of a view that is in use already; ``run`` is called in another thread."""

    def __init__(self, folder: LocalDisk) -> None:
        self._folder = folder
        self._check = DataCheck()

    def run(self) -> str:
        """What is wrong with the data, "" if nothing is; the next start knows it too.

        Raises ``StorageFault``, and then nothing is known.
        """
        with storage_faults("the view cannot be checked"):
            problem = self._check.problem_of(self._folder.path(DATA_FILE))
            if problem:
                write_whole(self._folder, UNCHECKED_FILE, problem.encode())
            else:
                _remove(self._folder, UNCHECKED_FILE)
        return problem

    def stop(self) -> None:
        """Let a check that runs fail at once."""
        self._check.stop()
