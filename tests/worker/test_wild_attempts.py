"""Attempts that misbehave in real task processes: they end, and nothing of them is left."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dfs.limits import MIB
from mapreduce.wire import AttemptId, AttemptSucceeded, FailureKind
from mapreduce.worker.attempt_run import AttemptRun
from mapreduce.worker.task_groups import NOTE, TaskGroup
from mapreduce.worker.work import RunAttempt, StopAttempt
from tests.worker.test_executor import JOB_ID, Bench, failed, processes_of

CODE = """
import os, socket, subprocess, sys, tempfile, time
import mapreduce as mr

class Words(mr.Job):
    partitions = 1
    act: str = mr.param("")

    def mapper(self, key, line):
        if self.act and line == "b":
            getattr(self, self.act)()
        yield line, 1

    def eats(self):
        held = []
        while True:
            held.append(b"x" * (1 << 20))

    def eats_at_once(self):
        held = b"x" * (1 << 34)

    def eats_in_a_child(self):
        code = "import time; held = []\\nwhile len(held) < 300: held.append(b'x' * (1 << 20))\\n"
        subprocess.run([sys.executable, "-c", code + "time.sleep(1000)"])

    def eats_a_gigabyte(self):
        held = b"x" * (1 << 30)
        time.sleep(1000)

    def loses_a_child(self):
        code = "import time; held = b'x' * (1 << 30); time.sleep(1000)"
        subprocess.run([sys.executable, "-c", code])
        time.sleep(1000)

    def swells(self):
        self.held = b"x" * (120 << 20)

    def hides(self):
        # A daemon in a session of its own, without anything of our environment.
        known_by = f"{os.getppid()}.5"
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.execve("/bin/sleep", ["sleep", known_by], {})
            os._exit(0)
        os.wait()

    def hides_and_sleeps(self):
        self.hides()
        time.sleep(1000)

    def hides_and_exits(self):
        self.hides()
        os._exit(5)

    def hides_from_us_and_exits(self):
        import ctypes
        ctypes.CDLL(None).prctl(36, 0, 0, 0, 0)
        self.hides_and_exits()

    def babbles(self):
        for name in os.listdir("/proc/self/fd"):
            try:
                socket.socket(fileno=os.dup(int(name))).sendall(b"\\xff" * 64)
            except OSError:
                pass  # no socket
        time.sleep(1000)

    def closes(self):
        os.closerange(3, 1000)
        time.sleep(1000)

    def sleeps(self):
        print("sleeping", flush=True)
        time.sleep(1000)

    def litters(self):
        print(os.listdir("."), "finds")
        os.mkdir("closed")
        open("closed/file", "w").close()
        os.chmod("closed", 0)
        open(tempfile.mktemp(), "w").close()
        print(tempfile.gettempdir() == os.getcwd(), "temporary")

    def removes_its_folder(self):
        import shutil
        shutil.rmtree(os.getcwd())

    def reducer(self, word, counts):
        yield word, sum(counts)
"""
MEMORY_BYTES = 200 * MIB
TRIES = 6
"""A task that gets no processor for a while does not say in time where it is."""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, CODE)
    yield made
    made.executor.close()
    assert processes_of(made.scratch) == set()
    assert list((made.scratch / "tasks").iterdir()) == []
    assert list((made.scratch / "attempts").iterdir()) == []


def order(bench: Bench, act: str, attempt: int = 1) -> RunAttempt:
    return dataclasses.replace(bench.order(act, attempt), memory_bytes=MEMORY_BYTES)


def sleepers(worker: int = os.getpid()) -> list[int]:
    """The hidden daemons that tasks of this process, or of that one, started."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[:2] == [b"sleep", f"{worker}.5".encode()]:
            found.append(int(entry.parent.name))
    return found


def test_a_task_beyond_its_memory_is_ended_and_says_where_it_was(bench: Bench) -> None:
    pattern = (
        r"memory limit of 200 MiB exceeded: \d+ MiB, m-00000\.\d, "
        r"mapper, at byte 4 of /in/text, record 'b'"
    )

    def eats(attempt: int) -> str:
        return failed(bench.run(order(bench, "eats", attempt)), FailureKind.MEMORY).text

    assert any(re.fullmatch(pattern, eats(attempt)) for attempt in range(1, TRIES))
    assert isinstance(bench.run(order(bench, "", TRIES)), AttemptSucceeded)


@pytest.mark.parametrize("act", ["eats_at_once", "eats_in_a_child"])
def test_memory_is_counted_in_one_call_and_in_what_a_task_starts(bench: Bench, act: str) -> None:
    report = failed(bench.run(order(bench, act)), FailureKind.MEMORY)
    assert report.text.startswith("memory limit of 200 MiB exceeded: ")
    assert "m-00000.1" in report.text


def test_a_process_that_has_grown_is_not_used_again(bench: Bench) -> None:
    assert isinstance(bench.run(order(bench, "swells")), AttemptSucceeded)
    assert bench.executor._pool._pop_idle(JOB_ID) is None


def test_a_daemon_that_a_task_leaves_ends_with_its_attempt(bench: Bench) -> None:
    assert isinstance(bench.run(order(bench, "hides")), AttemptSucceeded)
    assert sleepers() == []
    assert bench.executor._pool._pop_idle(JOB_ID) is None


def test_a_process_without_its_folder_is_not_used_again(bench: Bench) -> None:
    assert isinstance(bench.run(order(bench, "removes_its_folder")), AttemptSucceeded)
    assert bench.executor._pool._pop_idle(JOB_ID) is None


REAPER = """
import os, sys
from pathlib import Path
from mapreduce.worker.process_tree import become_reaper
from tests.worker.test_wild_attempts import CODE, Bench, order, sleepers
become_reaper()
bench = Bench(Path(sys.argv[1]), CODE)
for act in ("hides_and_exits", "hides_from_us_and_exits"):
    print(bench.run(order(bench, act)).kind, sleepers())
bench.executor.close()
children = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
print("children:", children)
"""


def test_a_worker_ends_daemons_whose_task_is_gone(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", REAPER, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["crash []", "crash []", "children: "], done


def test_a_task_that_closes_its_descriptors_is_ended(bench: Bench) -> None:
    text = failed(bench.run(order(bench, "closes")), FailureKind.CRASH).text
    assert text == "m-00000.1 was ended: the connection was closed"


def test_a_task_whose_process_says_what_is_no_message_is_ended(bench: Bench) -> None:
    text = failed(bench.run(order(bench, "babbles")), FailureKind.CRASH).text
    assert text.startswith("m-00000.1 was ended: a frame of 4294967295 and ")
    assert "is outside the limits" in text


def test_a_silent_task_is_ended_and_says_where_it_was(bench: Bench) -> None:
    def sleeps(attempt: int) -> str:
        asked = order(bench, "sleeps", attempt)
        thread, ends = bench.in_background(asked)
        log = bench.scratch / "logs" / JOB_ID / f"0-{AttemptId.of(asked.task)}.log"
        while not (log.exists() and log.read_bytes()):
            time.sleep(0.01)
        stop = StopAttempt(AttemptId.of(asked.task), "made no progress for 1 s")
        bench.executor.execute(stop)
        thread.join()
        return failed(ends[0], FailureKind.TIMEOUT).text  # type: ignore[arg-type]

    pattern = r"made no progress for 1 s, m-00000.\d, mapper, at byte 4 of /in/text, record 'b'"
    assert any(re.fullmatch(pattern, sleeps(attempt)) for attempt in range(1, TRIES))


def test_an_attempt_finds_nothing_of_the_one_before(bench: Bench) -> None:
    for attempt in (1, 2):
        assert isinstance(bench.run(order(bench, "litters", attempt)), AttemptSucceeded)
    said = bench.log(AttemptId.of(order(bench, "litters", 2).task))
    assert "['code'] finds" in said
    assert "True temporary" in said
    assert os.path.isdir(bench.scratch / "tasks")


def groups_do(bench: Bench) -> tuple[bool, bool]:
    """Do groups of the kernel limit memory on this machine, and end what is in them?"""
    uses = bench.executor._pool.groups.uses
    return "memory: cgroup" in uses, "processes: cgroup" in uses


def test_a_task_that_takes_much_at_once_is_named_and_held(bench: Bench) -> None:
    """Faster than the watch looks; where groups limit memory it does not get far."""
    report = failed(bench.run(order(bench, "eats_a_gigabyte")), FailureKind.MEMORY)
    found = re.fullmatch(r"memory limit of 200 MiB exceeded: (\d+) MiB, m-00000\.1.*", report.text)
    assert found, report
    if groups_do(bench)[0]:
        assert int(found[1]) < 512
    assert isinstance(bench.run(order(bench, "", 2)), AttemptSucceeded)


def test_a_task_that_lost_a_child_to_the_limit_ends_for_it(bench: Bench) -> None:
    """Where the kernel keeps the limit it kills the child, and the task would go on."""
    report = failed(bench.run(order(bench, "loses_a_child")), FailureKind.MEMORY)
    assert report.text.startswith("memory limit of 200 MiB exceeded: ")


def test_what_the_kernel_killed_is_named_by_what_it_was_given(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.executor._watch.close()
    monkeypatch.setattr(TaskGroup, "cut_at_bytes", lambda group: 264 * MIB)
    said = "memory limit of 200 MiB exceeded: 264 MiB"
    report = failed(bench.run(order(bench, "hides_and_exits")), FailureKind.MEMORY)
    assert report.text == f"{said}, m-00000.1, in the map of /in/text from byte 0"
    reduce: Any = SimpleNamespace(_order=bench.reduce_order())
    assert AttemptRun._part(reduce) == "in the reduce of partition 0"


def test_no_group_is_left_when_a_worker_has_ended(bench: Bench) -> None:
    groups = bench.executor._pool.groups
    paths = groups.paths
    assert isinstance(bench.run(order(bench, "hides")), AttemptSucceeded)
    bench.executor.close()
    assert [path for path in paths if path.exists()] == []


KILLED = """
import sys
from pathlib import Path
from tests.worker.test_wild_attempts import CODE, Bench, order
bench = Bench(Path(sys.argv[1]), CODE)
bench.run(order(bench, "hides_and_sleeps"))
"""


def test_the_next_worker_ends_a_daemon_that_dropped_its_environment(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)]) as killed:
        while not sleepers(killed.pid):
            assert killed.poll() is None
            time.sleep(0.01)
        killed.kill()
    note = tmp_path / "scratch/tasks" / NOTE
    noted = [Path(line) for line in note.read_text().split()] if note.exists() else []
    bench = Bench(tmp_path, CODE)
    left = sleepers(killed.pid)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert bool(left) != groups_do(bench)[1], "only groups find it"
    assert [path for path in noted if path.exists()] == []
    bench.executor.close()
