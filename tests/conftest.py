"""Rules for all tests.

Where MINIDFS_REQUIRE_ALL=1 is set, a skipped test is a failed one. And every namenode that a
test makes in its own process leaves sound tables behind: they are checked when the test ends.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator

import handler_verdict  # first: it marks what is imported after it
import pytest

from dfs.events import Now
from dfs.namenode.core import NamenodeSettings, NamespaceCore
from dfs.namenode.fsck import find_problems
from dfs.namenode.module import Module
from dfs.namenode.table import MemoryTable, Table


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--handlers dfs.net`` names the error handlers of modules that this run did not enter."""
    parser.addoption("--handlers", metavar="MODULE", help="name its handlers not entered by a run")


def pytest_configure(config: pytest.Config) -> None:
    """A run of all tests tells which error handlers of the product it did not enter."""
    config.pluginmanager.register(handler_verdict.HandlerVerdict())


REQUIRE_ALL = os.environ.get("MINIDFS_REQUIRE_ALL") == "1"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the report of a skipped test into that of a failed one."""
    report = yield
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"MINIDFS_REQUIRE_ALL forbids skips: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a module that skips itself while it is collected."""
    report = yield
    if REQUIRE_ALL and report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"MINIDFS_REQUIRE_ALL forbids skips: {reason}"
    return report


_tables: dict[int, tuple[Table, tuple[Module, ...]]] = {}
_make_core = NamespaceCore.__init__


def _make_core_and_note_its_tables(
    core: NamespaceCore, settings: NamenodeSettings, table: Table, now: Now
) -> None:
    _make_core(core, settings, table, now)
    _tables[id(table)] = (table, settings.modules)


@pytest.fixture(scope="session", autouse=True)
def _note_tables() -> Iterator[None]:
    """Every core of a namenode, whoever makes it, is noted with its tables."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(NamespaceCore, "__init__", _make_core_and_note_its_tables)
        yield


@pytest.fixture(autouse=True)
def _tables_are_sound(request: pytest.FixtureRequest) -> Iterator[None]:
    """The tables of all namenodes that a test made hold to every invariant at its end."""
    _tables.clear()
    yield
    damaged = request.node.get_closest_marker("damages_tables") is not None
    for table, modules in () if damaged else list(_tables.values()):
        if isinstance(table, MemoryTable):
            assert find_problems(table, modules) == []
    _tables.clear()
