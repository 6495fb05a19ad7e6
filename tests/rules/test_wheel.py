"""What is published: a wheel with three packages, which a clean environment can install and run."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from dfs.version import VERSION
from tests.rules.source_tree import PRODUCT, ROOT


def run(*command: str | Path, cwd: Path) -> str:
    """Standard output of a command that must succeed, run without our own environment."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "MINIDFS"))}
    done = subprocess.run(
        command, cwd=cwd, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder]
    run(*build, ROOT, cwd=folder)
    [wheel] = folder.glob("*.whl")
    return wheel


def test_the_wheel_holds_the_three_packages_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    metadata = f"minidfs-{VERSION}.dist-info"
    assert {name.partition("/")[0] for name in names} == {*PRODUCT, metadata}
    expected = {
        str(path.relative_to(ROOT))
        for package in PRODUCT
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if not name.startswith(metadata)} == expected
    assert f"{metadata}/licenses/LICENSE" in names


def test_the_packages_say_that_they_are_typed(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {f"{package}/py.typed" for package in PRODUCT} <= set(names)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_clean_environment_installs_and_runs_it(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "venv"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", f"{wheel}[mapreduce]", cwd=elsewhere)
    assert VERSION in run(home / "bin" / "minidfs", "version", cwd=elsewhere)
    assert run(home / "bin" / "minimr", "--help", cwd=elsewhere).startswith("Usage: minimr")
    where = run(python, "-c", "import dfs, mapreduce; print(dfs.__file__)", cwd=elsewhere)
    assert Path(where.strip()).is_relative_to(home)
