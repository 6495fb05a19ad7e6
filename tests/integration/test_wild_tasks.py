"""Tasks that misbehave on a real cluster take down themselves, and nothing and nobody else."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dfs.limits import KIB
from dfs.local.ports import choose_address
from mapreduce.worker.attempt_log import LOG_MAX_BYTES
from mapreduce.worker.process_tree import TAG_VARIABLE
from mapreduce.worker.task_groups import NOTE
from tests.integration.cluster_here import ClusterHere, until
from tests.integration.test_storage_faults import IMPATIENT

pytestmark = pytest.mark.cluster

WILD = '''
import os, signal, sys, time
from pathlib import Path
import mapreduce as mr

class Wild(mr.Job):
    """Does something bad at the line `b`."""

    partitions = 1
    act: str = mr.param("")
    place: str = mr.param("", help="an empty folder")

    def mapper(self, key, line):
        if self.act and line == "b":
            getattr(self, self.act)()
        yield line, 1

    def reducer(self, word, counts):
        yield word, sum(counts)

    def eats(self):
        held = []
        while True:
            held.append(b"x" * (1 << 20))

    def fills(self):
        with open("file", "wb") as file:
            while True:
                file.write(bytes(1 << 20))
                file.flush()

    def fills_without_a_name(self):
        import tempfile
        with tempfile.TemporaryFile() as file:
            try:
                while True:
                    file.write(bytes(1 << 20))
                    file.flush()
            except OSError:
                time.sleep(1000)

    def forks(self):
        # A daemon with nothing that we gave it: not our session, not our environment.
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                for number in range(100):
                    try:
                        os.close(number)
                    except OSError:
                        pass
                os.execve("/bin/sleep", ["sleep", self.place], {})
            os._exit(0)
        os.wait()

    def forks_and_stays(self):
        self.forks()
        time.sleep(1000)

    def forks_and_exits(self):
        self.forks()
        os._exit(7)

    def closes(self):
        os.closerange(0, 1000)
        time.sleep(1000)

    def prints(self):
        for _ in range(64):
            print("x" * (1 << 20))

    def stays(self):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1000)

    def exits_once(self):
        mark = Path(self.place, "been-here")
        if not mark.exists():
            mark.touch()
            os._exit(7)

class Calm(mr.Job):
    """Counts lines, slowly, until it may end."""

    partitions = 1
    place: str = mr.param("")

    def mapper(self, key, line):
        while not os.path.exists(self.place):
            self.status(str(time.time()))
            time.sleep(0.2)
        yield line, 1

    def reducer(self, word, counts):
        yield word, sum(counts)
'''
LINES = b"a\nb\nc\n"
COUNTED = "a\t1\nb\t1\nc\t1\n"
ONCE = ("--max-attempts", "1")


def up(cluster: ClusterHere, nodes: int, scratch: str = "{id}") -> None:
    """A cluster of workers with their scratch there, and a small input."""
    cluster.home.make()
    text = IMPATIENT.format(address=choose_address(set()))
    text += f'[worker]\nscratch = "{scratch}"\n'
    cluster.home.config_file.write_text(text, encoding="utf-8")
    cluster.minidfs("up", "--nodes", str(nodes))
    cluster.minidfs("put", "-", "/in", stdin=LINES)


@pytest.fixture(scope="module")
def wild(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ClusterHere, Path]]:
    """Three workers, on which a job runs all the time that ends well at the end. With fewer the
    others would wait: workers where jobs failed are avoided, but never more than half of them."""
    folder = tmp_path_factory.mktemp("wild")
    cluster, job = ClusterHere(folder / "home"), folder / "wild.py"
    job.write_text(WILD)
    try:
        up(cluster, 3)
        end = str(folder / "end")
        calm = cluster.minimr("run", "-d", f"{job}:Calm", "/in", "-o", "/calm", "--place", end)
        name = calm.stdout.strip()
        yield cluster, job
        told = json.loads(cluster.minimr("status", name, "--json").stdout)
        assert (told["state"], told["maps"]["failed"]) == ("running", 0)
        Path(end).touch()
        cluster.minimr("wait", name)
        assert cluster.cat("/calm/part-r-00000").decode() == COUNTED
        until(lambda: nothing_is_left(cluster))
    finally:
        groups = groups_of(cluster)
        cluster.minidfs("down")
        assert tagged(cluster) == []
        assert [path for path in groups if path.exists()] == []


def run(
    wild: tuple[ClusterHere, Path], act: str, *options: str, code: int = 10
) -> subprocess.CompletedProcess[str]:
    cluster, job = wild
    return cluster.minimr("run", f"{job}:Wild", "/in", "--act", act, *options, code=code)


def tagged(cluster: ClusterHere) -> list[int]:
    """The task processes of the cluster's workers, with all that have their environment."""
    tag = f"{TAG_VARIABLE}={cluster.folder.resolve()}/".encode()
    return [pid for pid, said in _proc("environ") if tag in said]


def sleepers(seconds: str) -> list[int]:
    """The daemons that sleep for so long."""
    return [pid for pid, said in _proc("cmdline") if said == f"sleep\0{seconds}\0".encode()]


def _proc(name: str) -> Iterator[tuple[int, bytes]]:
    for entry in Path("/proc").glob(f"[0-9]*/{name}"):
        try:
            yield int(entry.parent.name), entry.read_bytes()
        except OSError:
            continue


def groups_of(cluster: ClusterHere) -> list[Path]:
    """The groups of the kernel that the cluster's workers have; none where they may not."""
    notes = cluster.folder.glob(f"worker-*/tasks/{NOTE}")
    return [Path(line) for note in notes for line in note.read_text().splitlines()]


def nothing_is_left(cluster: ClusterHere) -> bool:
    """No attempts, no runs, and of task processes only those that wait for a job."""
    folders = [cluster.folder / f"worker-{n}" for n in (1, 2, 3)]
    left = [path for f in folders for name in ("attempts", "runs") for path in f.glob(f"{name}/*")]
    opened = [path for f in folders for path in f.glob("tasks/*/code")]
    return not left and not opened


def test_a_task_beyond_its_memory_is_named_and_its_job_fails(
    wild: tuple[ClusterHere, Path],
) -> None:
    done = run(wild, "eats", "--task-memory", "150M", "--max-attempts", "2")
    found = re.findall(r"memory limit of 150 MiB exceeded: \d+ MiB, m-00000\.1", done.stderr)
    assert found, done
    assert "Traceback" not in done.stderr
    (job,) = re.findall(r"j-\d{8}-\d{4}", done.stderr)[:1]
    assert json.loads(wild[0].minimr("status", job, "--json").stdout)["maps"]["failed"] == 2


@pytest.mark.parametrize(
    ("act", "seconds", "code", "said"),
    [
        ("forks", "1101.25", 0, ""),
        ("forks_and_exits", "1102.25", 10, "the process of m-00000.1 exited with status 7"),
    ],
)
def test_a_daemon_ends_with_its_task(
    wild: tuple[ClusterHere, Path], act: str, seconds: str, code: int, said: str
) -> None:
    done = run(wild, act, "--place", seconds, *ONCE, code=code)
    assert said in done.stderr
    assert sleepers(seconds) == []


@pytest.mark.parametrize(
    ("act", "options", "said"),
    [
        ("closes", (), "m-00000.1 was ended: the connection was closed"),
        ("stays", ("--task-timeout", "1s"), "made no progress for 1 s, m-00000.1"),
    ],
)
def test_a_task_that_does_not_answer_is_ended(
    wild: tuple[ClusterHere, Path], act: str, options: tuple[str, ...], said: str
) -> None:
    assert said in run(wild, act, *options, *ONCE).stderr


def test_a_task_that_exits_is_tried_again(wild: tuple[ClusterHere, Path], tmp_path: Path) -> None:
    done = run(wild, "exits_once", "--place", str(tmp_path), code=0)
    assert done.stdout == COUNTED
    assert "exited with status 7" in done.stderr


def test_what_a_task_prints_is_bounded(wild: tuple[ClusterHere, Path]) -> None:
    assert run(wild, "prints", "--name", "prints", code=0).stdout == COUNTED
    (log,) = [
        path
        for path in wild[0].folder.glob("worker-*/logs/*/*.log")
        if path.stat().st_size > 64 * KIB
    ]
    assert LOG_MAX_BYTES <= log.stat().st_size < LOG_MAX_BYTES + KIB
    assert log.read_bytes()[-100:].endswith(b"[cut here: over 10485760 bytes]\n")


def test_a_worker_that_was_killed_leaves_no_group_to_the_next(tmp_path: Path) -> None:
    cluster, job = ClusterHere(tmp_path / "home"), tmp_path / "wild.py"
    job.write_text(WILD)
    try:
        up(cluster, 1)
        does = json.loads(cluster.minimr("workers", "--json").stdout)["groups"]
        act = ("--act", "forks_and_stays", "--place", "1103.25")
        begun = cluster.minimr("run", "-d", f"{job}:Wild", "/in", *act, *ONCE)
        until(lambda: sleepers("1103.25"))
        before = groups_of(cluster)
        assert bool(before) == ("cgroup" in does)
        cluster.minidfs("stop", "worker-1", "--kill")
        cluster.minimr("kill", begun.stdout.strip())
        cluster.minidfs("start", "worker-1")
        until(lambda: not [path for path in before if path.exists()])
        if "processes: cgroup" in does:
            until(lambda: not sleepers("1103.25"))
    finally:
        after = groups_of(cluster)
        cluster.minidfs("down")
        for pid in sleepers("1103.25"):
            os.kill(pid, signal.SIGKILL)
    assert [path for path in after if path.exists()] == []
