"""A worker's disk that runs full: a task that fills it is ended; where the shuffle is too large for
it no job is at fault, and ends well when there is room."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dfs.limits import MIB
from tests.integration.cluster_here import ClusterHere, until
from tests.integration.test_storage_faults import mounted
from tests.integration.test_wild_tasks import COUNTED, ONCE, WILD, run, up

pytestmark = [pytest.mark.cluster, pytest.mark.root]

DISK_MIB = 48
MAPS = 4
JOB = """
import random
import mapreduce as mr

class Large(mr.Job):
    '''Each line becomes 6 MiB that cannot be compressed.'''

    partitions = 1

    def mapper(self, key, line):
        source = random.Random(line)
        for number in range(96):
            yield number, source.randbytes(1 << 16)

    def reducer(self, number, blocks):
        yield number, sum(map(len, blocks))
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ClusterHere, Path]]:
    """A worker, and its scratch on a disk of ``DISK_MIB``."""
    folder = tmp_path_factory.mktemp("small")
    cluster, scratch = ClusterHere(folder / "home"), folder / "scratch"
    with mounted((scratch, DISK_MIB)):
        try:
            up(cluster, 1, f"{scratch}/{{id}}")
            yield cluster, scratch
        finally:
            cluster.minidfs("down", code=None)


def resize(place: Path, size_mib: int) -> None:
    """Give the small disk so much room."""
    command = ["mount", "-o", f"remount,size={size_mib}M", str(place)]
    subprocess.run(command, check=True)


def failures(cluster: ClusterHere, job: str, kind: str) -> list[str]:
    """Why attempts of one kind of task, ``m`` or ``r``, have failed."""
    events = cluster.minimr("events", job, "--json").stdout.splitlines()
    told = [json.loads(line) for line in events]
    return [
        event["text"]
        for event in told
        if event["event"] == "attempt_failed" and event["attempt"].startswith(kind)
    ]


def leaves_nothing(scratch: Path) -> bool:
    runs = list((scratch / "worker-1" / "runs").iterdir())
    return not runs and sum(path.stat().st_blocks * 512 for path in scratch.rglob("*")) < MIB


def test_a_task_that_fills_the_disk_is_named_and_leaves_nothing(
    small: tuple[ClusterHere, Path], tmp_path: Path
) -> None:
    (cluster, scratch), job = small, tmp_path / "wild.py"
    job.write_text(WILD)
    for act in ("fills", "fills_without_a_name"):
        said = run((cluster, job), act, *ONCE).stderr
        found = re.search(r"scratch limit exceeded: (\d+) MiB, with a share of", said)
        assert found, said
        assert DISK_MIB / 3 < int(found[1]) <= DISK_MIB
    assert run((cluster, job), "", *ONCE, code=0).stdout == COUNTED
    until(lambda: leaves_nothing(scratch))


def test_a_shuffle_larger_than_the_disk_waits_for_room(
    small: tuple[ClusterHere, Path], tmp_path: Path
) -> None:
    """First the runs do not fit, then what a reduce fetches. One fault of the job's own would end
    it."""
    (cluster, scratch), job = small, tmp_path / "large.py"
    job.write_text(JOB)
    resize(scratch, 16)
    lines = "".join(f"{n:06}\n" for n in range(MAPS)).encode()
    cluster.minidfs("put", "-", "/lines", stdin=lines)
    command = ("run", "-d", f"{job}:Large", "/lines", "-D", "split_bytes=7", "-o", "/out")
    name = cluster.minimr(*command, *ONCE).stdout.strip()
    until(lambda: bool(failures(cluster, name, "m")))
    resize(scratch, 40)
    until(lambda: bool(failures(cluster, name, "r")))
    resize(scratch, 160)
    cluster.minimr("wait", name)
    counted = cluster.cat("/out/part-r-00000").decode().splitlines()
    assert counted == [f"{number}\t{MAPS << 16}" for number in range(96)]
    for text in failures(cluster, name, "m") + failures(cluster, name, "r"):
        assert "No space left on device" in text or "scratch disk is full" in text
    until(lambda: leaves_nothing(scratch))
