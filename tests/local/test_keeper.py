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
from dfs.local.notes import last_end, mark_stopped, unmark_stopped
from dfs.local.processes import Process, is_paused, read_pid_file, send_signal

KEEPER = """
import sys
from pathlib import Path
from dfs.local.keeper import Keeper
from dfs.local.layout import Home
sleep = [sys.executable, "-c", "import signal; signal.pause()"]
sys.exit(Keeper(Home(Path(sys.argv[1])), "node-1", {"a-1": sleep, "b-1": sleep}).run())
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
            stderr=subprocess.PIPE,
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


def test_what_was_stopped_on_purpose_stays_stopped_until_its_mark_is_gone(
    keeper: Running,
) -> None:
    before = keeper.kept()
    assert before["a-1"] is not None
    mark_stopped(keeper.home, "a-1")
    send_signal(before["a-1"], signal.SIGTERM)
    until(lambda: last_end(keeper.home, "a-1") is not None)
    assert before["b-1"] is not None
    send_signal(before["b-1"], signal.SIGKILL)
    until(lambda: keeper.kept()["b-1"] not in (None, before["b-1"]))
    assert keeper.kept()["a-1"] is None
    unmark_stopped(keeper.home, "a-1")
    until(lambda: keeper.kept()["a-1"] is not None)


def test_how_a_process_ended_is_noted(keeper: Running) -> None:
    before = keeper.kept()
    assert before["b-1"] is not None
    send_signal(before["b-1"], signal.SIGKILL)
    until(lambda: last_end(keeper.home, "b-1") is not None)
    end = last_end(keeper.home, "b-1")
    assert end is not None
    assert end.how == "SIGKILL"


def test_the_last_words_of_what_fails_are_noted(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.make()
    words = "2026-11-21T00:00:00.000Z c-1 stopped: the disk is full"
    failing = [sys.executable, "-c", f"import sys; print({words!r}); sys.exit(7)"]
    program = KEEPER.replace('"a-1": sleep, "b-1": sleep', f'"c-1": {failing!r}')
    keeping = subprocess.Popen([sys.executable, "-c", program, str(home.folder)])
    try:
        until(lambda: last_end(home, "c-1") is not None)
        end = last_end(home, "c-1")
        assert end is not None
        assert end.how == "exit code 7: stopped: the disk is full"
    finally:
        keeping.terminate()
        keeping.wait()


def test_a_process_that_cannot_be_started_is_tried_again(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.make()
    program = KEEPER.replace("sleep = [sys.executable,", "sleep = [sys.argv[1] + '/program',")
    command = [sys.executable, "-c", program, str(home.folder)]
    keeping = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert keeping.stderr is not None
        assert "a-1 cannot be started: [Errno 2] No such file" in keeping.stderr.readline()
        script = home.folder / "program.new"
        script.write_text("#!/bin/sh\nexec sleep 1000\n", encoding="ascii")
        script.chmod(0o700)
        script.rename(home.folder / "program")
        until(lambda: read_pid_file(home.pid_file("a-1")) is not None)
    finally:
        keeping.terminate()
        keeping.communicate()


def test_term_ends_all_and_leaves_no_pid_file(keeper: Running) -> None:
    before = keeper.kept()
    keeper.process.terminate()
    keeper.process.wait(30)
    assert keeper.process.returncode == 0
    assert not any(keeper.kept().values())
    assert os.listdir(keeper.home.run) == []
    assert all(before.values())


def test_term_ends_what_is_paused(keeper: Running) -> None:
    paused = keeper.kept()["a-1"]
    assert paused is not None
    send_signal(paused, signal.SIGSTOP)
    until(lambda: is_paused(paused))
    keeper.process.terminate()
    keeper.process.wait(30)
    assert os.listdir(keeper.home.run) == []
    assert not is_paused(paused)


def test_a_new_keeper_takes_over_what_survived_the_old_one(keeper: Running) -> None:
    before = keeper.kept()
    keeper.process.kill()
    _, err = keeper.process.communicate()
    keeper.begin()
    assert keeper.kept() == before
    assert before["b-1"] is not None
    send_signal(before["b-1"], signal.SIGKILL)
    until(lambda: keeper.kept()["b-1"] not in (None, before["b-1"]))
    assert keeper.kept()["a-1"] == before["a-1"]
    assert "b-1" in err
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
