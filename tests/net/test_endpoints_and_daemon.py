"""Where processes listen; and what a daemon does around its loop, in a real process."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dfs.config import Config
from dfs.endpoints import (
    bind_endpoints,
    client_endpoints,
    host_id,
    make_socket_folder,
    remove_sockets,
    socket_endpoint,
    socket_folder,
)
from dfs.errors import ConfigError
from dfs.events import Role


@pytest.fixture
def long_home(tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / ("x" * 120)
    yield home
    shutil.rmtree(socket_folder(home), ignore_errors=True)


@pytest.fixture
def short_home() -> Iterator[Path]:
    """A home whose socket files lie in it, however long the folder of the tests is."""
    with tempfile.TemporaryDirectory(prefix="m") as folder:
        yield Path(folder)


def with_listen(address: str) -> Config:
    config = Config()
    return replace(config, datanode=replace(config.datanode, listen=address))


def test_socket_files_lie_in_the_home() -> None:
    assert socket_folder(Path("/h")) == Path("/h/run")
    assert socket_endpoint(Path("/h"), "worker-1") == "ipc:///h/run/worker-1.sock"


def test_a_long_home_gets_a_short_private_folder(long_home: Path) -> None:
    folder = make_socket_folder(long_home)
    assert folder == make_socket_folder(long_home)
    assert len(str(folder)) < 60
    assert folder.stat().st_mode & 0o777 == 0o700
    assert socket_folder(long_home / "other") != folder


def test_a_folder_of_that_name_that_is_not_ours_alone_is_refused(
    long_home: Path, tmp_path: Path
) -> None:
    folder = socket_folder(long_home)
    folder.symlink_to(tmp_path)
    with pytest.raises(ConfigError, match="mode 0700"):
        make_socket_folder(long_home)
    folder.unlink()
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(ConfigError, match="mode 0700"):
        make_socket_folder(long_home)


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        ("localhost:9861", "tcp://127.0.0.1:9861"),
        ("127.0.0.1:0", "tcp://127.0.0.1:0"),
        ("[::1]:9861", "tcp://[::1]:9861"),
    ],
)
def test_a_datanode_listens_on_its_socket_file_and_its_address(
    tmp_path: Path, listen: str, expected: str
) -> None:
    ipc, tcp = bind_endpoints(with_listen(listen), tmp_path, Role.DATANODE, "datanode-1")
    assert ipc == socket_endpoint(tmp_path, "datanode-1")
    assert tcp == expected


@pytest.mark.parametrize("host", ["fe80::zz", "a" * 70])
def test_a_name_that_does_not_resolve_is_said(tmp_path: Path, host: str) -> None:
    listen = f"[{host}]:9861" if ":" in host else f"{host}:9861"
    with pytest.raises(ConfigError, match=r"does not resolve .*: use an address of this machine"):
        bind_endpoints(with_listen(listen), tmp_path, Role.DATANODE, "datanode-1")


def test_clients_use_the_socket_file_once_there_is_one(short_home: Path) -> None:
    config = Config()
    usual = f"tcp://{config.namenode.address}"
    assert client_endpoints(config, short_home) == (usual,)
    folder = make_socket_folder(short_home)
    os.mknod(folder / "namenode.sock", 0o140600)
    ipc = socket_endpoint(short_home, "namenode")
    assert client_endpoints(config, short_home) == (ipc, usual)
    remove_sockets(short_home)
    assert folder == short_home / "run"
    assert list(folder.iterdir()) == []


def test_the_short_folder_goes_with_its_sockets(long_home: Path) -> None:
    folder = make_socket_folder(long_home)
    os.mknod(folder / "namenode.sock", 0o140600)
    remove_sockets(long_home)
    assert not folder.exists()
    remove_sockets(long_home)


def test_a_host_has_one_id() -> None:
    assert host_id() == host_id() != ":"


PROGRAM = """
import sys
from pathlib import Path
from dfs import daemon
from dfs.errors import StorageFault, Unavailable
from dfs.events import Note, Peer, Role
from dfs.net.loop import Loop, read_clock
from dfs.net.transport import ZmqTransport

how = sys.argv[2]

class Step:
    runs = 0
    def run(self, events, now):
        Step.runs += 1
        if how == "storage": raise StorageFault("the disk is gone")
        if how == "bug": raise ZeroDivisionError("oops")
        return [Note("turned\\nonce")] if Step.runs == 1 else []
    def next_deadline(self):
        return 0 if Step.runs == 0 else None

class Service:
    def __init__(self, log):
        if how == "refuse": raise Unavailable("the port is taken")
        self.transport = ZmqTransport(Peer(Role.CLIENT, "x"), "c")
        self.loop = Loop(Step(), self.transport, None, log)
        self.wake_fd = self.transport.wake_fd
    def close(self):
        self.transport.close(0)
        print("closed", flush=True)

sys.exit(daemon.run("datanode-1", Path(sys.argv[1]), Service))
"""


def start(pid_file: Path, how: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(pid_file), how],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_daemon_ends_with_0_when_told_to(tmp_path: Path, number: signal.Signals) -> None:
    pid_file = tmp_path / "run" / "datanode-1.pid"
    process = start(pid_file, "serve")
    assert process.stderr is not None
    line = process.stderr.readline()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z datanode-1 turned once\n", line)
    assert pid_file.read_text().split()[0] == str(process.pid)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "closed\n")
    assert err.endswith("datanode-1 stopped\n")
    assert not pid_file.exists()


@pytest.mark.parametrize(
    ("how", "code", "text", "closed"),
    [
        ("refuse", 5, "cannot start: the port is taken", ""),
        ("storage", 1, "stopped: the disk is gone", "closed\n"),
        ("bug", 1, "ZeroDivisionError: oops", "closed\n"),
    ],
)
def test_a_daemon_that_fails_says_why(
    tmp_path: Path, how: str, code: int, text: str, closed: str
) -> None:
    process = start(tmp_path / "x.pid", how)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (code, closed)
    assert text in err
    assert ("Traceback" in err) == (how == "bug")
    assert not (tmp_path / "x.pid").exists()


def test_a_host_without_a_boot_id_is_known_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dfs.endpoints._BOOT_ID", tmp_path / "none")
    assert host_id() == f"{socket.gethostname()}:"
