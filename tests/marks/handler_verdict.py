"""Judges a run of all tests: has each error handler of the product been entered?

To import this module is to begin: it marks what is imported afterwards, here and in the processes
that the tests start. ``tests/rules/unentered.toml`` lists the handlers that are excused.

A handler that was not entered fails the run. Chance must not decide: one that is entered only
by luck, as in a daemon that is killed at a random moment, is one that no test enters. It gets a
test of its own, or its line in the list; to enter a handler that is excused is no fault. A run
that leaves out or skips a test, or fails, is not judged. With ``-n`` the first process judges
what all have noted.

``pytest tests/net --handlers dfs.net`` names those of some modules that any run did not enter.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path

import handler_marks
import pytest

LIST = handler_marks.ROOT / "tests" / "rules" / "unentered.toml"
ADVICE = (
    "Each error handler above is entered by no test. Write one that enters it whenever it runs: a"
    " disk of dfs/testing whose n-th call fails, a real file or socket. Remove a handler of what"
    f" cannot happen. Else say in {LIST.relative_to(handler_marks.ROOT)} why no test can."
)

ALL_ENTERED = (
    f"error handlers: all were entered, save those in {LIST.relative_to(handler_marks.ROOT)}"
)

_IS_FIRST = handler_marks.FOLDER not in os.environ
"""Is this the process that judges, and not one that it started?"""

if _IS_FIRST:
    _folder = os.environ[handler_marks.FOLDER] = tempfile.mkdtemp(prefix="handlers-")
    atexit.register(shutil.rmtree, _folder, ignore_errors=True)
    _paths = (str(handler_marks.HERE), os.environ.get("PYTHONPATH", ""))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, _paths))
handler_marks.install()


def excused() -> dict[str, str]:
    """The reasons why no test need enter a handler, by its name."""
    return tomllib.loads(LIST.read_text(encoding="utf-8"))


def unentered(
    handlers: Mapping[str, str], entered: Collection[str], excused: Collection[str], module: str
) -> list[str]:
    """One line for each handler of ``module`` and below that is neither entered nor excused.

    ``handlers`` tells by name where each one stands; "" means every module.
    """
    return [
        f"{place}: {name}"
        for name, place in sorted(handlers.items())
        if name not in entered
        and name not in excused
        and (not module or name.startswith((f"{module}:", f"{module}.")))
    ]


class HandlerVerdict:
    """The plugin that speaks the verdict at the end of a run."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Find what a run of all tests did not enter."""
        handler_marks.write_notes()
        if not _IS_FIRST:
            return
        entered = handler_marks.entered(Path(os.environ.pop(handler_marks.FOLDER)))
        asked: str | None = session.config.getoption("--handlers")
        if asked is not None:
            self._lines = unentered(handler_marks.all_handlers(), entered, (), asked)
        elif _is_whole(session):
            self._lines = unentered(handler_marks.all_handlers(), entered, excused(), "")
            if self._lines:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED
            self._lines.append(ADVICE if self._lines else ALL_ENTERED)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Tell what was not entered."""
        for line in self._lines:
            terminalreporter.write_line(line)


def _is_whole(session: pytest.Session) -> bool:
    """Was every test run, and has none failed or been skipped?"""
    config = session.config
    option = config.option
    chosen = (option.keyword, option.markexpr, option.collectonly, option.deselect, option.ignore)
    if any(chosen) or getattr(option, "lf", False):
        return False
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return (
        config.args_source is pytest.Config.ArgsSource.TESTPATHS
        and session.exitstatus == pytest.ExitCode.OK
        and reporter is not None
        and not reporter.stats.get("skipped")
    )
