"""What `doctor` makes of what it finds."""

from __future__ import annotations

import json
import resource
import socket
from pathlib import Path

import pytest

from cli.cluster.plan import Wanted, make_plan
from cli.doctor.here import _running_since_ns as running_since_ns
from cli.doctor.here import judge_age, judge_folder, judge_ports, judge_processes
from cli.doctor.machine import (
    file_system,
    judge_clock,
    judge_file_system,
    judge_files,
    judge_memory,
    judge_space,
    judge_sync,
    judge_sync_time,
    machine,
)
from cli.doctor.software import POLARS, judge_import, judge_packages, judge_python
from cli.doctor.software import _import as import_code
from cli.doctor.software import _installed as installed
from cli.doctor.verdict import Check, Verdict
from dfs.config import render
from dfs.limits import GIB, MIB, MS_NS, SECOND_NS
from dfs.local.layout import Home, write_file
from dfs.local.notes import mark_stopped
from dfs.local.processes import Process
from tests.cli.shell import Shell

OK, WARN, FAIL = Verdict.OK, Verdict.WARN, Verdict.FAIL

MOUNTS = """\
21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
22 21 0:5 / /home rw shared:2 - nfs4 server:/home rw
23 22 0:6 / /home/anna\\040b rw - xfs /dev/vdb rw
24 21 0:7 / /homes rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("check", "verdict"),
    [
        (judge_python((3, 11, 0)), OK),
        (judge_python((3, 10, 9)), FAIL),
        (judge_packages({"lmdb": "3.0.0"}), OK),
        (judge_packages({"lmdb": "3.0.0", "click": None}), FAIL),
        (judge_import(POLARS, 0, "1.2"), OK),
        (judge_import(POLARS, 1, "ModuleNotFoundError: no polars"), FAIL),
        (judge_files(resource.RLIM_INFINITY), OK),
        (judge_files(4096), OK),
        (judge_files(4095), WARN),
        (judge_files(1023), FAIL),
        (judge_file_system("ext4"), OK),
        (judge_file_system(""), OK),
        (judge_file_system("tmpfs"), WARN),
        (judge_file_system("nfs4"), FAIL),
        (judge_file_system("fuse.sshfs"), FAIL),
        (judge_space(10 * GIB, GIB), OK),
        (judge_space(GIB + 1, GIB), WARN),
        (judge_space(GIB, GIB), FAIL),
        (judge_sync_time(MS_NS), OK),
        (judge_sync_time(200 * MS_NS), WARN),
        (judge_sync(Path("/proc")), FAIL),
        (judge_memory(2 * GIB), OK),
        (judge_memory(512 * MIB), WARN),
        (judge_memory(MIB), FAIL),
        (judge_clock(1000 * SECOND_NS, 1059 * SECOND_NS), OK),
        (judge_clock(1000 * SECOND_NS, 1061 * SECOND_NS), WARN),
        (judge_folder(Path("/none")), OK),
        (judge_ports({}), OK),
        (judge_ports({"namenode": "127.0.0.1:9860"}), FAIL),
        (judge_processes(3, [], []), OK),
        (judge_processes(3, ["namenode"], []), WARN),
        (judge_processes(3, ["namenode"], ["worker-1"]), WARN),
        (judge_processes(2, ["namenode"], ["worker-1"]), OK),
        (judge_age({"namenode": 10}, 9), OK),
        (judge_age({"namenode": 10, "worker-1": 8}, 9), WARN),
    ],
)
def test_verdicts(check: Check, verdict: Verdict) -> None:
    assert check.verdict == verdict
    assert (check.remedy == "") == (verdict == OK)


def test_a_library_that_does_not_fit_the_processor_is_named_with_its_remedy() -> None:
    check = judge_import(POLARS, -4, "")
    assert check.found == "the import ended with SIGILL"
    assert "rtcompat" in check.remedy


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/", "ext4"),
        ("/var/lib", "ext4"),
        ("/home", "nfs4"),
        ("/home/anna", "nfs4"),
        ("/home/anna b/x", "xfs"),
        ("/homes/x", "tmpfs"),
    ],
)
def test_the_file_system_of_a_folder(folder: str, kind: str) -> None:
    assert file_system(folder, MOUNTS) == kind
    assert file_system(folder, "") == ""


def test_a_folder_that_others_may_enter(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert judge_folder(tmp_path).verdict == WARN
    tmp_path.chmod(0o700)
    assert judge_folder(tmp_path).verdict == OK


def verdicts(shell: Shell, code: int) -> dict[str, str]:
    done = shell.minidfs("doctor", "--json")
    assert (done.code, done.err) == (code, "")
    checks = [json.loads(line) for line in done.out.splitlines()]
    assert all(list(check) == ["v", "name", "verdict", "found", "remedy"] for check in checks)
    return {check["name"]: check["verdict"] for check in checks}


def test_this_machine_without_a_cluster(shell: Shell) -> None:
    found = verdicts(shell, 0)
    assert found["libzmq"] == found["LMDB engine"] == found["configuration"] == "ok"
    lines = shell.minidfs("doctor").out.splitlines()
    assert any("task groups" in line and "memory: " in line for line in lines)
    assert len(lines) == len(found)
    assert all(line.split()[0] in ("ok", "warn") for line in lines)


def test_a_cluster_whose_port_is_taken_and_one_process_was_stopped(shell: Shell) -> None:
    home = Home(shell.home)
    home.make()
    plan = make_plan(home, Wanted(nodes=1), running=False, cores=1)
    home.save_local(plan.local)
    write_file(home.config_file, render(plan.config).encode())
    assert verdicts(shell, 0)["ports"] == "ok"
    mark_stopped(home, "datanode-1")
    host, _, port = plan.config.namenode.address.rpartition(":")
    with socket.create_server((host, int(port))):
        assert verdicts(shell, 1)["ports"] == "fail"


def test_a_damaged_configuration_fails_and_the_rest_is_still_checked(shell: Shell) -> None:
    home = Home(shell.home)
    home.make()
    home.config_file.write_text("[files\n", encoding="ascii")
    home.local_file.write_text("nonsense", encoding="ascii")
    found = verdicts(shell, 1)
    assert (found["configuration"], found["local"], found["home"]) == ("fail", "fail", "ok")


def test_a_machine_that_does_not_tell_is_asked_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(path: Path, *_: object, **__: object) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", missing)
    checks = {check.name: check for check in machine(tmp_path, None)}
    assert "memory" in checks
    assert running_since_ns({"a-1": Process(1, "5")}) == {}


def test_a_package_that_is_not_there_has_no_version() -> None:
    assert installed("no-such-package-anywhere") is None


def test_an_import_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.doctor.software.IMPORT_LIMIT_S", 0.01)
    assert import_code("import time; time.sleep(60)") == (1, "it takes more than 0.01 s")
