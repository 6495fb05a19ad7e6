"""A run of all tests fails when an error handler was entered by none, on one process or on two."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import handler_marks
import pytest
from handler_verdict import ADVICE, ALL_ENTERED

ENTERED = "dfs.paths:split_path:UnicodeEncodeError"
NOT_ENTERED = "dfs.manifest:parse:Refused"
CONFTEST = f"""
import os
import handler_verdict

JUDGED = [{ENTERED!r}, *os.environ["ALSO_JUDGED"].split()]
handler_verdict.handler_marks.all_handlers = lambda: dict.fromkeys(JUDGED, "its file")
handler_verdict.excused = dict

def pytest_addoption(parser):
    parser.addoption("--handlers")

def pytest_configure(config):
    config.pluginmanager.register(handler_verdict.HandlerVerdict())
"""
TESTS = """
import pytest
from dfs.errors import BadArgument
from dfs.paths import split_path

def test_of_a_name_that_is_no_text():
    with pytest.raises(BadArgument):
        split_path("/\\udc80")

def test_of_nothing():
    assert True
"""


def run_all_tests(folder: Path, *options: str, also_judged: str = "") -> tuple[int, str]:
    """Run the suite above, whose first process judges: its exit code and what it printed."""
    places = f"{handler_marks.HERE} {handler_marks.ROOT}"
    (folder / "pytest.ini").write_text(f"[pytest]\ntestpaths = tests\npythonpath = {places}\n")
    (folder / "tests").mkdir()
    (folder / "tests" / "conftest.py").write_text(CONFTEST)
    (folder / "tests" / "test_it.py").write_text(TESTS)
    of_this_run = (handler_marks.FOLDER, "PYTEST_", "PYTHONPATH")
    plain = {name: value for name, value in os.environ.items() if not name.startswith(of_this_run)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "xdist", *options]
    variables = {**plain, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "ALSO_JUDGED": also_judged}
    done = subprocess.run(
        command, cwd=folder, env=variables, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one", "two"])
def test_a_run_of_all_tests_fails_when_a_handler_was_not_entered(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    code, told = run_all_tests(tmp_path, *options, also_judged=NOT_ENTERED)
    assert code == pytest.ExitCode.TESTS_FAILED, told
    assert f"its file: {NOT_ENTERED}\n{ADVICE}" in told
    assert ENTERED not in told
    assert "2 passed" in told


def test_a_run_of_all_tests_in_which_each_handler_was_entered_is_good(tmp_path: Path) -> None:
    code, told = run_all_tests(tmp_path, "-n", "2")
    assert (code, ALL_ENTERED in told) == (pytest.ExitCode.OK, True), told


@pytest.mark.parametrize("options", [("-k", "nothing"), ("tests/test_it.py",)])
def test_a_run_of_some_tests_is_not_judged(tmp_path: Path, options: tuple[str, ...]) -> None:
    code, told = run_all_tests(tmp_path, *options, also_judged=NOT_ENTERED)
    assert code == pytest.ExitCode.OK, told
    assert NOT_ENTERED not in told
