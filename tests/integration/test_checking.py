"""The namenode answers while it checks its metadata after ``kill -9``; real processes.

The check of the rows stops itself where a file says so, so that it takes as long as a test wants.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dfs.local.processes import read_pid_file
from tests.integration.cluster_here import ClusterHere, until

pytestmark = pytest.mark.cluster

CHECKING = "safe mode: checking the metadata after an unclean stop"
STOP_THE_CHECK = """
import os, signal, sys
if "problem_of_rows" in "".join(sys.orig_argv) and os.path.exists({flag!r}):
    open({flag!r} + f".{{os.getpid()}}", "x").close()
    os.kill(os.getpid(), signal.SIGSTOP)
"""


class SlowlyChecked:
    """A cluster in which a check stops while ``flag`` exists."""

    def __init__(self, cluster: ClusterHere, folder: Path) -> None:
        self.cluster = cluster
        self.flag = folder / "stop"
        (folder / "sitecustomize.py").write_text(STOP_THE_CHECK.format(flag=str(self.flag)))
        cluster.environment["PYTHONPATH"] = str(folder)
        cluster.minidfs("up", "--nodes", "1")
        cluster.minidfs("put", "-", "/small", stdin=b"a small file")

    @property
    def view(self) -> Path:
        return self.cluster.folder / "namenode" / "view"

    def kill(self) -> None:
        """Kill the namenode with the view committed, and wait until another is in its place."""
        pid = self.pid()
        os.kill(pid, signal.SIGKILL)
        until(lambda: self.pid() not in (0, pid))

    def pid(self) -> int:
        process = read_pid_file(self.cluster.home.pid_file("namenode"))
        return 0 if process is None else process.pid

    def wait_for_check(self, checks: int) -> None:
        """So many checks have begun, and stopped."""
        until(lambda: len(self.checks()) == checks)

    def checks(self) -> list[int]:
        return [int(path.suffix[1:]) for path in self.flag.parent.glob("stop.*")]

    def go_on(self) -> None:
        """Let those that were stopped go on, and those to come not stop."""
        self.flag.unlink(missing_ok=True)
        for pid in self.checks():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def log(self) -> str:
        return self.cluster.home.log_file("namenode").read_text(encoding="utf-8")

    def is_serving(self) -> bool:
        return self.cluster.status()["state"] == "serving"


@pytest.fixture
def slow(own_cluster: ClusterHere, tmp_path: Path) -> Iterator[SlowlyChecked]:
    made = SlowlyChecked(own_cluster, tmp_path)
    yield made
    made.go_on()


def test_reads_are_answered_while_the_metadata_are_checked(slow: SlowlyChecked) -> None:
    cluster = slow.cluster
    slow.flag.touch()
    slow.kill()
    slow.wait_for_check(1)
    assert cluster.cat("/small") == b"a small file"
    assert cluster.names("/") == ["small"]
    assert any(reason.startswith(CHECKING) for reason in cluster.status()["reasons"])
    safe = json.loads(cluster.minidfs("admin", "safemode", "get", "--json").stdout)
    assert (safe["safe_mode"], safe["reason"][: len(CHECKING)]) == ("on", CHECKING)
    assert CHECKING in cluster.minidfs("admin", "report", code=None).stdout
    refused = cluster.minidfs("mkdir", "/refused", "--timeout", "2s", code=5)
    assert CHECKING in refused.stderr
    waiting = cluster.begin("minidfs", "mkdir", "/waited")
    slow.go_on()
    assert waiting.wait(60) == 0
    until(slow.is_serving)
    assert cluster.names("/") == ["small", "waited"]
    assert {path.name for path in slow.view.iterdir()} == {"VERSION", "data.mdb", "lock.mdb"}
    cluster.minidfs("down")
    assert (slow.view / "CLEAN").exists()


def test_killed_or_stopped_before_the_verdict_it_checks_first(slow: SlowlyChecked) -> None:
    cluster = slow.cluster
    slow.flag.touch()
    slow.kill()
    slow.wait_for_check(1)
    served = slow.log().count("listening on")
    os.kill(slow.pid(), signal.SIGKILL)
    slow.wait_for_check(2)
    assert slow.log().count("listening on") == served
    slow.go_on()
    until(slow.is_serving)
    assert cluster.cat("/small") == b"a small file"
    slow.flag.touch()
    slow.kill()
    slow.wait_for_check(3)
    cluster.minidfs("stop", "namenode")
    assert {path.name for path in slow.view.iterdir()} >= {"UNCHECKED"}
    assert not (slow.view / "CLEAN").exists()
    slow.flag.unlink()
    cluster.minidfs("start", "namenode")
    assert not (slow.view / "UNCHECKED").exists()
    assert cluster.cat("/small") == b"a small file"


def test_damage_is_found_beside_and_healed_by_the_next_start(slow: SlowlyChecked) -> None:
    """In a row that nobody reads meanwhile."""
    cluster = slow.cluster
    cluster.minidfs("stop", "namenode")
    data = slow.view / "data.mdb"
    content = bytearray(data.read_bytes())
    content[content.rindex(b"a small file")] ^= 1
    data.write_bytes(content)
    (slow.view / "CLEAN").unlink()
    slow.flag.touch()
    starting = cluster.begin("minidfs", "start", "namenode")
    slow.wait_for_check(1)
    assert cluster.names("/") == ["small"]
    slow.go_on()
    starting.wait(60)
    until(lambda: "it is made again from" in slow.log())
    until(slow.is_serving)
    assert cluster.cat("/small") == b"a small file"
    lines = [line for line in slow.log().splitlines() if "stopped: " in line]
    assert len(lines) == 1
    assert "the view is damaged (a row of table 'inline' is not as it was written)" in lines[0]
    assert (slow.view.with_name("view.damaged") / "UNCHECKED").read_text().startswith("a row of")
