"""Groups of processes in plain folders: what the kernel does with them, and how it can refuse."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mapreduce.worker.group_trees import Tree

V1 = ("cgroup.procs", "memory.limit_in_bytes", "memory.usage_in_bytes", "memory.oom_control")
V1_MORE = ("memory.memsw.limit_in_bytes", "memory.max_usage_in_bytes")
V2 = ("cgroup.procs", "cgroup.kill", "cgroup.subtree_control", "memory.max", "memory.current")
V2_MORE = ("memory.swap.max", "memory.peak", "memory.events")
NAMES = {1: V1 + V1_MORE, 2: V2 + V2_MORE}
NEVER_ENDING = 1 << 30


class KernelHere:
    """Trees below a folder, as ``Files``. ``refuse`` lets calls fail; processes are real."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.delegated: set[Path] = set()
        self.lingers: set[int] = set()
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._refused: Counter[tuple[str, str]] = Counter()
        self._errors: dict[tuple[str, str], int] = {}

    def tree(self, version: int, limits_memory: bool = True) -> Tree:
        """A tree whose base is there."""
        base = self.folder / f"v{version}"
        base.mkdir(exist_ok=True)
        self._fill(base, version)
        return Tree(base, version, limits_memory)

    def refuse(self, call: str, name: str, error: int, times: int = NEVER_ENDING) -> None:
        """So many calls on files or groups of this name fail."""
        self._refused[call, name] = times
        self._errors[call, name] = error

    @contextmanager
    def process(self) -> Iterator[subprocess.Popen[bytes]]:
        """A process that runs until it is killed."""
        with subprocess.Popen(("sleep", "1000")) as process:
            self._running[process.pid] = process
            yield process
            process.kill()

    def lives(self, pid: int) -> bool:
        """Has it not ended, or does the kernel still hold it?"""
        process = self._running.get(pid)
        if process is not None:
            return process.poll() is None or pid in self.lingers
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return True

    # Files.

    def make(self, group: Path) -> None:
        self._check("make", group)
        group.mkdir()
        self._fill(group, int(group.relative_to(self.folder).parts[0][1:]))

    def remove(self, group: Path) -> None:
        self._check("remove", group)
        if not group.exists():
            raise FileNotFoundError(group)
        if self.read(group / "cgroup.procs") or any(path.is_dir() for path in group.iterdir()):
            raise OSError(errno.EBUSY, "it is in use")
        shutil.rmtree(group)

    def read(self, path: Path) -> str:
        self._check("read", path)
        text = path.read_text()
        if path.name != "cgroup.procs":
            return text
        return "".join(f"{pid}\n" for pid in map(int, text.split()) if not pid or self.lives(pid))

    def write(self, path: Path, text: str) -> None:
        self._check("write", path)
        if not path.exists():
            raise FileNotFoundError(path)
        if path.name == "cgroup.procs":
            text = f"{path.read_text()}{text}\n"
        if path.name == "cgroup.kill":
            for found in path.parent.rglob("cgroup.procs"):
                for pid in self._running.keys() & set(map(int, self.read(found).split())):
                    self._running[pid].kill()
        path.write_text(text.replace("+", ""))

    def is_delegated(self, group: Path) -> bool:
        return group in self.delegated

    def _fill(self, group: Path, version: int) -> None:
        for name in NAMES[version]:
            (group / name).touch()

    def _check(self, call: str, path: Path) -> None:
        if self._refused[call, path.name] > 0:
            self._refused[call, path.name] -= 1
            raise OSError(self._errors[call, path.name], "refused", str(path))
