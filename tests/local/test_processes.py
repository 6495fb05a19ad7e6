"""Pid files, and never taking a stranger for a process of ours."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dfs.local.launch import log_tail, start, stop
from dfs.local.layout import Home
from dfs.local.processes import (
    Process,
    identify,
    is_running,
    read_pid_file,
    send_signal,
    write_pid_file,
)

SLEEP = [sys.executable, "-c", "import signal; signal.pause()"]
DEAF = [
    sys.executable,
    "-c",
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True);"
    " signal.pause()",
]


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(SLEEP)
    yield child
    child.kill()
    child.wait()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path / "home")
    found.make()
    return found


def test_a_running_process_is_known_by_its_start(sleeper: subprocess.Popen[bytes]) -> None:
    process = identify(sleeper.pid)
    assert process is not None
    assert is_running(process)
    assert not is_running(Process(sleeper.pid, "0"))


def test_an_ended_process_is_gone_even_before_its_parent_asked(
    sleeper: subprocess.Popen[bytes],
) -> None:
    process = identify(sleeper.pid)
    assert process is not None
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert not is_running(process)
    assert identify(sleeper.pid) is None


def test_a_pid_file_names_the_process_it_was_written_for(
    sleeper: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    file = tmp_path / "x.pid"
    assert read_pid_file(file) is None
    assert write_pid_file(file, sleeper.pid)
    assert read_pid_file(file) == identify(sleeper.pid)
    assert os.listdir(tmp_path) == ["x.pid"]
    sleeper.kill()
    sleeper.wait()
    assert read_pid_file(file) is None


@pytest.mark.parametrize("text", ["", "x", "-1 5", "0 0", "99999999999 1", "1", "\0\xff"])
def test_a_damaged_pid_file_names_nobody(text: str, tmp_path: Path) -> None:
    file = tmp_path / "x.pid"
    file.write_bytes(text.encode("latin-1"))
    assert read_pid_file(file) is None


def test_no_pid_file_is_written_for_a_process_that_has_ended(
    sleeper: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    sleeper.kill()
    sleeper.wait()
    assert not write_pid_file(tmp_path / "x.pid", sleeper.pid)
    assert list(tmp_path.iterdir()) == []


def test_a_stranger_with_our_pid_is_never_signalled(
    sleeper: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    file = tmp_path / "x.pid"
    file.write_text(f"{sleeper.pid} 12345\n", encoding="ascii")
    assert read_pid_file(file) is None
    assert not send_signal(Process(sleeper.pid, "12345"), signal.SIGKILL)
    assert stop([Process(sleeper.pid, "12345")]) == []
    assert sleeper.poll() is None


def test_a_process_in_the_background_has_its_own_session_log_and_home(home: Home) -> None:
    script = "import os; print(os.getsid(0) == os.getpid(), os.environ['MINIDFS_HOME'])"
    child = start(home, "x-1", [sys.executable, "-c", script])
    assert child.wait() == 0
    assert log_tail(home, "x-1") == [f"True {home.folder}"]


def test_the_end_of_a_log_is_shown_and_what_was_there_before_is_not(home: Home) -> None:
    file = home.log_file("x-1")
    file.write_text("".join(f"{n}\n" for n in range(30)), encoding="ascii")
    assert log_tail(home, "x-1") == [str(n) for n in range(20, 30)]
    size = file.stat().st_size
    with file.open("a", encoding="ascii") as log:
        log.write("new\n")
    assert log_tail(home, "x-1", size) == ["new"]
    assert log_tail(home, "none") == []


def test_a_process_that_ignores_term_is_killed(home: Home) -> None:
    child = start(home, "x-1", DEAF)
    while log_tail(home, "x-1") != ["deaf"]:
        assert child.poll() is None
    process = read_pid_file(home.pid_file("x-1"))
    assert process is not None
    assert stop([process], grace_ns=1) == [process]
    assert child.wait() == -signal.SIGKILL


def test_a_process_that_nobody_can_note_is_not_left_running(home: Home) -> None:
    shutil.rmtree(home.pid_file("a-1").parent)
    begun = home.folder / "pid"
    code = "import os, pathlib, signal; pathlib.Path('pid').write_text(str(os.getpid()));"
    with pytest.raises(FileNotFoundError):
        start(home, "a-1", [sys.executable, "-c", f"{code} signal.pause()"])
    assert not begun.exists() or identify(int(begun.read_text() or 0)) is None


def test_a_signal_to_a_number_that_nobody_has_goes_nowhere(
    sleeper: subprocess.Popen[bytes],
) -> None:
    process = identify(sleeper.pid)
    assert process is not None
    sleeper.kill()
    sleeper.wait()
    assert not send_signal(process, signal.SIGTERM)
