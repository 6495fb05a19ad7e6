"""A map that stands still gets a second attempt on another worker, and the faster one counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cluster_here import ClusterHere, until

pytestmark = pytest.mark.cluster

JOB = '''
import os
import time
import mapreduce as mr

class Counted(mr.Job):
    """Counts words. The first attempt at the file called slow waits while there is a gate."""

    partitions = 1
    gate: str = mr.param("", help="a file")

    def mapper(self, key, line):
        if key[0].endswith("/slow") and self.gate and self.is_first():
            print("I wait", flush=True)
            while os.path.exists(self.gate):
                time.sleep(0.05)
        for word in line.split():
            self.count("words")
            yield word, 1

    def is_first(self):
        try:
            with open(f"{self.gate}.pid", "x") as file:
                file.write(str(os.getpid()))
        except FileExistsError:
            return False
        return True

    def reducer(self, word, counts):
        yield word, sum(counts)
'''
FILES = {"a": "one two", "b": "two three", "c": "three one", "slow": "four one"}
SLOW = "m-00003"


def objects(cluster: ClusterHere, *arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in cluster.minimr(*arguments, "--json").stdout.splitlines()]


def test_a_map_that_stands_still_gets_a_backup(cluster: ClusterHere, tmp_path: Path) -> None:
    job, gate, here = tmp_path / "job.py", tmp_path / "gate", tmp_path / "in"
    job.write_text(JOB, encoding="utf-8")
    here.mkdir()
    for name, text in FILES.items():
        (here / name).write_text(f"{text}\n", encoding="utf-8")
    cluster.minidfs("put", *here.iterdir(), "/backup-attempts/")
    gate.touch()
    try:
        arguments = ("/backup-attempts", "-o", "/backed-up", "--gate", str(gate))
        cluster.minimr("run", job, *arguments)
        waiting = Path(f"{gate}.pid").read_text(encoding="utf-8")
        until(lambda: not Path("/proc", waiting).exists())
    finally:
        gate.unlink()
    _check_output(cluster, job, here, tmp_path / "out")
    _check_what_is_said(cluster)


def _check_output(cluster: ClusterHere, job: Path, here: Path, out: Path) -> None:
    cluster.minimr("run", "-r", "inline", job, here, "-o", out)
    assert cluster.cat("/backed-up/part-r-00000") == (out / "part-r-00000").read_bytes()
    assert cluster.names("/backed-up") == ["_SUCCESS", "part-r-00000"]
    (status,) = objects(cluster, "status", "@last")
    assert status["counters"]["user"] == {"words": 8}, "what the killed attempt counted is nothing"


def _check_what_is_said(cluster: ClusterHere) -> None:
    (task,) = (t for t in objects(cluster, "tasks", "@last") if t["task"] == SLOW)
    told = [e for e in objects(cluster, "events", "@last") if (e["attempt"] or "").startswith(SLOW)]
    first, backup, *rest = (event for event in told if event["event"] != "attempt_progress")
    assert (first["event"], first["attempt"]) == ("attempt_started", f"{SLOW}.1")
    assert (backup["event"], backup["attempt"]) == ("backup_started", f"{SLOW}.2")
    assert first["worker"] != backup["worker"]
    ends = {(event["event"], event["attempt"]) for event in rest}
    assert ends == {("attempt_done", f"{SLOW}.2"), ("attempt_killed", f"{SLOW}.1")}
    assert (task["state"], task["attempt"]) == ("done", 2)
    assert task["worker"] == backup["worker"]
    why = cluster.minimr("why", "@last", SLOW).stdout
    assert f"{SLOW}.2 started as a backup on {backup['worker']}" in why
    assert f"{SLOW}.1 on {first['worker']} is given up: {SLOW}.2 was faster" in why
    assert f"-> {SLOW}.2 had done the task" in why
    assert "-> the task is done" in why
    assert cluster.minimr("logs", "@last", f"{SLOW}.1").stdout.endswith("I wait\n")
