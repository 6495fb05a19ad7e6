"""The handshake: who may talk to whom, and what is said when not.

Whoever connects says ``Hello``; whoever was connected to answers ``Welcome`` or
``Failed``. Both sides check, since both may have been given a wrong address:

* *cluster*: equal. Only a tool that does not know its cluster yet leaves it empty.
* *protocol*: the ranges overlap; the highest common version is used.
* *key*: where keys are used, the one who connects is whose key it has; a process that says that it
  is another is refused.
* *who*: the one who answers is the process that was meant, by role and name.

A refusal is definite: trying again changes nothing. Its text says which two do not
fit and what to do. These are rules only; the transport sends and keeps the links.
"""

from __future__ import annotations

from dfs.errors import Refused
from dfs.events import USERS, Peer, Role
from dfs.limits import NAME_MAX_BYTES
from dfs.version import VERSION
from dfs.wire.codec import PROTOCOL, PROTOCOL_MIN
from dfs.wire.common import Hello, Welcome


class Handshake:
    """The rules, from the point of view of ``me`` of ``cluster``."""

    def __init__(self, me: Peer, cluster: str) -> None:
        self.me = me
        self.cluster = cluster
        self._build = VERSION

    def hello(self) -> Hello:
        """What to say on a new connection."""
        role, name = self.me
        return Hello(self.cluster, role.value, name, PROTOCOL_MIN, PROTOCOL, self._build)

    def accept(self, hello: Hello, member: Peer | None = None) -> tuple[Peer, Welcome]:
        """Who said ``hello``, and the answer; raises ``Refused``.

        ``member`` is whose key was proved; None where none is needed.
        """
        peer = _proved(_peer(hello.role, hello.name), member)
        if hello.cluster and hello.cluster != self.cluster:
            raise Refused(self._strange_cluster(self.me, self.cluster, peer, hello.cluster))
        protocol = min(PROTOCOL, hello.protocol_max)
        if protocol < max(PROTOCOL_MIN, hello.protocol_min):
            raise Refused(
                f"{self.me.name} (minidfs {self._build}) speaks protocol {PROTOCOL_MIN} to "
                f"{PROTOCOL} and {peer.name} (minidfs {hello.build}) {hello.protocol_min} to "
                f"{hello.protocol_max}: install the same release on both"
            )
        role, name = self.me
        return peer, Welcome(self.cluster, role.value, name, protocol, self._build)

    def check(self, welcome: Welcome, meant: Peer, endpoint: str) -> None:
        """Raise ``Refused`` unless ``welcome`` came from ``meant``, of our cluster."""
        found = _peer(welcome.role, welcome.name)
        if self.cluster and welcome.cluster != self.cluster:
            raise Refused(self._strange_cluster(found, welcome.cluster, self.me, self.cluster))
        if found != meant:
            raise Refused(
                f"{endpoint} is the address of {found.name} ({found.role}) and not of "
                f"{meant.name} ({meant.role}): correct the address, or restart {meant.name}"
            )
        if not PROTOCOL_MIN <= welcome.protocol <= PROTOCOL:
            raise Refused(
                f"{found.name} (minidfs {welcome.build}) chose protocol {welcome.protocol} and "
                f"{self.me.name} speaks {PROTOCOL_MIN} to {PROTOCOL}: install the same release"
            )

    @staticmethod
    def _strange_cluster(one: Peer, one_cluster: str, other: Peer, other_cluster: str) -> str:
        return (
            f"{one.name} is of cluster {one_cluster!r} and {other.name} of cluster "
            f"{other_cluster!r}: use the cluster.toml of the cluster that is meant"
        )


def _proved(said: Peer, member: Peer | None) -> Peer:
    """Who it is, by what was said and by the key. Users may be called something else at home."""
    if member is None:
        return said
    if said == Peer(Role.CLIENT, member.name) and member.role is Role.WORKER:
        return said  # the client through which a worker reads and writes for its tasks
    if said != member and not (said.role in USERS and member.role in USERS):
        raise Refused(
            f"{said.name} ({said.role}) came with the key of {member.name} ({member.role}): use"
            " its own"
        )
    return member


def _peer(role: str, name: str) -> Peer:
    if role not in tuple(Role):
        raise Refused(f"{role!r} is not a role of minidfs: install the same release on both")
    if not name.isprintable() or not 0 < len(name.encode()) <= NAME_MAX_BYTES:
        raise Refused(f"{name[:NAME_MAX_BYTES]!r} is not a name of a process or user")
    return Peer(Role(role), name)
