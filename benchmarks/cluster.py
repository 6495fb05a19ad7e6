"""A cluster of its own for the benchmarks, driven by the commands that users type."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.memory import PeakMemory, parent_of

SCRIPTS = Path(sys.executable).parent


@dataclass(frozen=True)
class Timed:
    """One run of a command: wall seconds of the whole process, peak memory of it in MiB; the peak
    of several trees of processes together where that was asked for."""

    seconds: float
    peak_mib: float
    output: str
    held_mib: float = 0.0


def timed(
    *command: str | Path,
    env: dict[str, str] | None = None,
    beside: Sequence[int] | None = None,
) -> Timed:
    """Run a command to its end; a failure ends the benchmark with its words.

    With ``beside`` the most that its tree of processes and the trees of these held together is
    looked for, too (``held_mib``).
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        began = time.perf_counter()
        process = subprocess.Popen([str(c) for c in command], stdout=out, stderr=err, env=env)
        looking = PeakMemory([process.pid, *(beside or ())])
        with looking if beside is not None else nullcontext():
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if process.returncode:
            sys.exit(f"{' '.join(map(str, command))}: exit {process.returncode}: {err.read()}")
        return Timed(seconds, usage.ru_maxrss / 1024, out.read(), looking.peak_mib)


class Cluster:
    """``minidfs up`` in a folder that goes away afterwards."""

    def __init__(self, nodes: int, folder: Path) -> None:
        self._nodes = nodes
        self._home = tempfile.TemporaryDirectory(prefix="minidfs-bench-", dir=folder)
        self.env = {**os.environ, "MINIDFS_HOME": self._home.name}
        self.up_seconds = 0.0

    def __enter__(self) -> Cluster:
        self.up_seconds = self.minidfs("up", "--nodes", str(self._nodes)).seconds
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.minidfs("down")
        self._home.cleanup()

    def minidfs(self, *arguments: str | Path) -> Timed:
        """Run ``minidfs``."""
        return timed(SCRIPTS / "minidfs", *arguments, env=self.env)

    def minimr(self, *arguments: str | Path, beside: Sequence[int] | None = None) -> Timed:
        """Run ``minimr``."""
        return timed(SCRIPTS / "minimr", *arguments, env=self.env, beside=beside)

    def trees(self) -> list[int]:
        """The processes that keep the daemons: below them is all that the cluster runs."""
        return sorted({parent_of(pid) for pid in self.pids().values()})

    def pids(self) -> dict[str, int]:
        """The process of each daemon."""
        return {role["id"]: role["pid"] for role in self._roles()}

    def peaks_mib(self) -> dict[str, float]:
        """The most memory that each daemon ever had resident (VmHWM)."""
        return {role: _peak_mib(pid) for role, pid in self.pids().items()}

    def _roles(self) -> list[dict[str, Any]]:
        roles = json.loads(self.minidfs("status", "--json").output)["roles"]
        return [role for role in roles if role["pid"]]


def _peak_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0
