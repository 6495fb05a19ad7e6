"""Free ports on the loopback interface."""

from __future__ import annotations

import secrets
import socket

from dfs.address import IPC, split_address
from dfs.errors import Unavailable

LOOPBACK = "127.0.0.1"
PORTS = range(20_000, 32_000)
"""Below the range from which systems take the ports of outgoing connections."""

TRIES_MAX = 200


def is_free(address: str) -> bool:
    """Can a process listen on this address now?"""
    if address.startswith(IPC):
        return True
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As daemons do: connections of an earlier process that still fade away are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def choose_address(taken: set[str]) -> str:
    """A free address that is not in ``taken``.

    Drawn at random, so that clusters made at the same moment do not choose the same.
    """
    for _ in range(TRIES_MAX):
        address = f"{LOOPBACK}:{secrets.choice(PORTS)}"
        if address not in taken and is_free(address):
            return address
    raise Unavailable(f"no free port between {PORTS.start} and {PORTS.stop}: end some servers")
