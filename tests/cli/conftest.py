"""A command line with its own empty MINIDFS_HOME."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.shell import Shell


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    home = tmp_path / "home"
    monkeypatch.setenv("MINIDFS_HOME", str(home))
    for name in ("MINIDFS_CLUSTER", "MINIMR_RUNNER"):
        monkeypatch.delenv(name, raising=False)
    return Shell(home, capsys)
