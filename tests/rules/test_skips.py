"""MINIDFS_REQUIRE_ALL=1 turns each kind of skip into a failure, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rules.source_tree import ROOT

SKIPS = """
import pytest

def test_inside(): pytest.skip("no tool")

@pytest.mark.skipif(True, reason="no root")
def test_marked(): pass

@pytest.fixture
def lacking(): pytest.skip("no disk")

def test_fixture(lacking): pass

def test_fine(): pass

@pytest.mark.xfail
def test_known(): raise AssertionError
"""
SKIPPED_MODULE = 'import pytest\npytest.skip("no module", allow_module_level=True)\n'


@pytest.mark.parametrize(
    ("setting", "summary"),
    [
        ("1", "1 failed, 1 passed, 1 xfailed, 3 errors"),
        ("", "1 passed, 4 skipped, 1 xfailed"),
    ],
)
def test_skips_fail_only_where_all_is_required(setting: str, summary: str, tmp_path: Path) -> None:
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "test_some.py").write_text(SKIPS, encoding="utf-8")
    (tmp_path / "test_module.py").write_text(SKIPPED_MODULE, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(
        [*command, "--rootdir", str(tmp_path), "--continue-on-collection-errors"],
        env={**os.environ, "MINIDFS_REQUIRE_ALL": setting},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert summary in done.stdout
    if setting:
        for reason in ("no tool", "no root", "no disk", "no module"):
            assert f"MINIDFS_REQUIRE_ALL forbids skips: Skipped: {reason}" in done.stdout
