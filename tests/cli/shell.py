"""A command line run in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cli.errors import run
from cli.minidfs import minidfs
from cli.minimr import minimr


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> dict[str, Any]:
        """The error of ``--json``."""
        (line,) = self.err.splitlines()
        fields = json.loads(line)
        assert fields["v"] == 1
        error: dict[str, Any] = fields["error"]
        return error


class Shell:
    """Runs ``minidfs`` and ``minimr``."""

    def __init__(self, home: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.home = home
        self._capture = capture

    def minidfs(self, *arguments: str) -> Ended:
        """``minidfs ARGUMENTS``."""
        code = run(minidfs, arguments, "minidfs")
        return Ended(code, *self._capture.readouterr())

    def minimr(self, *arguments: str) -> Ended:
        """``minimr ARGUMENTS``."""
        code = run(minimr, arguments, "minimr")
        return Ended(code, *self._capture.readouterr())
