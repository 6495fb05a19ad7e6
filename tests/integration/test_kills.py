"""Processes killed at random moments under load; what was acknowledged is there, to the byte."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dfs.local.processes import read_pid_file
from tests.integration.cluster_here import ClusterHere, until

pytestmark = pytest.mark.cluster

ROUNDS = 25
USERS = ("anna", "bert")
PROGRAM = "tests.integration.real_user"
PAUSE_MAX_S = 0.6
ROOT = Path(__file__).parents[2]
CONFIG = """
[cluster]
id = "killed"
[times]
heartbeat = "500ms"
stale = "2s"
dead = "5s"
repair_after = "1s"
lease = "5s"
"""


def start_user(cluster: ClusterHere, name: str, seed: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", PROGRAM, str(cluster.home.config_file), name, str(seed)],
        env=cluster.environment,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill_some(cluster: ClusterHere, rng: random.Random) -> str:
    """Kill one, two or all processes at once; who that was."""
    found = sorted(cluster.home.run.glob("*.pid"))
    struck = rng.choice((found, rng.sample(found, 1), rng.sample(found, 2)))
    for path in struck:
        process = read_pid_file(path)
        if process is not None:
            os.kill(process.pid, signal.SIGKILL)
    return ", ".join(path.stem for path in struck)


@pytest.mark.parametrize("part", [1, 2])
def test_nothing_acknowledged_is_lost_whoever_is_killed(
    own_cluster: ClusterHere, part: int
) -> None:
    cluster = own_cluster
    seed = random.Random().getrandbits(32)
    rng = random.Random(seed)
    cluster.home.make()
    cluster.home.config_file.write_text(CONFIG, encoding="ascii")
    cluster.minidfs("up")
    users = [start_user(cluster, name, seed) for name in USERS]
    told = [f"seed {seed}"]
    for _ in range(ROUNDS):
        time.sleep(rng.uniform(0, PAUSE_MAX_S))
        told.append(kill_some(cluster, rng))
        cluster.minidfs("up")
        assert [user.poll() for user in users] == [None, None], told
    until(lambda: cluster.status()["state"] == "serving")
    for user in users:
        acts, err = user.communicate(timeout=120)
        assert (user.returncode, err) == (0, ""), told
        assert int(acts) >= ROUNDS / 5, f"{told}: the user did only {acts} things"
