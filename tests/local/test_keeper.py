"""A keeper starts what has ended, takes over what survived it, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dfs.limits import SECOND_NS
from dfs.local.keeper import HELD_NS, PAUSE_MAX_NS, PAUSE_MIN_NS, Kept
from dfs.local.launch import log_tail
from dfs.local.layout import Home
from dfs.local.processes import Process, read_pid_file, send_signal

KEEPER = """
import sys
from pathlib import Path
from dfs.local.keeper import Keeper
from dfs.local.layout import Home
sleep = [sys.executable, "-c", "import signal; signal.pause()"]
print("keeping", flush=True)
sys.exit(Keeper(Home(Path(sys.argv[1])), {"a-1": sleep, "b-1": sleep}).run())
"""


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that happens soon."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Running:
    """A keeper of ``a-1`` and ``b-1`` as a process."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder)
        self.home.make()
        self.process = self.begin()

    def begin(self) -> subprocess.Popen[str]:
        self.process = subprocess.Popen(
            [sys.executable, "-c", KEEPER, str(self.home.folder)],
            stdout=subprocess.PIPE,
            text=True,
        )
        until(lambda: all(self.kept().values()))
        return self.process

    def kept(self) -> dict[str, Process | None]:
        return {name: read_pid_file(self.home.pid_file(name)) for name in ("a-1", "b-1")}


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path / "home")
    yield running
    running.process.kill()
    running.process.communicate()
    for process in running.kept().values():
        if process is not None:
            send_signal(process, signal.SIGKILL)


def test_what_is_killed_is_started_again_and_the_other_is_left_alone(keeper: Running) -> None:
    before = keeper.kept()
    assert before["a-1"] is not None
    send_signal(before["a-1"], signal.SIGKILL)
    until(lambda: keeper.kept()["a-1"] not in (None, before["a-1"]))
    assert keeper.kept()["b-1"] == before["b-1"]


def test_term_ends_all_and_leaves_no_pid_file(keeper: Running) -> None:
    before = keeper.kept()
    keeper.process.terminate()
    keeper.process.wait(30)
    assert keeper.process.returncode == 0
    assert not any(keeper.kept().values())
    assert os.listdir(keeper.home.run) == []
    assert all(before.values())


def test_a_new_keeper_takes_over_what_survived_the_old_one(keeper: Running) -> None:
    before = keeper.kept()
    keeper.process.kill()
    out, _ = keeper.process.communicate()
    keeper.begin()
    assert keeper.kept() == before
    assert before["b-1"] is not None
    send_signal(before["b-1"], signal.SIGKILL)
    until(lambda: keeper.kept()["b-1"] not in (None, before["b-1"]))
    assert keeper.kept()["a-1"] == before["a-1"]
    assert "b-1" in out
    assert log_tail(keeper.home, "b-1") == []


def test_pauses_grow_to_a_bound_and_begin_anew_for_what_has_held() -> None:
    kept = Kept("x-1", [])
    now_ns = 1000 * SECOND_NS
    pauses = []
    for _ in range(8):
        kept.started_ns = now_ns
        kept.ended(now_ns)
        pauses.append(kept.start_at_ns - now_ns)
        now_ns = kept.start_at_ns
    assert pauses[:4] == [PAUSE_MIN_NS * 2**n for n in range(4)]
    assert pauses[-1] == PAUSE_MAX_NS
    kept.started_ns = now_ns
    kept.ended(now_ns + HELD_NS)
    assert kept.start_at_ns == now_ns + HELD_NS + PAUSE_MIN_NS


def test_what_somebody_wants_now_does_not_wait_for_its_pause() -> None:
    kept = Kept("x-1", [])
    kept.ended(5 * SECOND_NS)
    kept.hurry()
    assert kept.start_at_ns == 0
    assert kept.pause_ns == PAUSE_MIN_NS
