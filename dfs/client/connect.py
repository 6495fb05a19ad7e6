"""Finding a cluster: from what the user says to a ``Client``."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from dfs.address import check_local, endpoint
from dfs.client.client import Client
from dfs.client.connection import Connection
from dfs.client.namenode import ClientSettings, Namenode
from dfs.config_file import load, locate
from dfs.endpoints import client_endpoints, host_id
from dfs.errors import BadArgument
from dfs.events import Peer, Role
from dfs.limits import SECOND_NS
from dfs.net.transport import ZmqTransport
from dfs.wire.namespace import GetStatus, Status

SCHEME = "minidfs"


def connect(
    target: str | os.PathLike[str] | None = None,
    timeout: float = 60,
    *,
    on_wait: Callable[[str], None] | None = None,
) -> Client:
    """A client of the cluster that ``target`` names.

    ``minidfs://host:port`` is an address; anything else is the path of a ``cluster.toml``. Without
    a target: ``MINIDFS_CLUSTER``, else ``cluster.toml`` in ``MINIDFS_HOME`` (``~/.minidfs``).
    ``timeout`` in seconds is how long one request may be repeated while the namenode is away;
    after 3 of them ``on_wait`` is called with a line that says what is waited for.

    Raises ``ConfigError`` and ``BadArgument``. Nothing is sent before the first call, unless the
    cluster's id must be asked for because only its address is known.
    """
    if timeout <= 0:
        raise BadArgument(f"a timeout of {timeout} s leaves no time for an answer")
    address = _address(target)
    settings = _configured(target) if address is None else _addressed(address)
    settings = replace(settings, timeout_ns=int(timeout * SECOND_NS))
    transport = ZmqTransport(Peer(Role.CLIENT, _user_name()), settings.cluster)
    namenode = Namenode(settings, on_wait)
    client = Client(Connection(transport, namenode))
    if not settings.cluster:
        try:
            status = client.run(namenode.ask(GetStatus()))
        except BaseException:
            client.close()
            raise
        assert isinstance(status, Status), status
        namenode.settings = replace(settings, cluster=status.cluster)
    return client


def _address(target: str | os.PathLike[str] | None) -> str | None:
    """The host and port in a target that is an URL with them."""
    if not isinstance(target, str) or not target.startswith(f"{SCHEME}:"):
        return None
    address, _, path = target.removeprefix(f"{SCHEME}:").removeprefix("//").partition("/")
    if path:
        raise BadArgument(f"{target!r}: name the cluster here, and the path in the call", target)
    if address:
        check_local(address, port_min=1)
    return address or None


def _addressed(address: str) -> ClientSettings:
    return ClientSettings("", (endpoint(address),), host_id())


def _configured(target: str | os.PathLike[str] | None) -> ClientSettings:
    url = isinstance(target, str) and target.startswith(f"{SCHEME}:")
    option = None if target is None or url else os.fspath(target)
    path = locate(option, os.environ, Path.home())
    config = load(path)
    return ClientSettings(
        config.cluster.id,
        # Socket files lie beside the configuration that was named, be it the home's or another's.
        client_endpoints(config, path.parent),
        host_id(),
    )


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
