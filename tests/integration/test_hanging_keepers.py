"""Log keepers whose disks hang, or which are stopped as a whole, on machines of their own."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import dfs
from tests.integration.cluster_here import until
from tests.integration.hanging_disk import HangingDisk
from tests.integration.machines import Machine, Machines, needs_root

pytestmark = [pytest.mark.cluster, pytest.mark.root, needs_root]


@pytest.fixture
def four(tmp_path: Path) -> Iterator[Machines]:
    made = Machines(tmp_path, ("alpha", "beta", "gamma", "delta"))
    yield made
    made.kill()


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Machines]:
    made = Machines(tmp_path, ("alpha", "beta"))
    yield made
    made.kill()


def told(machine: Machine) -> str:
    """What the namenode says has happened."""
    return machine.logged("namenode")


def keepers(machine: Machine) -> set[str]:
    """The datanodes that have kept the whole log since the namenode started."""
    lines = [
        line.partition(" keeps the log")[0]
        for line in told(machine).splitlines()
        if " keeps the log" in line
    ]
    return {line.split()[-1] for line in lines}


def threads_of(machine: Machine) -> int:
    process = machine.running["datanode"].pid
    return len(list(Path(f"/proc/{process}/task").iterdir()))


def test_keepers_whose_disks_hang_are_replaced_and_catch_up(four: Machines, tmp_path: Path) -> None:
    disks = {
        machine: HangingDisk(machine, tmp_path / f"disk-of-{machine.name}", "fdatasync")
        for machine in four.all
    }
    four.start()
    alpha = four.alpha
    until(lambda: len(keepers(alpha)) == 2)
    hanging = [four.all[int(node[-1]) - 1] for node in sorted(keepers(alpha))]
    (spare,) = set(four.all) - {alpha, *hanging}
    alpha.minidfs("mkdir", "/before")
    threads = [threads_of(machine) for machine in hanging]
    for machine in hanging:
        disks[machine].hang()
    alpha.minidfs("mkdir", "/meanwhile")  # is answered when the fourth machine has it
    until(lambda: len(keepers(alpha)) == 3)
    until(lambda: "is given up as log keeper" in told(alpha))
    with dfs.connect(alpha.home.config_file) as fs:
        for number in range(100):
            fs.mkdir(f"/d{number}")
    assert [threads_of(machine) for machine in hanging] == threads, "nothing piles up"
    times = told(alpha).count(" keeps the log")
    for machine in hanging:
        disks[machine].go_on()
    until(lambda: told(alpha).count(" keeps the log") > times)
    spare.kill()
    alpha.minidfs("mkdir", "/after")
    names = {"before", "meanwhile", "after", *(f"d{number}" for number in range(100))}
    assert set(alpha.names("/")) == names


def test_changes_wait_or_are_refused_while_the_only_keeper_is_stopped(two: Machines) -> None:
    two.start()
    alpha, beta = two.all
    until(lambda: "datanode-2 keeps the log" in alpha.logged("namenode"))
    alpha.minidfs("mkdir", "/before")
    keeper = beta.running["datanode"]
    keeper.send_signal(signal.SIGSTOP)
    waiting = alpha.begin("minidfs", "mkdir", "/waits", "--timeout", "60s")
    until(lambda: any("the log is kept on 1 of 2 machines" in r for r in reasons(alpha)))
    refused = alpha.minidfs("mkdir", "/refused", "--timeout", "1s", code=5)
    assert refused.stderr.count("\n") == 1
    assert "before" in alpha.names("/"), "questions are answered"
    assert waiting.poll() is None
    keeper.send_signal(signal.SIGCONT)
    waiting.communicate(timeout=60)
    assert waiting.returncode == 0
    until(alpha.serves)
    alpha.minidfs("mkdir", "/after")
    assert {"before", "waits", "after"} <= set(alpha.names("/"))


def reasons(machine: Machine) -> list[str]:
    found: list[str] = json.loads(machine.minidfs("status", "--json", code=None).stdout)["reasons"]
    return found
