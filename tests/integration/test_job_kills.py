"""Jobs whose tasks, workers, datanodes and namenode are killed, stopped and robbed: the output is
that of the inline runner, byte for byte, and nothing is left over."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import dfs
from dfs.datanode.chunkfile import ReplicaKey, sealed_path
from dfs.local.ports import choose_address
from dfs.local.processes import read_pid_file
from tests.integration.cluster_here import ClusterHere, until

pytestmark = pytest.mark.cluster

BOOKS = ("argparse.py", "ast.py", "datetime.py", "inspect.py", "subprocess.py", "typing.py")
NODES = 3
STRIKES_MAX = 6
PAUSE_MAX_S = 1.5
JOB_LIMIT_S = 200
CONFIG = """
[cluster]
id = "struck"
[namenode]
address = "{address}"
[worker]
slots = 2
[times]
heartbeat = "500ms"
stale = "2s"
dead = "10s"
repair_after = "1s"
lease = "5s"
"""
JOBS = '''
import os
import time
import mapreduce as mr

def closed(gate):
    while gate and os.path.exists(gate):
        time.sleep(0.05)

class Counted(mr.Job):
    """Counts words; maps of files whose names begin with z wait at the gate."""

    partitions = 3
    pause: float = mr.param(0.0, help="seconds to sleep per 1,000 lines")
    gate: str = mr.param("", help="a file; it is closed while it exists")

    lines = 0

    def mapper(self, key, line):
        path, offset = key
        if offset == 0 and path.rpartition("/")[2].startswith("z"):
            closed(self.gate)
        self.lines += 1
        if self.lines % 1000 == 0:
            time.sleep(self.pause)
        for word in line.split():
            self.count("words")
            yield word, 1

    def reducer(self, word, counts):
        yield word, sum(counts)

    combiner = reducer

class Chained(Counted):
    """Counts words, then sorts them by how frequent they are; the reducer of HOLD waits at the
    gate."""

    def steps(self):
        return [
            mr.Step(mapper=self.mapper, reducer=self.held, partitions=2),
            mr.Step(mapper=self.by_count, reducer=self.listed, partitions=3),
        ]

    def held(self, word, counts):
        if word == "HOLD":
            closed(self.gate)
        yield word, sum(counts)

    def by_count(self, word, count):
        yield -count, word

    def listed(self, count, words):
        for word in sorted(words):
            yield word, -count
'''


@pytest.fixture
def struck(one_cluster: ClusterHere) -> ClusterHere:
    """The cluster, whole, whatever the test before has left."""
    one_cluster.minidfs("up")
    until(lambda: one_cluster.status()["state"] == "serving")
    return one_cluster


@pytest.fixture(scope="module")
def one_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterHere]:
    """Three nodes that are given up within seconds, with ``JOBS`` beside them."""
    cluster = ClusterHere(tmp_path_factory.mktemp("struck") / "home")
    cluster.home.make()
    text = CONFIG.format(address=choose_address(set()))
    cluster.home.config_file.write_text(text, encoding="ascii")
    job_file(cluster).write_text(JOBS, encoding="utf-8")
    cluster.minidfs("up", "--nodes", str(NODES))
    put_books(cluster, "/books")
    yield cluster
    cluster.check_metadata()
    cluster.minidfs("down")
    assert cluster.all_pids() == []


def job_file(cluster: ClusterHere, name: str = "") -> Path:
    return Path(f"{cluster.folder.parent / 'jobs.py'}{name and ':'}{name}")


def put_books(cluster: ClusterHere, place: str) -> None:
    """Files of Python's own library, in small chunks."""
    sources = Path(sysconfig.get_path("stdlib"))
    cluster.minidfs("put", "--chunk-size", "64K", *(sources / name for name in BOOKS), f"{place}/")


def start(cluster: ClusterHere, name: str, *arguments: str | Path) -> subprocess.Popen[bytes]:
    job = job_file(cluster, name)
    options = ("--max-attempts", "50", "--no-speculative", *arguments)
    return cluster.begin("minimr", "run", "-r", "cluster", job, *options)


def finished(run: subprocess.Popen[bytes], told: object = "") -> str:
    """What a run that succeeds says."""
    _, err = run.communicate(timeout=JOB_LIMIT_S)
    assert run.returncode == 0, (told, err.decode())
    return err.decode()


def parts(cluster: ClusterHere, folder: str) -> dict[str, bytes]:
    with dfs.connect(cluster.home.config_file) as fs:
        names = [entry.path for entry in fs.list(folder)]
        return {name.rpartition("/")[2]: fs.read_bytes(name) for name in names}


def is_as_inline(cluster: ClusterHere, name: str, place: str, output: str) -> bool:
    """Has the cluster written what the inline runner makes of the same files?"""
    job, expected = job_file(cluster, name), f"{output}-inline"
    cluster.minimr("run", "-r", "inline", job, f"minidfs:{place}", "-o", f"minidfs:{expected}")
    return parts(cluster, output) == parts(cluster, expected)


def tasks(cluster: ClusterHere) -> dict[str, dict[str, Any]]:
    """The tasks of the last job by name."""
    lines = cluster.minimr("tasks", "@last", "--json").stdout.splitlines()
    return {task["task"]: task for task in map(json.loads, lines)}


def happened(cluster: ClusterHere) -> list[tuple[str, str]]:
    """(attempt, kind) of the events of the last job."""
    lines = cluster.minimr("events", "@last", "--json").stdout.splitlines()
    return [(event["attempt"] or "", event["event"]) for event in map(json.loads, lines)]


def again(cluster: ClusterHere, kind: str) -> dict[str, int]:
    """The tasks of the last job whose names begin so of which more than one attempt was needed,
    and how many. A reduce that waits for maps may be given up for one of them."""
    found = tasks(cluster).items()
    return {name: t["attempt"] for name, t in found if t["attempt"] > 1 and name.startswith(kind)}


def pid_of(cluster: ClusterHere, name: str) -> int | None:
    process = read_pid_file(cluster.home.pid_file(name))
    return process.pid if process is not None else None


def children(pid: int | None) -> list[int]:
    """The task processes of a worker."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = path.read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if parent == str(pid):
            found.append(int(path.parent.name))
    return sorted(found)


def kill(pid: int | None) -> None:
    try:
        os.kill(pid or 0, signal.SIGKILL)
    except ProcessLookupError:
        return


def strike(cluster: ClusterHere, rng: random.Random) -> str:
    """Kill one process, a task's as likely as a daemon; who that was. A task's may have waited for
    work: then the next attempt that it is given to crashes, in a later test too."""
    number = rng.randint(1, NODES)
    kind = rng.choice(("task", "task", "worker", "worker", "datanode", "namenode"))
    name = "namenode" if kind == "namenode" else f"{kind}-{number}"
    found = [pid_of(cluster, name)]
    if kind == "task":
        found = list(children(pid_of(cluster, f"worker-{number}")))
    if found and found[0] is not None:
        kill(rng.choice(found))
    return name


def leaves_nothing(cluster: ClusterHere) -> None:
    """Of jobs that are over only their code and what they printed is kept."""

    def left() -> list[str]:
        places = ("worker-*/attempts/*", "worker-*/runs/*")
        found = [str(path) for place in places for path in cluster.folder.glob(place)]
        return [*found, *(set(cluster.names("/.jobs")) - {"bundles"})]

    until(lambda: left() == [])


def begin_gated(cluster: ClusterHere, folder: Path, *options: str) -> subprocess.Popen[bytes]:
    """A word count of which all maps are done but one, which waits at ``gate`` in the folder."""
    (folder / "gate").touch()
    place = f"/in-{folder.name}"
    put_books(cluster, place)
    cluster.minidfs("put", "-", f"{place}/z", stdin=b"the last word\n")
    output, gate = f"/{folder.name}", str(folder / "gate")
    run = start(cluster, "Counted", place, "-o", output, "--gate", gate, *options)
    until(lambda: run.poll() is not None or gated(cluster) != "")
    return run


def listed(cluster: ClusterHere) -> bool:
    """Is there a job that has not ended?"""
    return cluster.minimr("list", "--json").stdout != ""


def gated(cluster: ClusterHere) -> str:
    """The map that waits at the gate, once it alone is left; '' before that."""
    if not listed(cluster):
        return ""
    maps = {name: task["state"] for name, task in tasks(cluster).items() if name[0] == "m"}
    left = [name for name, state in maps.items() if state != "done"]
    return left[0] if len(left) == 1 and maps[left[0]] == "running" else ""


def test_finished_maps_are_kept_when_the_namenode_is_killed_and_the_runner_waits_for_it(
    struck: ClusterHere, tmp_path: Path
) -> None:
    run = begin_gated(struck, tmp_path)
    held, before = gated(struck), again(struck, "m")
    struck.minidfs("stop", "namenode", "--kill")
    assert run.stderr is not None
    said = [run.stderr.readline()]
    while b"waiting" not in said[-1]:
        assert said[-1], said
        said.append(run.stderr.readline())
    struck.minidfs("start", "namenode")
    (tmp_path / "gate").unlink()
    finished(run)
    events = struck.minimr("events", "@last").stdout
    after = again(struck, "m")
    assert {n: a for n, a in after.items() if n != held} == before, events
    assert is_as_inline(struck, "Counted", f"/in-{tmp_path.name}", f"/{tmp_path.name}")


def test_a_worker_that_stood_still_for_longer_than_its_leases_changes_nothing(
    struck: ClusterHere, tmp_path: Path
) -> None:
    run = begin_gated(struck, tmp_path)
    held = gated(struck)
    worker = tasks(struck)[held]["worker"]
    struck.minidfs("pause", worker)
    until(lambda: tasks(struck)[held]["worker"] not in ("", worker))
    (tmp_path / "gate").unlink()
    until(lambda: tasks(struck)[held]["state"] == "done")
    struck.minidfs("resume", worker)
    finished(run)
    events = happened(struck)
    assert (f"{held}.1", "attempt_lost") in events
    assert [a for a, kind in events if kind == "attempt_done" and held in a] == [f"{held}.2"]
    assert is_as_inline(struck, "Counted", f"/in-{tmp_path.name}", f"/{tmp_path.name}")
    until(lambda: struck.status()["state"] == "serving")
    leaves_nothing(struck)


def test_a_lost_run_of_a_finished_map_runs_that_map_again_and_no_other(
    struck: ClusterHere, tmp_path: Path
) -> None:
    gate, place = tmp_path / "gate", f"/in-{tmp_path.name}"
    gate.touch()
    for name in ("a", "b", "z1", "z2", "z3", "z4", "z5"):
        struck.minidfs("put", "-", f"{place}/{name}", stdin=f"{name} words\n".encode() * 5000)
    run = start(struck, "Counted", place, "-o", f"/{tmp_path.name}", "--gate", str(gate))
    until(lambda: sorted(runs(struck)) == ["0-m-00000.1.run", "0-m-00001.1.run"])
    until(lambda: [tasks(struck)[name]["state"] for name in ("m-00000", "m-00001")] == ["done"] * 2)
    runs(struck)["0-m-00001.1.run"].unlink()
    gate.unlink()
    finished(run)
    assert again(struck, "m") == {"m-00001": 2}
    assert ("m-00001.1", "map_output_lost") in happened(struck)
    assert is_as_inline(struck, "Counted", place, f"/{tmp_path.name}")
    leaves_nothing(struck)


def runs(cluster: ClusterHere) -> dict[str, Path]:
    return {path.name: path for path in cluster.folder.glob("worker-*/runs/*/*.run")}


def test_a_lost_part_of_a_step_is_made_again_by_what_made_it(
    struck: ClusterHere, tmp_path: Path
) -> None:
    gate, place = tmp_path / "gate", f"/in-{tmp_path.name}"
    gate.touch()
    put_books(struck, place)
    struck.minidfs("put", "-", f"{place}/held", stdin=b"HOLD\n")
    run = start(struck, "Chained", place, "-o", f"/{tmp_path.name}", "--gate", str(gate))
    with dfs.connect(struck.home.config_file) as fs:
        until(lambda: len(fs.glob("/.jobs/j-*/steps/1/part-*")) == 1)
        (part,) = fs.glob("/.jobs/j-*/steps/1/part-*")
        (chunk,) = fs.locations(part.path)
    (node,) = chunk.nodes
    (struck.folder / node / sealed_path(ReplicaKey(chunk.chunk, chunk.generation))).unlink()
    gate.unlink()
    finished(run)
    reduce = part.path.rpartition("/")[2].replace("part-", "")
    assert (again(struck, "r"), again(struck, "m")) == ({reduce: 2}, {})
    assert [kind for _, kind in happened(struck)].count("part_lost") == 1
    assert is_as_inline(struck, "Chained", place, f"/{tmp_path.name}")
    leaves_nothing(struck)


@pytest.mark.parametrize("name", ["Counted", "Chained"])
def test_whoever_is_killed_the_output_is_the_same(
    struck: ClusterHere, tmp_path: Path, name: str
) -> None:
    seed = random.Random().getrandbits(32)
    rng = random.Random(seed)
    output = f"/{tmp_path.name}"
    run = start(struck, name, "/books", "-o", output, "--pause", "0.7")
    told = [f"seed {seed}"]
    until(lambda: listed(struck) or run.poll() is not None)  # it has found the namenode once
    while len(told) <= STRIKES_MAX and run.poll() is None:
        time.sleep(rng.uniform(0, PAUSE_MAX_S))
        told.append(strike(struck, rng))
        struck.minidfs("up")
    finished(run, told)
    assert is_as_inline(struck, name, "/books", output), told
    leaves_nothing(struck)
