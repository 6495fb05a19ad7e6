"""What a task has started, found and ended: all that only Linux tells of processes.

A task process is made the *reaper* of what it starts: a descendant whose parent ends becomes its
child, so that forking twice into a session of one's own hides nobody. When the task process itself
ends, or gave that up, what it left becomes a child of the worker, which is a reaper as well and
ends whatever it did not start (``end_orphans``). A runner inside somebody else's program is none:
the program's other children are not ours. There the tag in the environment has to do, which every
process inherits that does not drop it on purpose.

Elsewhere than on Linux nothing is known of descendants: only process groups are ended, and memory
is not measured.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from time import sleep

TAG_VARIABLE = "MINIMR_TASK"
PROC = Path("/proc")
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_PASSES_MAX = 50
_PASS_S = 0.002
"""What a process that was killed may take to end before it is looked for again."""
_OOM_SCORE = b"500"

task_pids: set[int] = set()
"""The children that this process started as tasks and that have not been waited for."""
_starts = 0
_lock = Lock()
_reaps = False


def give_up_rights() -> None:
    """What a task process asks of the kernel: to die with the thread that started it, to gain no
    rights by running programs, to be the parent of its orphans, to go first when memory ends."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_bytes(_OOM_SCORE)


def become_reaper() -> None:
    """From now on the orphans of tasks are children of this process, and it ends them."""
    global _reaps
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    _reaps = True


@contextmanager
def starting() -> Iterator[None]:
    """A task is started meanwhile and entered into ``task_pids``; it can take long."""
    global _starts
    with _lock:
        _starts += 1
    try:
        yield
    finally:
        with _lock:
            _starts -= 1


def _prctl(option: int, value: int) -> None:
    if not sys.platform.startswith("linux"):
        return
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(option, ctypes.c_ulong(value), 0, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl({option}) is refused")


def family(pid: int) -> list[int]:
    """A process and its living descendants; those that have ended are left out."""
    found = {pid: None}
    queue = [pid]
    for one in queue:
        fresh = [child for child in _children(one) if child not in found]
        found |= dict.fromkeys(fresh)
        queue += fresh
    return [one for one in found if one == pid or is_alive(one)]


def _children(pid: int) -> list[int]:
    """The children of all threads of a process."""
    found: list[int] = []
    with suppress(OSError, ValueError):  # it ends while we look
        for thread in os.listdir(PROC / str(pid) / "task"):
            text = (PROC / str(pid) / "task" / thread / "children").read_bytes()
            found += map(int, text.split())
    return found


def is_alive(pid: int) -> bool:
    """Is there such a process, and not only its exit status?"""
    return _stat(pid)[:1] not in (b"", b"X", b"Z")


def _stat(pid: int) -> bytes:
    """Its state and what follows in ``/proc/PID/stat``, without the name; empty if it is gone."""
    try:
        return (PROC / str(pid) / "stat").read_bytes().rpartition(b") ")[2]
    except OSError:
        return b""


def memory_of(pids: Iterable[int], enough_bytes: int) -> int:
    """Bytes of memory that these processes hold; what they share with others in equal parts.

    A quick count, in which everybody pays for what is shared, is enough up to ``enough_bytes``.
    """
    pids = list(pids)
    quick_bytes = sum(map(_resident_bytes, pids))
    return quick_bytes if quick_bytes <= enough_bytes else sum(map(_shared_out_bytes, pids))


def _resident_bytes(pid: int) -> int:
    try:
        return int((PROC / str(pid) / "statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def _shared_out_bytes(pid: int) -> int:
    """Its proportional share of memory and swap; all that it holds if that cannot be told."""
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_bytes().splitlines()
    except OSError:
        return _resident_bytes(pid)
    found = [int(line.split()[1]) for line in lines if line.startswith((b"Pss:", b"SwapPss:"))]
    return sum(found) * 1024


def unlinked_bytes(pids: Iterable[int], device: int) -> int:
    """Bytes of files on a device that have no name any more and that these processes hold open."""
    found: dict[int, int] = {}
    for pid in pids:
        for entry in (PROC / str(pid) / "fd").glob("*"):
            try:
                status = entry.stat()
            except OSError:
                continue  # it was closed meanwhile
            if status.st_dev == device and status.st_nlink == 0:
                found[status.st_ino] = status.st_blocks * 512
    return sum(found.values())


def end_family(pid: int) -> None:
    """End a process of ours and all its descendants; the process itself still is to be waited for.

    It is stopped first, so that it starts nothing new and stays the parent of what loses its own.
    """
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
    for _ in range(_PASSES_MAX):
        descendants = family(pid)[1:]
        if not descendants:
            break
        _kill_all(descendants)
        sleep(_PASS_S)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def end_group(pid: int) -> None:
    """End what is left of a process group."""
    with suppress(ProcessLookupError, PermissionError):  # the group is empty
        os.killpg(pid, signal.SIGKILL)


def end_tagged(prefix: str) -> int:
    """End every process whose tag begins with ``prefix``; how many there were.

    Repeated until none is left, since a process can fork while it is looked for.
    """
    killed = 0
    for _ in range(_PASSES_MAX):
        found = list(_tagged(prefix))
        if not found:
            break
        _kill_all(found)
        killed += len(found)
        sleep(_PASS_S)
    return killed


def end_orphans() -> None:
    """End the children of this process that it did not start, if it is a reaper.

    What it starts itself beside tasks stays in its session, which no task can enter.
    """
    if not _reaps:
        return
    session = os.getsid(0)
    children = _children(os.getpid())
    with _lock:  # a child that is listed and not known by now is none of those that begin later
        unsure = _starts > 0
        strangers = [pid for pid in children if pid not in task_pids]
    for pid in strangers:
        fields = _stat(pid).split()
        if len(fields) <= 3 or int(fields[3]) == session or (unsure and int(fields[3]) == pid):
            continue  # gone, of this process, or perhaps a task that is being started
        _kill_all([pid])
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def _kill_all(pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _tagged(prefix: str) -> Iterator[int]:
    """The living processes with such a tag, zombies left out: their environment is empty."""
    wanted = f"{TAG_VARIABLE}={prefix}".encode()
    for entry in PROC.glob("[0-9]*/environ"):
        try:
            variables = entry.read_bytes().split(b"\0")
        except OSError:
            continue  # it ended, or is somebody else's
        if any(v == wanted or v.startswith(wanted + b"/") for v in variables):
            yield int(entry.parent.name)
