"""Making the keys of processes and people where a cluster begins, and telling the namenode.

A namenode that starts enrols whatever keys lie in its home. One that runs already is told, by the
administrator whose key lies there too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from dfs.client.connect import connect_as, user_name
from dfs.config import Config
from dfs.config.kinds import WITHOUT_KEYS
from dfs.errors import ConfigError
from dfs.events import NAMENODE, Peer, Role
from dfs.limits import FIRST_CONTACT_NS, SECOND_NS
from dfs.local.layout import NAMENODE_ID, Home, node_process_ids
from dfs.local.processes import is_running, read_pid_file
from dfs.net.sockets import make_key_pair
from dfs.security.key_folder import ADMIN, KeyFolder
from dfs.wire.members import Enrol, MemberKey


def with_first_keys(home: Home, config: Config) -> Config:
    """Make the keys of a new cluster: the namenode's, whose public half everybody is told, the
    administrator's and the user's."""
    if config.security.mode == WITHOUT_KEYS:
        return config
    folder = KeyFolder(home.folder)
    pair = folder.make(NAMENODE, make_key_pair)
    for peer in (ADMIN, Peer(Role.CLIENT, user_name())):
        folder.make(peer, make_key_pair)
    return replace(config, namenode=replace(config.namenode, key=pair.public))


def node_peers(numbers: Iterable[int]) -> list[Peer]:
    """The processes of these nodes."""
    named = [node_process_ids(number) for number in numbers]
    return [
        peer
        for datanode, worker in named
        for peer in (Peer(Role.DATANODE, datanode), Peer(Role.WORKER, worker))
    ]


def make_node_keys(home: Home, config: Config, config_file: Path, peers: Iterable[Peer]) -> None:
    """Make the keys of processes that have none yet, where the administrator is at home.

    Raises ConfigError elsewhere.
    """
    folder = KeyFolder(home.folder)
    new = [peer for peer in peers if not folder.has(peer)]
    if config.security.mode == WITHOUT_KEYS or not new:
        return
    if not folder.has(ADMIN):
        raise ConfigError(
            f"{folder.path} has no key for {new[0].name}: ask for an invitation ('minidfs invite"
            " node NAME' where the cluster was made) and run 'minidfs join LINE' here",
            str(folder.path),
        )
    keys = [MemberKey(folder.make(p, make_key_pair).public, p.role.value, p.name) for p in new]
    namenode = read_pid_file(home.pid_file(NAMENODE_ID))
    if namenode is None or not is_running(namenode):
        return
    with connect_as(ADMIN, config_file, FIRST_CONTACT_NS / SECOND_NS) as fs:
        fs.run(fs.namenode.ask(Enrol(tuple(keys))))
