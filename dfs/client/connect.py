"""Finding a cluster: from what the user says to a ``Client``."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from dfs.address import check_address, endpoint, is_local
from dfs.client.client import Client
from dfs.client.connection import Connection
from dfs.client.namenode import ClientSettings, Namenode
from dfs.config import Config
from dfs.config_file import load, locate
from dfs.endpoints import client_endpoints, host_id
from dfs.errors import BadArgument
from dfs.events import Peer, Role
from dfs.limits import SECOND_NS
from dfs.net.transport import ZmqTransport
from dfs.security.credentials import Credentials
from dfs.security.key_folder import user_credentials
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
    return connect_as(Peer(Role.CLIENT, user_name()), target, timeout, on_wait=on_wait)


def connect_as(
    me: Peer,
    target: str | os.PathLike[str] | None = None,
    timeout: float = 60,
    *,
    on_wait: Callable[[str], None] | None = None,
) -> Client:
    """The same as ``connect`` for somebody else than the user who runs this."""
    if timeout <= 0:
        raise BadArgument(f"a timeout of {timeout} s leaves no time for an answer")
    settings, credentials = _found(target, me)
    settings = replace(settings, timeout_ns=int(timeout * SECOND_NS))
    transport = ZmqTransport(me, settings.cluster, (), credentials)
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
        check_address(address, port_min=1)
    return address or None


def _found(
    target: str | os.PathLike[str] | None, me: Peer
) -> tuple[ClientSettings, Credentials | None]:
    """Where the cluster is, and what to prove oneself with.

    An address alone says nothing about keys: those of the configured cluster are used if it is
    the same address, and none otherwise.
    """
    address = _address(target)
    url = isinstance(target, str) and target.startswith(f"{SCHEME}:")
    path = locate(None if target is None or url else os.fspath(target), os.environ, Path.home())
    config = load(path) if address is None or path.exists() else Config()
    if address is not None and (not config.cluster.id or address != config.namenode.address):
        if not is_local(address):
            raise BadArgument(
                f"{address} can be reached from other machines and its key is not known here: run"
                " 'minidfs join LINE', or name the cluster's cluster.toml"
            )
        return ClientSettings("", (endpoint(address),), host_id()), None
    # Socket files and keys lie beside the configuration that was named.
    home = path.parent
    endpoints = client_endpoints(config, home)
    if address is not None:
        endpoints = endpoints[-1:]
    settings = ClientSettings(config.cluster.id, endpoints, host_id())
    return settings, user_credentials(config, home, me)


def user_name() -> str:
    """What the system calls whoever runs this."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
