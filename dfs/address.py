"""Addresses as people write them, ``host:port`` or ``ipc://PATH``, and the ZeroMQ endpoint of each.

Where nobody proves who he is, only *local* ones are used, which other machines cannot reach: a
socket file, or the loopback interface.
"""

from __future__ import annotations

import re

from dfs.errors import BadArgument

_HOST = re.compile(r"[A-Za-z0-9._:%-]+")

IPC = "ipc://"
EVERY_HOST = ("0.0.0.0", "::")
LOOPBACK_HOSTS = ("127.0.0.1", "::1", "localhost")
PORT_MAX = 65_535
IPC_PATH_MAX_BYTES = 100
"""A socket's path fits ``sun_path``: 108 bytes on Linux, 104 on macOS, with room to spare."""


def split_address(address: str) -> tuple[str, int]:
    """Host (an IPv6 host without its brackets) and port; raises BadArgument."""
    host, colon, port = address.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise BadArgument(f"{address!r} is not an address: write [HOST]:PORT for IPv6")
    if not (colon and _HOST.fullmatch(host) and port.isascii() and port.isdigit()):
        raise BadArgument(f"{address!r} is not an address: write HOST:PORT or ipc://PATH")
    if len(port) > len(str(PORT_MAX)) or int(port) > PORT_MAX:
        raise BadArgument(f"{address!r} has a port above {PORT_MAX}")
    return host, int(port)


def check_address(address: str, *, port_min: int = 0) -> None:
    """Raise BadArgument unless ``address`` is well formed.

    Port 0 lets the system choose; ``port_min=1`` refuses it where others must know the port.
    """
    if address.startswith(IPC):
        _check_ipc(address)
        return
    _, port = split_address(address)
    if port < port_min:
        raise BadArgument(f"{address!r} needs a port from {port_min} to {PORT_MAX}")


def is_local(address: str) -> bool:
    """Is a well-formed address out of other machines' reach?"""
    return address.startswith(IPC) or split_address(address)[0] in LOOPBACK_HOSTS


def is_every(address: str) -> bool:
    """Does a well-formed address mean all of this machine's, and so no place to be found at?"""
    return not address.startswith(IPC) and split_address(address)[0] in EVERY_HOST


def endpoint(address: str) -> str:
    """The ZeroMQ endpoint of an accepted address."""
    return address if address.startswith(IPC) else f"tcp://{address}"


def _check_ipc(address: str) -> None:
    path = address.removeprefix(IPC)
    if not path.startswith("/"):
        raise BadArgument(f"{address!r} is not an address: the path after ipc:// starts with /")
    if len(path.encode()) > IPC_PATH_MAX_BYTES:
        raise BadArgument(f"{address!r} is longer than {IPC_PATH_MAX_BYTES} bytes: shorten it")
