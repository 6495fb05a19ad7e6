"""Machines of their own on this one: each with a name, a home and processes in the foreground."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dfs.events import NAMENODE, Peer, Role
from dfs.namenode.folder import make_namenode_folder
from dfs.net.sockets import make_key_pair
from dfs.security.key_folder import ADMIN, KeyFolder
from dfs.security.keys import key_text
from tests.integration.cluster_here import ClusterHere, until

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="UTS namespaces need root")


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


class Machine(ClusterHere):
    """A machine called ``name``; its processes see no other name (UTS namespace)."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(folder)
        self.name = name
        folder.mkdir(mode=0o700, parents=True)
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, *arguments: str) -> None:
        """Run ``minidfs ARGUMENTS`` on this machine, in the background."""
        script = f'hostname {self.name} && exec "$@"'
        program = [sys.executable, "-P", "-m", "cli.minidfs", *arguments]
        log = (self.folder / f"{arguments[0]}.log").open("ab")
        self.running[arguments[0]] = subprocess.Popen(
            ["unshare", "--uts", "sh", "-c", script, "sh", *program],
            env=self.environment,
            stdout=log,
            stderr=log,
        )
        log.close()

    def end(self, role: str) -> None:
        """End one process here in good order."""
        process = self.running.pop(role)
        process.send_signal(signal.SIGTERM)
        process.wait()

    def kill(self) -> None:
        """End everything here with SIGKILL."""
        for process in self.running.values():
            process.send_signal(signal.SIGKILL)
            process.wait()
        self.running.clear()

    def serves(self) -> bool:
        """Is there nothing wrong with the cluster?"""
        done = self.minidfs("status", "--json", code=None)
        return '"state":"serving"' in done.stdout.replace(" ", "")

    def logged(self, role: str) -> str:
        """What a process printed."""
        return (self.folder / f"{role}.log").read_text(encoding="utf-8", errors="replace")


class Machines:
    """Machine ``alpha`` with the namenode and a datanode; more with a datanode each."""

    def __init__(self, folder: Path, names: tuple[str, ...] = ("alpha", "beta", "gamma")) -> None:
        cluster = secrets.token_hex(4)
        namenode, *ports = free_ports(1 + len(names))
        self.all = [Machine(name, folder / name) for name in names]
        self.alpha = self.all[0]
        key = self._make_keys()
        for machine, port in zip(self.all, ports, strict=True):
            config = (
                f'[cluster]\nid = "{cluster}"\n'
                f'[namenode]\naddress = "127.0.0.1:{namenode}"\nkey = "{key_text(key)}"\n'
                f'[datanode]\nlisten = "127.0.0.1:{port}"\n'
                f'[files]\nreplication = {len(names)}\nchunk_size = "64K"\n'
            )
            machine.home.config_file.write_text(config, encoding="utf-8")
        make_namenode_folder(self.alpha.folder / "namenode", cluster, time.time_ns())

    def _make_keys(self) -> bytes:
        """Make all keys on the first machine and copy its own to each; the namenode's."""
        here = KeyFolder(self.alpha.folder)
        nodes = [Peer(Role.DATANODE, f"datanode-{n}") for n in range(1, len(self.all) + 1)]
        for peer in (NAMENODE, ADMIN, Peer(Role.CLIENT, "root"), *nodes):
            here.make(peer, make_key_pair)
        for node, machine in zip(nodes, self.all, strict=True):
            if machine is not self.alpha:
                there = KeyFolder(machine.folder).path
                there.mkdir(mode=0o700)
                for file in (f"{node.name}.key", "user.key"):
                    shutil.copy(here.path / file, there)
        return here.load(NAMENODE).public

    def start_datanodes(self) -> None:
        for number, machine in enumerate(self.all, start=1):
            machine.start("datanode", "--id", str(number))

    def start(self) -> None:
        """Start everything and wait until it serves."""
        self.alpha.start("namenode")
        self.start_datanodes()
        until(self.alpha.serves)

    def kill(self) -> None:
        for machine in self.all:
            machine.kill()
