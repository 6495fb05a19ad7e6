"""A cluster of real processes on this machine, used through the commands alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dfs.local.layout import Home
from dfs.local.processes import read_pid_file

COMMAND_LIMIT_S = 120


class ClusterHere:
    """A cluster in its own MINIDFS_HOME."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = Home(folder)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("MINIDFS", "MINIMR"))}
        self.environment = {**kept, "MINIDFS_HOME": str(folder)}

    def begin(self, program: str, *arguments: str | Path) -> subprocess.Popen[bytes]:
        """Start ``minidfs`` or ``minimr`` with these arguments."""
        return subprocess.Popen(
            [sys.executable, "-P", "-m", f"cli.{program}", *map(str, arguments)],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def begin_on(self, terminal: int, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command on a terminal, which all three of its streams are."""
        return subprocess.Popen(
            [sys.executable, "-P", "-m", f"cli.{program}", *arguments],
            env=self.environment,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
        )

    def run(
        self, program: str, *arguments: str | Path, code: int | None = 0, stdin: bytes = b""
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, which must come with this exit code (None: any)."""
        child = self.begin(program, *arguments)
        try:
            out, err = child.communicate(stdin, timeout=COMMAND_LIMIT_S)
        finally:
            child.kill()
        texts = [text.decode("utf-8", "surrogateescape") for text in (out, err)]
        done = subprocess.CompletedProcess(child.args, child.returncode, *texts)
        assert code is None or done.returncode == code, f"{arguments} ended with {done}"
        return done

    def minidfs(
        self, *arguments: str | Path, code: int | None = 0, stdin: bytes = b""
    ) -> subprocess.CompletedProcess[str]:
        """Run ``minidfs``."""
        return self.run("minidfs", *arguments, code=code, stdin=stdin)

    def minimr(
        self, *arguments: str | Path, code: int | None = 0
    ) -> subprocess.CompletedProcess[str]:
        """Run ``minimr``."""
        return self.run("minimr", *arguments, code=code)

    def check_metadata(self) -> None:
        """Every invariant of the namenode's tables holds, if there is a namenode to ask."""
        asked = self.minidfs("admin", "fsck", "--json", "--timeout", "5s", code=None)
        if asked.stdout:
            assert json.loads(asked.stdout)["problems"] == []

    def cat(self, path: str) -> bytes:
        """The bytes of a file or of those that match a pattern."""
        return self.minidfs("cat", path).stdout.encode("utf-8", "surrogateescape")

    def names(self, path: str) -> list[str]:
        """What ``ls`` prints."""
        return self.minidfs("ls", path).stdout.splitlines()

    def status(self) -> dict[str, Any]:
        """The picture of ``status --json``."""
        found: dict[str, Any] = json.loads(self.minidfs("status", "--json", code=None).stdout)
        return found

    def pids(self) -> dict[str, int]:
        """The processes that people know, by id."""
        roles = self.status()["roles"]
        return {role["id"]: role["pid"] for role in roles if role["pid"] is not None}

    def all_pids(self) -> list[int]:
        """Every process that has a pid file, those that keep others included."""
        found = map(read_pid_file, self.home.run.glob("*.pid"))
        return [process.pid for process in found if process is not None]


def until(condition: Callable[[], bool], limit_s: float = 60) -> None:
    """Wait for something that happens soon."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)
