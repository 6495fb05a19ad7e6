"""Groups of the kernel (cgroups) for task processes: what ends whole, and how much memory it holds.

::

    OWN/                              the group that the worker was started in, and stays in
    OWN/minimr-worker-1-1f0c93aa/     the worker's, locked (flock) for as long as it lives
    OWN/minimr-worker-1-1f0c93aa/17/  one task process with all that it starts

======================  =====================================================================
found (group_trees)     used for
======================  =====================================================================
v2 with memory          both
v1 memory, v2 without   the limit by v1; the end by v2, whose ``cgroup.kill`` nothing outruns
v1 memory               both; all processes of the group are killed until there is none
v2 without memory       the end
none, or not writable   nothing: limits are kept by ``task_watch``, ends by ``process_tree``
======================  =====================================================================

Who does what: ``task_watch`` decides, by what processes hold in truth, and can ask a task where it
is; a group tells it cheaply when to look. The kernel counts cache and its own memory too, so its
limit lies ``room_bytes`` above the task's and catches what grows faster than anybody looks.

Rules of the file:

* A process is put into its group before it is sent anybody's code.
* What the worker uses it has tried at its start, with a process: see ``_holds``.
* A group that cannot be made, filled or limited is done without, for this process alone. One that
  somebody removed is made again. One that cannot be removed yet is tried again with each later
  one; what is left at the end goes with the next start.
* A worker's group that nobody has locked is left from one that was killed. Who starts a worker or
  a local run in the same group, or with the same folder, kills what is in it and removes it.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from time import sleep

from dfs.limits import MIB
from mapreduce.worker.group_trees import Files, KernelFiles, Tree, find_trees

PREFIX = "minimr-"
NOTE = "groups"
"""The file in a folder of task processes that names the groups of its worker."""
ROOM_MIN_BYTES = 64 * MIB
_ROOM_PERCENT = 25
_LABEL_MAX = 60
_TRIES = 3
_PASSES_MAX = 50
_PASS_S = 0.002
"""What a process that was killed may take to end before it is looked for again."""
_PROBE = ("/bin/sh", "-c", "read nothing")


@dataclass(frozen=True, slots=True)
class _Names:
    """What the files of a group are called that concern its memory."""

    limit: str
    swap: str
    used: str
    peak: str


_V1 = _Names(
    "memory.limit_in_bytes",
    "memory.memsw.limit_in_bytes",
    "memory.usage_in_bytes",
    "memory.max_usage_in_bytes",
)
_V2 = _Names("memory.max", "memory.swap.max", "memory.current", "memory.peak")


def room_bytes(memory_bytes: int) -> int:
    """How far above a task's limit that of the kernel lies, which counts more."""
    return max(ROOM_MIN_BYTES, memory_bytes * _ROOM_PERCENT // 100)


class TaskGroup:
    """The groups of one task process, one in each tree; none is fine."""

    def __init__(self, owner: TaskGroups | None = None, trees: Sequence[Tree] = ()) -> None:
        """``trees``: those groups themselves, made by ``owner``."""
        self._owner = owner
        self._trees = tuple(trees)
        self._memory = next((tree for tree in trees if tree.limits_memory), None)
        self._names = _V1 if self._memory and self._memory.version == 1 else _V2
        self._limit_bytes = 0

    def add(self, pid: int) -> None:
        """From now on the process is in it, and what it starts, where that is not refused."""
        for tree in self._trees:
            if not self._write(tree, "cgroup.procs", str(pid)) and tree is self._memory:
                self._memory = None

    def limit(self, memory_bytes: int) -> None:
        """Let the kernel keep it from holding much more, swap included.

        Where it holds more already or swap is not counted, the watch will see to it.
        """
        if self._memory is None or memory_bytes == self._limit_bytes:
            return
        self._limit_bytes = memory_bytes
        text = str(memory_bytes + room_bytes(memory_bytes))
        # v1 limits memory and swap together, never to less than memory alone; v2 swap by itself.
        before, after = ("-1", text) if self._names is _V1 else ("0", "0")
        self._write(self._memory, self._names.swap, before)
        self._write(self._memory, self._names.limit, text)
        self._write(self._memory, self._names.swap, after)

    def used_bytes(self) -> int:
        """What the kernel counts, cache with it; 0 if it does not."""
        return self._number(self._names.used)

    def cut_at_bytes(self) -> int:
        """What it held at most, if the kernel killed any of it for this limit; else 0.

        Where the whole machine was full, or a group above, it is not the task's limit.
        """
        full_bytes = self._limit_bytes + room_bytes(self._limit_bytes)
        peak_bytes = self._number(self._names.peak) or full_bytes
        if self._names is _V2:
            killed, was_full = (self._number("memory.events", f) for f in ("oom_kill", "oom"))
        else:
            killed = self._number("memory.oom_control", "oom_kill")
            was_full = peak_bytes > full_bytes - MIB  # the kernel counts in batches
        return peak_bytes if killed and was_full else 0

    def end(self) -> None:
        """Kill all that is in it, and remove it now or later."""
        if self._owner is not None:
            self._owner.end(self._trees)

    def _write(self, tree: Tree, name: str, text: str) -> bool:
        assert self._owner is not None
        try:
            self._owner.files.write(tree.base / name, text)
        except OSError:
            return False
        return True

    def _number(self, name: str, field: str = "") -> int:
        """The number in a file of the group, or behind a name in it; 0 if there is none."""
        if self._memory is None or self._owner is None:
            return 0
        try:
            text = self._owner.files.read(self._memory.base / name)
        except OSError:
            return 0
        found = re.search(rf"^{field} ?(\d+)$", text, re.MULTILINE)
        return int(found[1]) if found else 0


class TaskGroups:
    """Makes the groups of one worker's task processes; methods may be called from any thread."""

    def __init__(self, trees: Sequence[Tree], label: str, files: Files | None = None) -> None:
        """Make the worker's own group in each tree, where that works."""
        self.files = files or KernelFiles()
        label = re.sub("[^A-Za-z0-9.-]", "_", label)[:_LABEL_MAX]
        self._name = f"{PREFIX}{label}-{secrets.token_hex(4)}"
        self._own: list[Tree] = []
        self._locks: list[int] = []
        self._left: list[Path] = []
        self._lock = Lock()
        for tree in trees:
            self._open(Tree(tree.base / self._name, tree.version, tree.limits_memory))

    @classmethod
    def of(cls, folder: Path) -> TaskGroups:
        """Those for the tasks whose folders lie in ``folder``, on this machine."""
        files = KernelFiles()
        trees = find_trees(Path("/"), folder, files)
        for tree in trees:
            sweep(tree.base, files)
        made = cls(trees, folder.parent.name, files)
        if made.paths:
            (folder / NOTE).write_text("".join(f"{path}\n" for path in made.paths))
        return made

    @property
    def paths(self) -> list[Path]:
        """The worker's groups."""
        return [tree.base for tree in self._own]

    @property
    def uses(self) -> str:
        """What limits memory and what ends processes here, for people."""
        memory = next((f"cgroup v{t.version}" for t in self._own if t.limits_memory), "sampled")
        version = max((tree.version for tree in self._own), default=0)
        ends = f"cgroup v{version}" if version else "found one by one"
        return f"memory: {memory}, processes: {ends}"

    def make(self, name: str) -> TaskGroup:
        """Groups for one process."""
        self._retry()
        wanted = [Tree(t.base / name, t.version, t.limits_memory) for t in self._own]
        return TaskGroup(self, [tree for tree in wanted if self._make(tree.base)])

    def end(self, trees: Sequence[Tree]) -> None:
        """Kill what is in these groups, and remove them now or later."""
        for tree in sorted(trees, key=lambda tree: -tree.version):
            empty(tree.base, self.files)
        self._retry([tree.base for tree in trees])

    def close(self) -> bool:
        """Remove them all, with what is in them. False when some cannot be removed yet."""
        paths = self.paths
        while self._own:
            self._drop(self._own[0])
        return not any(path.exists() for path in paths)

    # The worker's own group.

    def _open(self, own: Tree) -> None:
        """Make, lock and try it. Others may take it for a leftover until it is locked."""
        for _ in range(_TRIES):
            try:
                self.files.make(own.base)
                lock = os.open(own.base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            except OSError:
                return
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not own.base.exists():
                os.close(lock)
                continue
            self._own.append(own)
            self._locks.append(lock)
            if not self._holds(own):
                self._drop(own)
            return

    def _holds(self, own: Tree) -> bool:
        """Does it work? A process is put into a group there, limited and found again."""
        try:
            if own.version == 2 and own.limits_memory:
                self.files.write(own.base / "cgroup.subtree_control", "+memory")
            trial = Tree(own.base / "trial", own.version, own.limits_memory)
            self.files.make(trial.base)
            with subprocess.Popen(_PROBE, stdin=subprocess.PIPE) as probe:
                try:
                    self.files.write(trial.base / "cgroup.procs", str(probe.pid))
                    if own.limits_memory:
                        names = _V1 if own.version == 1 else _V2
                        self.files.write(trial.base / names.limit, str(ROOM_MIN_BYTES))
                    return probe.pid in _processes(trial.base, self.files)
                finally:
                    probe.kill()
                    probe.wait()
                    self.end([trial])
        except OSError:
            return False

    def _drop(self, own: Tree) -> None:
        index = self._own.index(own)
        clear(own.base, self.files)
        self._own.pop(index)
        os.close(self._locks.pop(index))

    # The groups of processes.

    def _make(self, group: Path) -> bool:
        for _ in range(_TRIES):
            try:
                self.files.make(group)
            except FileNotFoundError:
                with suppress(OSError):  # somebody removed the worker's, which stays locked
                    self.files.make(group.parent)
            except OSError:
                return False
            else:
                return True
        return False

    def _retry(self, more: Sequence[Path] = ()) -> None:
        """Remove these, and what could not be removed before."""
        with self._lock:
            groups, self._left = [*self._left, *more], []
        still = [group for group in groups if not _remove(group, self.files)]
        with self._lock:
            self._left += still


def groups_here(folder: Path) -> str:
    """What groups would do for tasks that write to this folder; see ``TaskGroups.uses``."""
    files = KernelFiles()
    groups = TaskGroups(find_trees(Path("/"), folder, files), "trial", files)
    try:
        return groups.uses
    finally:
        groups.close()


def clear_noted(folder: Path) -> None:
    """End what is in the groups of an earlier worker with this folder, and remove them."""
    with suppress(OSError):
        for line in (folder / NOTE).read_text(errors="replace").splitlines():
            if Path(line).name.startswith(PREFIX):
                clear(Path(line), KernelFiles())


def sweep(base: Path, files: Files) -> None:
    """Clear what killed workers of this user left in a group."""
    for group in base.glob(f"{PREFIX}*"):
        try:
            lock = os.open(group, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue  # it is gone, or no group
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(lock).st_uid == os.geteuid():
                clear(group, files)
        except BlockingIOError:
            continue  # its worker lives
        finally:
            os.close(lock)


def clear(group: Path, files: Files) -> None:
    """Kill all that is in a group and in those below, and remove them as far as that goes now."""
    empty(group, files)
    for folder, _, _ in os.walk(group, topdown=False):
        empty(Path(folder), files)
        with suppress(OSError):
            files.remove(Path(folder))


def empty(group: Path, files: Files) -> None:
    """Kill all that is in a group, and wait a little for it to be gone."""
    with suppress(OSError):  # it is of version 1, or older than that file, or gone
        files.write(group / "cgroup.kill", "1")
    for _ in range(_PASSES_MAX):
        found = _processes(group, files)
        if not found:
            return
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        sleep(_PASS_S)


def _processes(group: Path, files: Files) -> list[int]:
    """The processes in a group but ourselves; those that have no number here are left out."""
    try:
        found = [int(line) for line in files.read(group / "cgroup.procs").split()]
    except OSError:
        return []
    return [pid for pid in found if pid > 0 and pid != os.getpid()]


def _remove(group: Path, files: Files) -> bool:
    """Remove an ended group. False when that has to wait."""
    try:
        files.remove(group)
    except FileNotFoundError:
        return True
    except OSError:
        clear(group, files)  # a process that ended just now, or groups that a task made in it
        return not group.exists()
    return True
